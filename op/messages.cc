// What atoms gather from their neighbours: for atom i, channel k and each (l, m),
//
//   gathered[lm, i, k] = sum over pairs p of i with atom j of
//       radial[p, l, k] rows[p, lm] sent[j, k]  +  radial[p, nl + l, k] rows[p, 0] tensors[lm, j, k],
//
// the second term only where the neighbours pass tensors. No message is stored. The gradient goes to
// radial and rows pair by pair, to sent and tensors atom by atom. Where radial is a table of the distance
// (DdGatherBetween), it is made for the pairs of one atom at a time: an array for all pairs would not stay in the
// caches.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "basis.h"
#include "kernel.h"
#include "kernels.h"
#include "pairs.h"
#include "sort.h"
#include "stencils.h"
#include "threads.h"

namespace dd {
namespace {

// The inputs that all ops share: two from number `first` on and, after that of the radial weights, three more.
template <typename T> class MessageInputs {
 public:
  MessageInputs(TF_OpKernelContext* ctx, int lmax, bool passed, int first)
      : pairs_(ctx, first), rows_(ctx, first + 3, "rows"), sent_(ctx, first + 4, "sent"), tensors_(ctx, first + 5, "tensors") {
    MessagesView<T>& m = view;
    m.nl = lmax + 1;
    m.passed = passed;
    m.npairs = pairs_.count;
    m.natoms = sent_.shaped({-1, -1}).rows();
    m.nchannels = static_cast<int>(sent_.dim(1, 1, kMaxPairChannels));
    rows_.shaped({m.npairs, m.nlm()});
    if (passed) tensors_.shaped({m.nlm(), m.natoms, m.nchannels});
    m.center = pairs_.center, m.atom = pairs_.atom;
    m.rows = rows_.template data<T>();
    m.sent = sent_.template data<T>();
    m.tensors = tensors_.template data<T>();
    pairs_.check(m.natoms, true);
  }
  MessagesView<T> view;

 private:
  AtomPairs pairs_;
  Input rows_, sent_, tensors_;
};

// The same with radial weights of all pairs.
template <typename T> class WeightedInputs : public MessageInputs<T> {
 public:
  WeightedInputs(TF_OpKernelContext* ctx, int lmax, bool passed, int first)
      : MessageInputs<T>(ctx, lmax, passed, first), radial_(ctx, first + 2, "radial") {
    MessagesView<T>& m = this->view;
    m.radial = radial_.shaped({m.npairs, m.width()}).template data<T>();
  }

 private:
  Input radial_;
};

// What all ops are made with.
struct MessageOp {
  explicit MessageOp(TF_OpKernelConstruction* ctx)
      : lmax(int_attr(ctx, "lmax", 0, kMaxL)), passed(bool_attr(ctx, "passed")) {}
  const int lmax;
  const bool passed;
};

// Sums over the pairs of each atom: add(first pair, last, sum) makes them.
template <typename T, typename Add> void for_atoms(const MessagesView<T>& in, T* out, Add add) {
  parallel_for(in.natoms, kGrainAtoms, [&](int64_t begin, int64_t end) {
    std::vector<T> sum(static_cast<size_t>(in.nlm()) * in.nchannels), scratch;
    const int32_t* next = std::lower_bound(in.center, in.center + in.npairs, static_cast<int32_t>(begin));
    for (int64_t i = begin; i < end; ++i) {
      const int32_t* first = next;
      while (next != in.center + in.npairs && *next == i) ++next;
      add(first - in.center, next - in.center, scratch, sum.data());
      for (int lm = 0; lm < in.nlm(); ++lm)
        std::copy_n(sum.data() + int64_t{lm} * in.nchannels, in.nchannels, out + (lm * in.natoms + i) * in.nchannels);
    }
  });
}

template <typename T> struct Gather : MessageOp {
  using MessageOp::MessageOp;
  void compute(TF_OpKernelContext* ctx) {
    const WeightedInputs<T> inputs(ctx, lmax, passed, 0);
    const MessagesView<T>& in = inputs.view;
    T* out = allocate_output<T>(ctx, 0, {in.nlm(), in.natoms, in.nchannels});
    for_atoms(in, out, [&](int64_t first, int64_t last, std::vector<T>&, T* sum) {
      kernels_of<T>().gather(in, first, last, sum);
    });
  }
};

template <typename T> struct GatherBetween : MessageOp {
  using MessageOp::MessageOp;
  void compute(TF_OpKernelContext* ctx) {
    const MessageInputs<T> inputs(ctx, lmax, passed, 0);
    const Input place(ctx, 2, "place"), nodes(ctx, 6, "nodes");
    const MessagesView<T>& in = inputs.view;
    place.shaped({in.npairs});
    nodes.shaped({-1, in.width()});
    const Stencils<T> stencils(place, nodes.dim(0, 0, kMaxNodes), in.width());
    T* out = allocate_output<T>(ctx, 0, {in.nlm(), in.natoms, in.nchannels});
    for_atoms(in, out, [&](int64_t first, int64_t last, std::vector<T>& scratch, T* sum) {
      scratch.resize((last - first) * in.width());
      kernels_of<T>().interpolate(stencils.view.from(first), nodes.data<T>(), 0, last - first, scratch.data());
      kernels_of<T>().gather(in.from(first, scratch.data()), 0, last - first, sum);
    });
  }
};

template <typename T> struct GatherGrad : MessageOp {
  using MessageOp::MessageOp;
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const WeightedInputs<T> inputs(ctx, lmax, passed, 1);
    const MessagesView<T>& in = inputs.view;
    const T* g = grad.shaped({in.nlm(), in.natoms, in.nchannels}).template data<T>();
    const int64_t nsenders = in.passed ? in.natoms : 0;
    T* to_radial = allocate_output<T>(ctx, 0, {in.npairs, in.width()});
    T* to_rows = allocate_output<T>(ctx, 1, {in.npairs, in.nlm()});
    T* to_sent = allocate_output<T>(ctx, 2, {in.natoms, in.nchannels});
    T* to_tensors = allocate_output<T>(ctx, 3, {in.nlm(), nsenders, in.nchannels});
    parallel_for(in.npairs, kGrainPairs, [&](int64_t begin, int64_t end) {
      kernels_of<T>().pull_pairs(in, g, begin, end, to_radial, to_rows);
    });
    std::fill_n(to_sent, in.natoms * in.nchannels, T{0});
    std::fill_n(to_tensors, in.nlm() * nsenders * in.nchannels, T{0});
    // Each thread sums for atoms of its own, in the order of their pairs.
    const Sorted by_sender = sorted_by_bin(std::vector<int32_t>(in.atom, in.atom + in.npairs), in.natoms);
    parallel_for(in.natoms, kGrainAtoms, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        kernels_of<T>().pull_atom(in, g, by_sender.order.data() + by_sender.start[j],
                                  by_sender.start[j + 1] - by_sender.start[j], to_sent + j * in.nchannels,
                                  in.passed ? to_tensors + j * in.nchannels : nullptr, nsenders * in.nchannels);
    });
  }
};

const bool registered = [] {
  register_op({"DdGather",
               {"T: {float, double}", "lmax: int >= 0", "passed: bool"},
               {"center: int32", "atom: int32", "radial: T", "rows: T", "sent: T", "tensors: T"},
               {"gathered: T"}});
  register_float_kernels<Gather>("DdGather");
  register_op({"DdGatherBetween",
               {"T: {float, double}", "lmax: int >= 0", "passed: bool"},
               {"center: int32", "atom: int32", "place: T", "rows: T", "sent: T", "tensors: T", "nodes: T"},
               {"gathered: T"}});
  register_float_kernels<GatherBetween>("DdGatherBetween");
  register_op({"DdGatherGrad",
               {"T: {float, double}", "lmax: int >= 0", "passed: bool"},
               {"grad: T", "center: int32", "atom: int32", "radial: T", "rows: T", "sent: T", "tensors: T"},
               {"grad_radial: T", "grad_rows: T", "grad_sent: T", "grad_tensors: T"}});
  register_float_kernels<GatherGrad>("DdGatherGrad");
  return true;
}();

}  // namespace
}  // namespace dd
