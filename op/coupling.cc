// Products of functions on the sphere, given by their coefficients: out[c, :] = sum_ab I_abc left[a, :] right[b, :].
//
// Most integrals I of three harmonics are zero: the others come as a list of terms (c, a, b), by c. As the list
// holds all orders of a, b and c, the gradients are products of the same kind.
#include <cstdint>

#include "basis.h"
#include "kernel.h"
#include "kernels.h"
#include "terms.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 256;  // columns

template <typename T> class Coupling {
 public:
  explicit Coupling(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input left(ctx, 0, "left"), right(ctx, 1, "right");
    CouplingView<T> view;
    view.nlm = left.shaped({-1, -1, -1}).dim(0, 0, kMaxNlm);
    const int64_t natoms = left.dim(1, 0, kMaxRows), nchannels = left.dim(2, 0, kMaxRows);
    view.ncolumns = natoms * nchannels;
    view.left = left.data<T>();
    view.right = right.shaped({view.nlm, natoms, nchannels}).template data<T>();
    const Terms<T> terms(ctx, 2, view.nlm);
    view.nterms = terms.count, view.term = terms.term, view.value = terms.value;
    T* out = allocate_output<T>(ctx, 0, {view.nlm, natoms, nchannels});
    if (view.nlm == 0) return;  // nothing bounds the number of columns then
    parallel_for(view.ncolumns, kGrain,
                 [&](int64_t begin, int64_t end) { kernels_of<T>().couple(view, begin, end, out); });
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
