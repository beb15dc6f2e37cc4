// What atoms gather of their neighbours' functions on the sphere, each multiplied by a function of the pair: for atom
// i, channel k and each c = (l, m),
//
//   gathered[c, i, k] = sum over pairs p of i with atom j of
//       sum_ab I_cab tensors[a, j, k] radial[p, l(b), k] rows[p, b],
//
// I as in coupling.cc, a list of terms that is the same for all orders of a, b and c. No product of a pair is stored.
// The gradient of tensors is a sum of the same kind, over the pairs in which an atom sends.
#include <cstdint>
#include <vector>

#include "basis.h"
#include "kernel.h"
#include "kernels.h"
#include "pairs.h"
#include "sort.h"
#include "terms.h"
#include "threads.h"

namespace dd {
namespace {

// The inputs of both ops, from number `first` on.
template <typename T> class ProductInputs {
 public:
  ProductInputs(TF_OpKernelContext* ctx, int lmax, int first)
      : pairs_(ctx, first), radial_(ctx, first + 2, "radial"), rows_(ctx, first + 3, "rows"), tensors_(ctx, first + 4, "tensors"),
        terms_(ctx, first + 5, int64_t{lmax + 1} * (lmax + 1)) {
    PairProductsView<T>& v = view;
    v.nl = lmax + 1;
    v.npairs = pairs_.count;
    v.natoms = tensors_.shaped({v.nlm(), -1, -1}).dim(1, 0, kMaxRows);
    v.nchannels = static_cast<int>(tensors_.dim(2, 0, kMaxPairChannels));
    v.center = pairs_.center, v.atom = pairs_.atom;
    v.radial = radial_.shaped({v.npairs, int64_t{v.nl} * v.nchannels}).template data<T>();
    v.rows = rows_.shaped({v.npairs, v.nlm()}).template data<T>();
    v.tensors = tensors_.template data<T>();
    v.nterms = terms_.count, v.term = terms_.term, v.value = terms_.value;
    pairs_.check(v.natoms, false);
  }
  PairProductsView<T> view;

 private:
  AtomPairs pairs_;
  Input radial_, rows_, tensors_;
  Terms<T> terms_;
};

// For each atom the sum over the pairs in which it is `mine`, with the rows `values` of the atom that is `other`.
template <typename T>
void sum_by_atom(const PairProductsView<T>& in, const int32_t* mine, const int32_t* other, const T* values, T* out) {
  // Each thread sums for atoms of its own, in the order of their pairs.
  const Sorted sorted = sorted_by_bin(std::vector<int32_t>(mine, mine + in.npairs), in.natoms);
  parallel_for(in.natoms, kGrainAtoms, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels_of<T>().sum_products(in, values, other, sorted.order.data() + sorted.start[i],
                                   sorted.start[i + 1] - sorted.start[i], out + i * in.nchannels,
                                   in.natoms * in.nchannels);
  });
}

struct ProductOp {
  explicit ProductOp(TF_OpKernelConstruction* ctx) : lmax(int_attr(ctx, "lmax", 0, kMaxL)) {}
  const int lmax;
};

template <typename T> struct GatherProducts : ProductOp {
  using ProductOp::ProductOp;
  void compute(TF_OpKernelContext* ctx) {
    const ProductInputs<T> inputs(ctx, lmax, 0);
    const PairProductsView<T>& in = inputs.view;
    sum_by_atom(in, in.center, in.atom, in.tensors, allocate_output<T>(ctx, 0, {in.nlm(), in.natoms, in.nchannels}));
  }
};

template <typename T> struct GatherProductsGrad : ProductOp {
  using ProductOp::ProductOp;
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const ProductInputs<T> inputs(ctx, lmax, 1);
    const PairProductsView<T>& in = inputs.view;
    const T* g = grad.shaped({in.nlm(), in.natoms, in.nchannels}).template data<T>();
    T* to_radial = allocate_output<T>(ctx, 0, {in.npairs, int64_t{in.nl} * in.nchannels});
    T* to_rows = allocate_output<T>(ctx, 1, {in.npairs, in.nlm()});
    T* to_tensors = allocate_output<T>(ctx, 2, {in.nlm(), in.natoms, in.nchannels});
    parallel_for(in.npairs, kGrainPairs, [&](int64_t begin, int64_t end) {
      kernels_of<T>().pull_functions(in, g, begin, end, to_radial, to_rows);
    });
    sum_by_atom(in, in.atom, in.center, g, to_tensors);
  }
};

const bool registered = [] {
  register_op({"DdGatherProducts",
               {"T: {float, double}", "lmax: int >= 0"},
               {"center: int32", "atom: int32", "radial: T", "rows: T", "tensors: T", "term: int32", "value: T"},
               {"gathered: T"}});
  register_float_kernels<GatherProducts>("DdGatherProducts");
  register_op({"DdGatherProductsGrad",
               {"T: {float, double}", "lmax: int >= 0"},
               {"grad: T", "center: int32", "atom: int32", "radial: T", "rows: T", "tensors: T", "term: int32", "value: T"},
               {"grad_radial: T", "grad_rows: T", "grad_tensors: T"}});
  register_float_kernels<GatherProductsGrad>("DdGatherProductsGrad");
  return true;
}();

}  // namespace
}  // namespace dd
