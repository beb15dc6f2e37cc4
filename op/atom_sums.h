// Kernels of what atoms send each other (see kernels.h).
#pragma once

#include "inline.h"
#include "kernels.h"

namespace dd {
namespace {

template <typename T> DD_INLINE void zero(T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = 0;
}

// What belongs to one pair and one l: weights of the row and, where atoms pass tensors, of those.
template <typename T> struct Weights {
  const T *own, *passed;
};

template <typename T> DD_INLINE Weights<T> weights(const MessagesView<T>& in, int64_t p, int l) {
  const T* own = in.radial + p * in.width() + int64_t{l} * in.nchannels;
  return {own, in.passed ? own + int64_t{in.nl} * in.nchannels : nullptr};
}

template <typename T> DD_INLINE const T* tensor(const MessagesView<T>& in, int lm, int64_t j) {
  return in.tensors + (lm * in.natoms + j) * in.nchannels;
}

template <typename T> void gather(const MessagesView<T>& in, int64_t begin, int64_t end, T* __restrict sum) {
  const int K = in.nchannels;
  zero(sum, int64_t{in.nlm()} * K);
  for (int64_t p = begin; p < end; ++p) {
    const T* row = in.rows + p * in.nlm();
    const T* sent = in.sent + int64_t{in.atom[p]} * K;
    for (int l = 0; l < in.nl; ++l) {
      const Weights<T> w = weights(in, p, l);
      for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
        T* __restrict to = sum + int64_t{lm} * K;
        const T value = row[lm], first = row[0];
        if (in.passed) {
          const T* from = tensor(in, lm, in.atom[p]);
          for (int k = 0; k < K; ++k) to[k] += value * w.own[k] * sent[k] + first * w.passed[k] * from[k];
        } else {
          for (int k = 0; k < K; ++k) to[k] += value * w.own[k] * sent[k];
        }
      }
    }
  }
}

template <typename T>
DD_INLINE void pull_pair(const MessagesView<T>& in, const T* grad, int64_t p, T* __restrict to_radial,
                         T* __restrict to_row) {
  const int K = in.nchannels;
  const T* row = in.rows + p * in.nlm();
  const T* sent = in.sent + int64_t{in.atom[p]} * K;
  zero(to_radial, in.width());
  T to_first = 0;
  for (int l = 0; l < in.nl; ++l) {
    const Weights<T> w = weights(in, p, l);
    T* __restrict to_own = to_radial + int64_t{l} * K;
    T* __restrict to_passed = to_own + int64_t{in.nl} * K;
    for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
      const T* g = grad + (lm * in.natoms + in.center[p]) * K;
      const T value = row[lm], first = row[0];
      T dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int k = 0; k < K; ++k) {
        const T part = g[k] * sent[k];
        to_own[k] += value * part;
        dot += w.own[k] * part;
      }
      to_row[lm] = dot;
      if (!in.passed) continue;
      const T* from = tensor(in, lm, in.atom[p]);
      T dot_first = 0;
#pragma omp simd reduction(+ : dot_first)
      for (int k = 0; k < K; ++k) {
        const T part = g[k] * from[k];
        to_passed[k] += first * part;
        dot_first += w.passed[k] * part;
      }
      to_first += dot_first;
    }
  }
  to_row[0] += to_first;
}

template <typename T>
void pull_pairs(const MessagesView<T>& in, const T* grad, int64_t begin, int64_t end, T* radial, T* rows) {
  for (int64_t p = begin; p < end; ++p) pull_pair(in, grad, p, radial + p * in.width(), rows + p * in.nlm());
}

template <typename T>
void pull_atom(const MessagesView<T>& in, const T* grad, const int32_t* pairs, int64_t npairs, T* __restrict to_sent,
               T* __restrict to_tensors, int64_t stride) {
  const int K = in.nchannels;
  for (int64_t index = 0; index < npairs; ++index) {
    const int64_t p = pairs[index];
    const T* row = in.rows + p * in.nlm();
    for (int l = 0; l < in.nl; ++l) {
      const Weights<T> w = weights(in, p, l);
      for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
        const T* g = grad + (lm * in.natoms + in.center[p]) * K;
        const T value = row[lm], first = row[0];
        for (int k = 0; k < K; ++k) to_sent[k] += value * w.own[k] * g[k];
        if (!in.passed) continue;
        T* __restrict to = to_tensors + lm * stride;
        for (int k = 0; k < K; ++k) to[k] += first * w.passed[k] * g[k];
      }
    }
  }
}

}  // namespace
}  // namespace dd
