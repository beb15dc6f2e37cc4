// What atoms gather from their neighbours: for atom i, channel k and each (l, m),
//
//   out[lm, i, k] = sum over pairs p of i with atom j of
//       radial[p, l, k] rows[p, lm] sent[j, k]  +  radial[p, nl + l, k] rows[p, 0] tensors[lm, j, k],
//
// the second term only where the neighbours have tensors (a second set of radial weights says so).
// No message is stored. Its gradient goes to radial and rows pair by pair, to sent and tensors atom by atom.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "clones.h"
#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrainAtoms = 4;
constexpr int64_t kGrainPairs = 64;

// Everything but the gradient; natoms are both those that gather and those that are gathered from.
template <typename T> struct Messages {
  int64_t npairs, natoms;
  int nl, nchannels;
  bool passed;
  const int32_t *center, *atom;
  const T *radial, *rows, *sent, *tensors;

  int nlm() const { return nl * nl; }
  int64_t width() const { return static_cast<int64_t>(nl) * nchannels * (passed ? 2 : 1); }
  const T* own_weights(int64_t p) const { return radial + p * width(); }
  const T* passed_weights(int64_t p) const { return own_weights(p) + static_cast<int64_t>(nl) * nchannels; }
  const T* tensor(int lm, int64_t j) const { return tensors + (lm * natoms + j) * nchannels; }
};

#define DD_INLINE inline __attribute__((always_inline))

// Adds the messages of pairs [begin, end), all of one atom, to sum (nlm, nchannels).
template <typename T> DD_INLINE void gather(const Messages<T>& in, int64_t begin, int64_t end, T* __restrict sum) {
  const int K = in.nchannels;
  for (int64_t p = begin; p < end; ++p) {
    const T* __restrict row = in.rows + p * in.nlm();
    const T* __restrict sent = in.sent + in.atom[p] * static_cast<int64_t>(K);
    for (int l = 0; l < in.nl; ++l) {
      const T* __restrict own = in.own_weights(p) + l * K;
      const T* __restrict passed = in.passed ? in.passed_weights(p) + l * K : nullptr;
      for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
        T* __restrict to = sum + lm * K;
        const T value = row[lm], first = row[0];
        if (passed) {
          const T* __restrict from = in.tensor(lm, in.atom[p]);
          for (int k = 0; k < K; ++k) to[k] += value * own[k] * sent[k] + first * passed[k] * from[k];
        } else {
          for (int k = 0; k < K; ++k) to[k] += value * own[k] * sent[k];
        }
      }
    }
  }
}

// Gradients of pair p's weights and row, from that of the sums (nlm, natoms, nchannels).
template <typename T>
DD_INLINE void pull_pair(const Messages<T>& in, const T* grad, int64_t p, T* __restrict to_radial,
                         T* __restrict to_row) {
  const int K = in.nchannels;
  const T* __restrict row = in.rows + p * in.nlm();
  const T* __restrict sent = in.sent + in.atom[p] * static_cast<int64_t>(K);
  T to_first = 0;
  for (int l = 0; l < in.nl; ++l) {
    const T* __restrict own = in.own_weights(p) + l * K;
    const T* __restrict passed = in.passed ? in.passed_weights(p) + l * K : nullptr;
    T* __restrict to_own = to_radial + l * K;
    T* __restrict to_passed = to_radial + (in.nl + l) * K;
    std::fill(to_own, to_own + K, T{0});
    if (passed) std::fill(to_passed, to_passed + K, T{0});
    for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
      const T* __restrict g = grad + (lm * in.natoms + in.center[p]) * K;
      const T value = row[lm], first = row[0];
      T dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int k = 0; k < K; ++k) {
        const T part = g[k] * sent[k];
        to_own[k] += value * part;
        dot += own[k] * part;
      }
      to_row[lm] = dot;
      if (passed) {
        const T* __restrict from = in.tensor(lm, in.atom[p]);
        T dot_first = 0;
#pragma omp simd reduction(+ : dot_first)
        for (int k = 0; k < K; ++k) {
          const T part = g[k] * from[k];
          to_passed[k] += first * part;
          dot_first += passed[k] * part;
        }
        to_first += dot_first;
      }
    }
  }
  to_row[0] += to_first;
}

// Adds pair p's gradient of what its atom sends to to_sent (nchannels) and to_tensors, whose rows for each lm
// are `stride` apart.
template <typename T>
DD_INLINE void pull_atom(const Messages<T>& in, const T* grad, int64_t p, T* __restrict to_sent,
                         T* __restrict to_tensors, int64_t stride) {
  const int K = in.nchannels;
  const T* __restrict row = in.rows + p * in.nlm();
  for (int l = 0; l < in.nl; ++l) {
    const T* __restrict own = in.own_weights(p) + l * K;
    const T* __restrict passed = in.passed ? in.passed_weights(p) + l * K : nullptr;
    for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
      const T* __restrict g = grad + (lm * in.natoms + in.center[p]) * K;
      const T value = row[lm], first = row[0];
      for (int k = 0; k < K; ++k) to_sent[k] += value * own[k] * g[k];
      if (passed) {
        T* __restrict to = to_tensors + lm * stride;
        for (int k = 0; k < K; ++k) to[k] += first * passed[k] * g[k];
      }
    }
  }
}

#define DD_CLONED(T)                                                                                              \
  DD_CLONES void gather_clones(const Messages<T>& in, int64_t begin, int64_t end, T* sum) {                       \
    gather(in, begin, end, sum);                                                                                  \
  }                                                                                                               \
  DD_CLONES void pull_pairs(const Messages<T>& in, const T* grad, int64_t begin, int64_t end, T* to_radial,       \
                            T* to_rows) {                                                                         \
    for (int64_t p = begin; p < end; ++p)                                                                         \
      pull_pair(in, grad, p, to_radial + p * in.width(), to_rows + p * in.nlm());                                 \
  }                                                                                                               \
  DD_CLONES void pull_atoms(const Messages<T>& in, const T* grad, const int64_t* first, const int64_t* last,      \
                            T* to_sent, T* to_tensors, int64_t stride) {                                          \
    for (; first != last; ++first) pull_atom(in, grad, *first, to_sent, to_tensors, stride);                      \
  }
DD_CLONED(float)
DD_CLONED(double)
#undef DD_CLONED

// Reads the op's inputs, of which the first is number `first`.
template <typename T> class MessageInputs {
 public:
  MessageInputs(TF_OpKernelContext* ctx, int lmax, bool passed, int first)
      : center_(ctx, first, "center"), atom_(ctx, first + 1, "atom"), radial_(ctx, first + 2, "radial"),
        rows_(ctx, first + 3, "rows"), sent_(ctx, first + 4, "sent"), tensors_(ctx, first + 5, "tensors") {
    Messages<T>& m = view;
    m.nl = lmax + 1;
    m.passed = passed;
    m.npairs = center_.shaped({-1}).dim(0);
    m.natoms = sent_.shaped({-1, -1}).dim(0);
    const int64_t channels = sent_.dim(1);
    if (channels < 1 || channels > kMaxChannels)
      throw InvalidArgument("sent has " + std::to_string(channels) + " channels, expected 1 to " +
                            std::to_string(kMaxChannels));
    m.nchannels = static_cast<int>(channels);
    atom_.shaped({m.npairs});
    radial_.shaped({m.npairs, m.width()});
    rows_.shaped({m.npairs, m.nlm()});
    if (passed) tensors_.shaped({m.nlm(), m.natoms, channels});
    m.center = center_.template data<int32_t>();
    m.atom = atom_.template data<int32_t>();
    m.radial = radial_.template data<T>();
    m.rows = rows_.template data<T>();
    m.sent = sent_.template data<T>();
    m.tensors = tensors_.template data<T>();
    for (int64_t p = 0; p < m.npairs; ++p) {
      const bool inside = m.center[p] >= 0 && m.center[p] < m.natoms && m.atom[p] >= 0 && m.atom[p] < m.natoms;
      if (!inside) throw InvalidArgument("pair " + std::to_string(p) + " names an atom that is not there");
      if (p && m.center[p] < m.center[p - 1]) throw InvalidArgument("center does not rise at pair " + std::to_string(p));
    }
  }
  Messages<T> view;

 private:
  static constexpr int64_t kMaxChannels = 1 << 16;
  Input center_, atom_, radial_, rows_, sent_, tensors_;
};

// Where the pairs of each key begin: (nkeys + 1,).
std::vector<int64_t> starts(const int32_t* key, int64_t n, int64_t nkeys) {
  std::vector<int64_t> start(nkeys + 1, 0);
  for (int64_t p = 0; p < n; ++p) ++start[key[p] + 1];
  for (int64_t i = 0; i < nkeys; ++i) start[i + 1] += start[i];
  return start;
}

template <typename T> class Gather {
 public:
  explicit Gather(TF_OpKernelConstruction* ctx) : lmax_(int_attr(ctx, "lmax", 0, 8)), passed_(bool_attr(ctx, "passed")) {}
  void compute(TF_OpKernelContext* ctx) {
    const MessageInputs<T> inputs(ctx, lmax_, passed_, 0);
    const Messages<T>& in = inputs.view;
    T* out = allocate_output<T>(ctx, 0, {in.nlm(), in.natoms, in.nchannels});
    const auto start = starts(in.center, in.npairs, in.natoms);
    parallel_for(in.natoms, kGrainAtoms, [&](int64_t begin, int64_t end) {
      std::vector<T> sum(static_cast<size_t>(in.nlm()) * in.nchannels);
      for (int64_t i = begin; i < end; ++i) {
        std::fill(sum.begin(), sum.end(), T{0});
        gather_clones(in, start[i], start[i + 1], sum.data());
        for (int lm = 0; lm < in.nlm(); ++lm)
          std::copy_n(sum.data() + static_cast<int64_t>(lm) * in.nchannels, in.nchannels,
                      out + (lm * in.natoms + i) * in.nchannels);
      }
    });
  }

 private:
  int lmax_;
  bool passed_;
};

template <typename T> class GatherGrad {
 public:
  explicit GatherGrad(TF_OpKernelConstruction* ctx)
      : lmax_(int_attr(ctx, "lmax", 0, 8)), passed_(bool_attr(ctx, "passed")) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const MessageInputs<T> inputs(ctx, lmax_, passed_, 1);
    const Messages<T>& in = inputs.view;
    const T* g = grad.shaped({in.nlm(), in.natoms, in.nchannels}).template data<T>();
    T* to_radial = allocate_output<T>(ctx, 0, {in.npairs, in.width()});
    T* to_rows = allocate_output<T>(ctx, 1, {in.npairs, in.nlm()});
    T* to_sent = allocate_output<T>(ctx, 2, {in.natoms, in.nchannels});
    const int64_t nsenders = in.passed ? in.natoms : 0;
    T* to_tensors = allocate_output<T>(ctx, 3, {in.nlm(), nsenders, in.nchannels});
    parallel_for(in.npairs, kGrainPairs,
                 [&](int64_t begin, int64_t end) { pull_pairs(in, g, begin, end, to_radial, to_rows); });
    std::fill(to_sent, to_sent + in.natoms * in.nchannels, T{0});
    std::fill(to_tensors, to_tensors + in.nlm() * nsenders * in.nchannels, T{0});
    // Pairs sorted by the atom that sent: each thread sums for atoms of its own, in one order.
    const auto start = starts(in.atom, in.npairs, in.natoms);
    std::vector<int64_t> order(in.npairs), place(start.begin(), start.end() - 1);
    for (int64_t p = 0; p < in.npairs; ++p) order[place[in.atom[p]]++] = p;
    const int64_t stride = nsenders * in.nchannels;
    parallel_for(in.natoms, kGrainAtoms, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        pull_atoms(in, g, order.data() + start[j], order.data() + start[j + 1], to_sent + j * in.nchannels,
                   in.passed ? to_tensors + j * in.nchannels : nullptr, stride);
    });
  }

 private:
  int lmax_;
  bool passed_;
};

const bool registered = [] {
  register_op({"DdGather",
               {"T: {float, double}", "lmax: int >= 0", "passed: bool"},
               {"center: int32", "atom: int32", "radial: T", "rows: T", "sent: T", "tensors: T"},
               {"gathered: T"}});
  register_float_kernels<Gather>("DdGather");
  register_op({"DdGatherGrad",
               {"T: {float, double}", "lmax: int >= 0", "passed: bool"},
               {"grad: T", "center: int32", "atom: int32", "radial: T", "rows: T", "sent: T", "tensors: T"},
               {"grad_radial: T", "grad_rows: T", "grad_sent: T", "grad_tensors: T"}});
  register_float_kernels<GatherGrad>("DdGatherGrad");
  return true;
}();

}  // namespace
}  // namespace dd
