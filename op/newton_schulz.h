// Newton-Schulz steps: a matrix towards the orthogonal one next to it (orthogonal.cc).
#pragma once

#include "groups.h"

namespace dd {
namespace {

// x <- a x + b (x x^T) x + c (x x^T)^2 x: after five, singular values from 1e-3 to 1 lie between 0.7 and 1.2
// (Jordan et al., Muon, 2024).
constexpr double kSteps[3] = {3.4445, -4.7750, 2.0315};
constexpr int kNumSteps = 5;

// One register: sums that a loop carries along stay in it, where those of wider vectors go to memory.
#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif
template <typename T> struct RegisterOf { typedef T type __attribute__((vector_size(kRegisterBytes))); };
template <typename T> using Register = typename RegisterOf<T>::type;

template <typename T> DD_INLINE Register<T> take(const T* from) {
  Register<T> lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

// out = by p q + along r: p (nrows, n), the others (nrows or n, width); widths are whole pairs of registers.
template <typename T>
DD_INLINE void multiply(int64_t nrows, int64_t n, int64_t width, const T* p, int64_t p_width, const T* q, T by,
                        const T* r, T along, T* out) {
  constexpr int kRows = 4, kStep = kRegisterBytes / sizeof(T);
  for (int64_t i = 0; i < nrows; i += kRows) {
    const auto row = [&](int m) { return p + (i + m < nrows ? i + m : nrows - 1) * p_width; };
    const T *p0 = row(0), *p1 = row(1), *p2 = row(2), *p3 = row(3);
    for (int64_t j = 0; j < width; j += 2 * kStep) {
      Register<T> sum[kRows][2] = {};
      for (int64_t k = 0; k < n; ++k)
        for (int half = 0; half < 2; ++half) {
          const Register<T> value = take(q + k * width + j + half * kStep);
          sum[0][half] += p0[k] * value;
          sum[1][half] += p1[k] * value;
          sum[2][half] += p2[k] * value;
          sum[3][half] += p3[k] * value;
        }
      for (int m = 0; m < kRows && i + m < nrows; ++m)
        for (int half = 0; half < 2; ++half) {
          const int64_t place = (i + m) * width + j + half * kStep;
          const Register<T> value = by * sum[m][half] + along * take(r + place);
          __builtin_memcpy(out + place, &value, sizeof value);
        }
    }
  }
}

template <typename T> DD_INLINE T inverse_norm(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return static_cast<T>(1 / (root(sum) + 1e-30));
}

template <typename T> void newton_schulz(const SquaringView<T>& in, const T* x, T* out) {
  const int64_t n = in.shorter(), width = in.padded(in.longer()), square = in.padded(n);
  // Wide: rows are the shorter side. Padding is zeros, and stays so.
  T* wide = in.scratch;
  T *next = wide + n * width, *across = next + n * width, *gram = across + in.longer() * square,
    *polynomial = gram + n * square;
  for (int64_t i = 0; i < in.scratch_size(); ++i) in.scratch[i] = 0;
  const int64_t down = in.rows <= in.columns ? in.columns : 1, along = in.rows <= in.columns ? 1 : in.columns;
  const T scale = inverse_norm(x, in.rows * in.columns);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < in.longer(); ++j) wide[i * width + j] = scale * x[i * down + j * along];
  const T a = static_cast<T>(kSteps[0]), b = static_cast<T>(kSteps[1]), c = static_cast<T>(kSteps[2]);
  for (int step = 0; step < kNumSteps; ++step) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < in.longer(); ++j) across[j * square + i] = wide[i * width + j];
    multiply<T>(n, in.longer(), square, wide, width, across, 1, gram, 0, gram);
    multiply<T>(n, n, square, gram, square, gram, c, gram, b, polynomial);
    multiply<T>(n, n, width, polynomial, square, wide, 1, wide, a, next);
    T* last = wide;
    wide = next, next = last;
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < in.longer(); ++j) out[i * down + j * along] = wide[i * width + j];
}

}  // namespace
}  // namespace dd
