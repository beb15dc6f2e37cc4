// Products with a matrix chosen by row: out[r, :] = x[r, :] weight[group[r], :, :].
//
// Groups are types of atoms, or types and angular momenta: only the matrices that rows ask for are touched.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "clones.h"
#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 16;

#define DD_INLINE inline __attribute__((always_inline))

template <typename T>
DD_INLINE void product(const T* __restrict x, const T* __restrict weight, int64_t nin, int64_t nout, T* __restrict out) {
  std::fill(out, out + nout, T{0});
  for (int64_t a = 0; a < nin; ++a)
    for (int64_t b = 0; b < nout; ++b) out[b] += x[a] * weight[a * nout + b];
}

template <typename T>
DD_INLINE void transposed(const T* __restrict grad, const T* __restrict weight, int64_t nin, int64_t nout,
                          T* __restrict to_x) {
  for (int64_t a = 0; a < nin; ++a) {
    T dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t b = 0; b < nout; ++b) dot += grad[b] * weight[a * nout + b];
    to_x[a] = dot;
  }
}

template <typename T> DD_INLINE void axpy(T factor, const T* __restrict x, int64_t n, T* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] += factor * x[i];
}

#define DD_CLONED(T)                                                                                            \
  DD_CLONES void product_clones(const T* x, const T* weight, int64_t nin, int64_t nout, T* out) {               \
    product(x, weight, nin, nout, out);                                                                         \
  }                                                                                                             \
  DD_CLONES void transposed_clones(const T* grad, const T* weight, int64_t nin, int64_t nout, T* to_x) {        \
    transposed(grad, weight, nin, nout, to_x);                                                                  \
  }                                                                                                             \
  DD_CLONES void axpy_clones(T factor, const T* x, int64_t n, T* to) { axpy(factor, x, n, to); }
DD_CLONED(float)
DD_CLONED(double)
#undef DD_CLONED

template <typename T> struct Grouped {
  int64_t nrows, ngroups, nin, nout;
  const T *x, *weight;
  const int32_t* group;
};

template <typename T> Grouped<T> read(const Input& x, const Input& weight, const Input& group) {
  Grouped<T> g;
  g.nrows = x.shaped({-1, -1}).dim(0);
  g.nin = x.dim(1);
  g.ngroups = weight.shaped({-1, g.nin, -1}).dim(0);
  g.nout = weight.dim(2);
  g.x = x.data<T>();
  g.weight = weight.data<T>();
  g.group = group.shaped({g.nrows}).template data<int32_t>();
  for (int64_t r = 0; r < g.nrows; ++r)
    if (g.group[r] < 0 || g.group[r] >= g.ngroups)
      throw InvalidArgument("group[" + std::to_string(r) + "] is " + std::to_string(g.group[r]) + ", expected 0 to " +
                            std::to_string(g.ngroups - 1));
  return g;
}

template <typename T> class GroupedMatMul {
 public:
  explicit GroupedMatMul(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input x(ctx, 0, "x"), weight(ctx, 1, "weight"), group(ctx, 2, "group");
    const auto in = read<T>(x, weight, group);
    T* out = allocate_output<T>(ctx, 0, {in.nrows, in.nout});
    parallel_for(in.nrows, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        product_clones(in.x + r * in.nin, in.weight + in.group[r] * in.nin * in.nout, in.nin, in.nout,
                       out + r * in.nout);
    });
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
    parallel_for(in.nrows, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        transposed_clones(g + r * in.nout, in.weight + in.group[r] * in.nin * in.nout, in.nin, in.nout,
                          to_x + r * in.nin);
    });
    std::fill(to_weight, to_weight + in.ngroups * in.nin * in.nout, T{0});
    // Each thread has columns of x of its own, so that no two add to one number.
    parallel_for(in.nin, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < in.nrows; ++r)
        for (int64_t a = begin; a < end; ++a)
          axpy_clones(in.x[r * in.nin + a], g + r * in.nout, in.nout,
                      to_weight + (in.group[r] * in.nin + a) * in.nout);
    });
  }
};

const bool registered = [] {
  register_op({"DdGroupedMatMul",
               {"T: {float, double}"},
               {"x: T", "weight: T", "group: int32"},
               {"product: T"}});
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
