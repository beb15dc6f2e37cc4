// Kernel of sums of products of rows (coupling.cc).
#pragma once

#include "registers.h"

namespace dd {
namespace {

// Columns that are worked on together: the rows of all three arrays stay in the fastest cache.
constexpr int kRegistersOfRow = 6;

template <typename T> struct Strip {
  static constexpr int kWidth = kRegistersOfRow * kLaneCount<T>;
  T row[kMaxNlm][kWidth];

  // Columns past the last are zeros.
  DD_INLINE void load(const T* from, int64_t nrows, int64_t stride, int64_t width) {
    for (int64_t i = 0; i < nrows; ++i)
      if (width == kWidth)
        __builtin_memcpy(row[i], from + i * stride, sizeof row[i]);
      else
        for (int64_t j = 0; j < kWidth; ++j) row[i][j] = j < width ? from[i * stride + j] : 0;
  }
};

// Row `c` of the result, from the terms from `t` on that belong to it; returns where they end.
template <typename T>
DD_INLINE int64_t couple_row(const CouplingView<T>& in, int64_t t, int32_t c, const Strip<T>& left,
                             const Strip<T>& right, T* out) {
  // Copies: nothing that is written may change them.
  const int32_t* term = in.term;
  const T* value = in.value;
  const int64_t nterms = in.nterms;
  Register<T> sum[kRegistersOfRow] = {};
  for (; t < nterms && term[3 * t] == c; ++t) {
    const T *a = left.row[term[3 * t + 1]], *b = right.row[term[3 * t + 2]];
    const T factor = value[t];
    for (int k = 0; k < kRegistersOfRow; ++k)
      sum[k] += factor * (take(a + k * kLaneCount<T>) * take(b + k * kLaneCount<T>));
  }
  for (int k = 0; k < kRegistersOfRow; ++k) put<T>(sum[k], out + k * kLaneCount<T>);
  return t;
}

template <typename T> void couple(const CouplingView<T>& in, int64_t begin, int64_t end, T* out) {
  Strip<T> left, right;
  T made[Strip<T>::kWidth];
  for (int64_t j = begin; j < end; j += Strip<T>::kWidth) {
    const int64_t width = end - j < Strip<T>::kWidth ? end - j : Strip<T>::kWidth;
    left.load(in.left + j, in.nlm, in.ncolumns, width);
    right.load(in.right + j, in.nlm, in.ncolumns, width);
    int64_t t = 0;
    for (int32_t c = 0; c < in.nlm; ++c) {
      t = couple_row(in, t, c, left, right, made);
      if (width == Strip<T>::kWidth)
        __builtin_memcpy(out + c * in.ncolumns + j, made, sizeof made);
      else
        for (int64_t k = 0; k < width; ++k) out[c * in.ncolumns + j + k] = made[k];
    }
  }
}

}  // namespace
}  // namespace dd
