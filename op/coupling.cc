// Products of functions on the sphere, given by their coefficients: out[c, :] = sum_ab I_abc left[a, :] right[b, :].
//
// Most integrals I of three harmonics are zero: the others come as a list of terms (c, a, b), by c. As the list
// holds all orders of a, b and c, the gradients are products of the same kind.
#include <cstdint>

#include "basis.h"
#include "kernel.h"
#include "kernels.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 256;  // columns
constexpr int64_t kMaxTerms = kMaxNlm * kMaxNlm * kMaxNlm;

template <typename T> class Coupling {
 public:
  explicit Coupling(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input left(ctx, 0, "left"), right(ctx, 1, "right"), term(ctx, 2, "term"), value(ctx, 3, "value");
    CouplingView<T> view;
    view.nlm = left.shaped({-1, -1, -1}).dim(0, 0, kMaxNlm);
    const int64_t natoms = left.dim(1, 0, kMaxRows), nchannels = left.dim(2, 0, kMaxRows);
    view.ncolumns = natoms * nchannels;
    view.left = left.data<T>();
    view.right = right.shaped({view.nlm, natoms, nchannels}).template data<T>();
    view.nterms = term.dim(0, 0, kMaxTerms);
    view.term = term.shaped({view.nterms, 3}).template data<int32_t>();
    view.value = value.shaped({view.nterms}).template data<T>();
    check_terms(view);
    T* out = allocate_output<T>(ctx, 0, {view.nlm, natoms, nchannels});
    if (view.nlm == 0) return;  // nothing bounds the number of columns then
    parallel_for(view.ncolumns, kGrain,
                 [&](int64_t begin, int64_t end) { kernels_of<T>().couple(view, begin, end, out); });
  }

 private:
  static void check_terms(const CouplingView<T>& view) {
    for (int64_t t = 0; t < 3 * view.nterms; ++t)
      require(view.term[t] >= 0 && view.term[t] < view.nlm, "term[", t / 3, "] holds ", view.term[t],
              ", expected 0 to ", view.nlm - 1);
    for (int64_t t = 1; t < view.nterms; ++t)
      require(view.term[3 * t] >= view.term[3 * t - 3], "term[", t, "] makes ", view.term[3 * t],
              ", expected terms by what they make");
  }
};

const bool registered = [] {
  register_op({"DdCoupling",
               {"T: {float, double}"},
               {"left: T", "right: T", "term: int32", "value: T"},
               {"product: T"}});
  register_float_kernels<Coupling>("DdCoupling");
  return true;
}();

}  // namespace
}  // namespace dd
