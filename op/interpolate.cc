// Rows between rows: out[i, :] = sum_k w_k(x_i) nodes[first_i + k, :], polynomials of degree five through the six
// nodes about x_i (Lagrange), which lie at 0, 1, 2 ...
//
// A net of one number that is asked at many places is dear; a few nodes give the same values.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernel.h"
#include "kernels.h"
#include "stencils.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 32, kColumns = 64;

template <typename T> class Interpolate {
 public:
  explicit Interpolate(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input x(ctx, 0, "x"), nodes(ctx, 1, "nodes");
    nodes.shaped({-1, -1});
    const Stencils<T> stencils(x, nodes.dim(0, 0, kMaxNodes), nodes.dim(1, 0, kMaxRows));
    const StencilsView<T>& view = stencils.view;
    T* out = allocate_output<T>(ctx, 0, {view.n, view.width});
    parallel_for(view.n, kGrain, [&](int64_t begin, int64_t end) {
      kernels_of<T>().interpolate(view, nodes.data<T>(), begin, end, out);
    });
  }
};

template <typename T> class InterpolateGrad {
 public:
  explicit InterpolateGrad(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad"), x(ctx, 1, "x"), nodes(ctx, 2, "nodes");
    nodes.shaped({-1, -1});
    const int64_t nnodes = nodes.dim(0, 0, kMaxNodes);
    const Stencils<T> stencils(x, nnodes, nodes.dim(1, 0, kMaxRows));
    const StencilsView<T>& view = stencils.view;
    const T* g = grad.shaped({view.n, view.width}).template data<T>();
    T* out = allocate_output<T>(ctx, 0, {nnodes, view.width});
    std::fill_n(out, nnodes * view.width, T{0});
    const std::vector<int32_t> order = stencils.order();
    // Each thread has columns of its own: no two add to one number.
    parallel_for((view.width + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
      kernels_of<T>().pull_nodes(view, g, order.data(), begin * kColumns, std::min(end * kColumns, view.width), out);
    });
  }
};

const bool registered = [] {
  register_op({"DdInterpolate", {"T: {float, double}"}, {"x: T", "nodes: T"}, {"values: T"}});
  register_float_kernels<Interpolate>("DdInterpolate");
  register_op({"DdInterpolateGrad", {"T: {float, double}"}, {"grad: T", "x: T", "nodes: T"}, {"grad_nodes: T"}});
  register_float_kernels<InterpolateGrad>("DdInterpolateGrad");
  return true;
}();

}  // namespace
}  // namespace dd
