// Products with a matrix chosen by row: out[r, :] = x[r, :] weight[group[r], :, :].
//
// Groups are types of atoms, or types and angular momenta: only the matrices that rows ask for are touched.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernel.h"
#include "kernels.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 16;
constexpr int64_t kMaxSize = 1 << 20;  // of a row

template <typename T> GroupedView<T> read(const Input& x, const Input& weight, const Input& group) {
  GroupedView<T> view;
  view.nrows = x.shaped({-1, -1}).rows();
  view.nin = x.dim(1, 0, kMaxSize);
  view.ngroups = weight.shaped({-1, view.nin, -1}).rows();
  view.nout = weight.dim(2, 0, kMaxSize);
  view.x = x.data<T>();
  view.weight = weight.data<T>();
  view.group = group.shaped({view.nrows}).template data<int32_t>();
  for (int64_t r = 0; r < view.nrows; ++r)
    require(view.group[r] >= 0 && view.group[r] < view.ngroups, "group[", r, "] is ", view.group[r],
            ", expected 0 to ", view.ngroups - 1);
  return view;
}

// The matrices that rows ask for, transposed.
template <typename T> std::vector<T> transpose(const GroupedView<T>& in) {
  const int64_t size = in.nin * in.nout;
  if (size == 0) return {};
  std::vector<T> transposed(in.ngroups * size);
  std::vector<bool> done(in.ngroups);
  for (int64_t r = 0; r < in.nrows; ++r) {
    const int32_t group = in.group[r];
    if (done[group]) continue;
    done[group] = true;
    const T* from = in.weight + group * size;
    T* to = transposed.data() + group * size;
    for (int64_t a = 0; a < in.nin; ++a)
      for (int64_t b = 0; b < in.nout; ++b) to[b * in.nin + a] = from[a * in.nout + b];
  }
  return transposed;
}

template <typename T> class GroupedMatMul {
 public:
  explicit GroupedMatMul(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input x(ctx, 0, "x"), weight(ctx, 1, "weight"), group(ctx, 2, "group");
    const auto in = read<T>(x, weight, group);
    T* out = allocate_output<T>(ctx, 0, {in.nrows, in.nout});
    parallel_for(in.nrows, kGrain,
                 [&](int64_t begin, int64_t end) { kernels_of<T>().grouped(in, begin, end, out); });
  }
};

template <typename T> class GroupedMatMulGrad {
 public:
  explicit GroupedMatMulGrad(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad"), x(ctx, 1, "x"), weight(ctx, 2, "weight"), group(ctx, 3, "group");
    const auto in = read<T>(x, weight, group);
    const T* g = grad.shaped({in.nrows, in.nout}).template data<T>();
    T* to_x = allocate_output<T>(ctx, 0, {in.nrows, in.nin});
    T* to_weight = allocate_output<T>(ctx, 1, {in.ngroups, in.nin, in.nout});
    const std::vector<T> transposed = transpose(in);
    GroupedView<T> back = in;
    std::swap(back.nin, back.nout);
    back.x = g, back.weight = transposed.data();
    parallel_for(in.nrows, kGrain,
                 [&](int64_t begin, int64_t end) { kernels_of<T>().grouped(back, begin, end, to_x); });
    std::fill_n(to_weight, in.ngroups * in.nin * in.nout, T{0});
    // Each thread has rows of the matrices of its own: no two add to one number.
    parallel_for(in.nin, 1,
                 [&](int64_t begin, int64_t end) { kernels_of<T>().grouped_grad_weight(in, g, begin, end, to_weight); });
  }
};

const bool registered = [] {
  register_op({"DdGroupedMatMul", {"T: {float, double}"}, {"x: T", "weight: T", "group: int32"}, {"product: T"}});
  register_float_kernels<GroupedMatMul>("DdGroupedMatMul");
  register_op({"DdGroupedMatMulGrad",
               {"T: {float, double}"},
               {"grad: T", "x: T", "weight: T", "group: int32"},
               {"grad_x: T", "grad_weight: T"}});
  register_float_kernels<GroupedMatMulGrad>("DdGroupedMatMulGrad");
  return true;
}();

}  // namespace
}  // namespace dd
