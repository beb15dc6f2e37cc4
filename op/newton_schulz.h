// Newton-Schulz steps: a matrix towards the orthogonal one next to it (orthogonal.cc).
#pragma once

#include "registers.h"

namespace dd {
namespace {

// x <- a x + b (x x^T) x + c (x x^T)^2 x: after five, singular values from 1e-3 to 1 lie between 0.7 and 1.2
// (Jordan et al., Muon, 2024).
constexpr double kSteps[3] = {3.4445, -4.7750, 2.0315};
constexpr int kNumSteps = 5;

// Columns from `first` on of the rows from `i` on of by p q + along r.
template <typename T>
DD_INLINE void multiply_rows(int64_t i, int64_t nrows, int64_t n, int64_t first, int64_t width, const T* p,
                             int64_t p_width, const T* q, T by, const T* r, T along, T* out) {
  constexpr int kStep = kLaneCount<T>;
  const T* row[kRows];
  for (int m = 0; m < kRows; ++m) row[m] = p + (i + m < nrows ? i + m : nrows - 1) * p_width;
  for (int64_t j = first; j < width; j += 2 * kStep) {
    Register<T> sum[kRows][2] = {};
    for (int64_t k = 0; k < n; ++k) {
      const Register<T> left = take(q + k * width + j), right = take(q + k * width + j + kStep);
      for (int m = 0; m < kRows; ++m) {
        sum[m][0] += row[m][k] * left;
        sum[m][1] += row[m][k] * right;
      }
    }
    for (int m = 0; m < kRows && i + m < nrows; ++m)
      for (int half = 0; half < 2; ++half) {
        const int64_t place = (i + m) * width + j + half * kStep;
        put<T>(by * sum[m][half] + along * take(r + place), out + place);
      }
  }
}

// out = by p q + along r: p (nrows, n), the others (nrows or n, width); widths are whole pairs of registers.
template <typename T>
DD_INLINE void multiply(int64_t nrows, int64_t n, int64_t width, const T* p, int64_t p_width, const T* q, T by,
                        const T* r, T along, T* out) {
  for (int64_t i = 0; i < nrows; i += kRows)
    multiply_rows<T>(i, nrows, n, 0, width, p, p_width, q, by, r, along, out);
}

// The same where the result is symmetric: half of it is made, and copied.
template <typename T>
DD_INLINE void multiply_symmetric(int64_t nrows, int64_t n, int64_t width, const T* p, int64_t p_width, const T* q,
                                  T by, const T* r, T along, T* out) {
  constexpr int64_t kColumns = 2 * kLaneCount<T>;
  for (int64_t i = 0; i < nrows; i += kRows)
    multiply_rows<T>(i, nrows, n, i / kColumns * kColumns, width, p, p_width, q, by, r, along, out);
  for (int64_t i = 0; i < nrows; ++i)
    for (int64_t j = 0; j < i; ++j) out[i * width + j] = out[j * width + i];
}

template <typename T> DD_INLINE T inverse_norm(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return static_cast<T>(1 / (root(sum) + 1e-30));
}

// A step takes x to q x, q = a + b g + c g^2 with g = x x^T, and g to q g q; all of these are polynomials in the first
// g, so that their products are symmetric. x itself is multiplied once, by the product of all q: the shorter side of
// a matrix, not the longer one, pays for the steps.
template <typename T> void newton_schulz(const SquaringView<T>& in, const T* x, T* out) {
  const int64_t n = in.shorter(), width = in.padded(in.longer()), square = in.padded(n);
  for (int64_t i = 0; i < in.scratch_size(); ++i) in.scratch[i] = 0;
  // Wide: rows are the shorter side. Padding is zeros, and stays so.
  T *wide = in.scratch, *result = wide + n * width, *across = result + n * width;
  T *gram = across + in.longer() * square, *step = gram + n * square, *product = step + n * square,
    *next = product + n * square;
  const int64_t down = in.rows <= in.columns ? in.columns : 1, along = in.rows <= in.columns ? 1 : in.columns;
  const T scale = inverse_norm(x, in.rows * in.columns);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < in.longer(); ++j)
      wide[i * width + j] = across[j * square + i] = scale * x[i * down + j * along];
  const auto squared = [&](const T* p, const T* q, T by, const T* r, T rest, T* to) __attribute__((always_inline)) {
    multiply_symmetric<T>(n, n, square, p, square, q, by, r, rest, to);
  };
  const T a = static_cast<T>(kSteps[0]), b = static_cast<T>(kSteps[1]), c = static_cast<T>(kSteps[2]);
  multiply_symmetric<T>(n, in.longer(), square, wide, width, across, 1, gram, 0, gram);
  for (int64_t i = 0; i < n; ++i) product[i * square + i] = 1;
  for (int left = kNumSteps; left > 0; --left) {
    squared(gram, gram, c, gram, b, step);
    for (int64_t i = 0; i < n; ++i) step[i * square + i] += a;
    squared(step, product, 1, product, 0, next);
    T* last = product;
    product = next, next = last;
    if (left == 1) break;
    squared(step, gram, 1, gram, 0, next);
    squared(step, next, 1, gram, 0, gram);
  }
  multiply<T>(n, n, width, product, square, wide, 1, wide, 0, result);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < in.longer(); ++j) out[i * down + j * along] = result[i * width + j];
}

}  // namespace
}  // namespace dd
