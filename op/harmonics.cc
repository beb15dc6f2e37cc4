// Solid harmonics of given vectors, for nets that take angles as input.
#include "harmonics.h"

#include <algorithm>

#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 1024;

class Harmonics {
 public:
  explicit Harmonics(TF_OpKernelConstruction* ctx) : lmax_(int_attr(ctx, "lmax", 0, kMaxL)) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input vec(ctx, 0, "vec");
    const int64_t n = vec.shaped({-1, 3}).rows();
    const int nlm = (lmax_ + 1) * (lmax_ + 1);
    const double* v = vec.data<double>();
    double* out = allocate_output<double>(ctx, 0, {n, nlm});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        harmonics<double, 1>(lmax_, v + 3 * p, v + 3 * p + 1, v + 3 * p + 2,
                             reinterpret_cast<double(*)[1]>(out + p * nlm));
    });
  }

 private:
  int lmax_;
};

class HarmonicsGrad {
 public:
  explicit HarmonicsGrad(TF_OpKernelConstruction* ctx) : lmax_(int_attr(ctx, "lmax", 0, kMaxL)) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad"), vec(ctx, 1, "vec");
    const int64_t n = vec.shaped({-1, 3}).rows();
    const int nlm = (lmax_ + 1) * (lmax_ + 1);
    const double* v = vec.data<double>();
    const double* g = grad.shaped({n, nlm}).data<double>();
    double* out = allocate_output<double>(ctx, 0, {n, 3});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      double S[(kMaxL + 1) * (kMaxL + 1)][1], gS[(kMaxL + 1) * (kMaxL + 1)];
      for (int64_t p = begin; p < end; ++p) {
        harmonics<double, 1>(lmax_, v + 3 * p, v + 3 * p + 1, v + 3 * p + 2, S);
        std::copy(g + p * nlm, g + (p + 1) * nlm, gS);
        std::fill(out + 3 * p, out + 3 * p + 3, 0.0);
        harmonics_pullback<double>(lmax_, v + 3 * p, &S[0][0], gS, out + 3 * p);
      }
    });
  }

 private:
  int lmax_;
};

const bool registered = [] {
  register_op({"DdHarmonics", {"lmax: int >= 0"}, {"vec: double"}, {"values: double"}});
  register_kernel<Harmonics>("DdHarmonics");
  register_op({"DdHarmonicsGrad", {"lmax: int >= 0"}, {"grad: double", "vec: double"}, {"grad_vec: double"}});
  register_kernel<HarmonicsGrad>("DdHarmonicsGrad");
  return true;
}();

}  // namespace
}  // namespace dd
