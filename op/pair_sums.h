// Sums over lists of pairs (PairsView in kernels.h), and their gradients.
#pragma once

#include "kernels.h"

namespace dd {
namespace {

constexpr int kLanes = 16;

// Where a pair sits: spline interval, weights of its four splines and their derivatives, soft unit vector.
template <typename T> struct Placed {
  int first;
  T weight[4], dweight[4];
  T u[3];
  T inv_q;
};

template <typename T> DD_INLINE bool place(const Basis& basis, const double* d, Placed<T>* out) {
  const double q = __builtin_sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + basis.soft * basis.soft);
  const double stretched = (q - basis.soft) * basis.scale;
  if (!(stretched < basis.nspline)) return false;
  // Rounding must not lead before the first spline.
  const double t = stretched > 0 ? stretched : 0.0;
  const int first = static_cast<int>(t);
  const T v = static_cast<T>(t - first);
  out->first = first;
  spline_weights(v, out->weight);
  spline_slopes(v, out->dweight);
  out->inv_q = static_cast<T>(1 / q);
  for (int c = 0; c < 3; ++c) out->u[c] = static_cast<T>(d[c] / q);
  return true;
}

DD_INLINE int rows_from(const Basis& basis, int first) {
  return basis.nspline - first < 4 ? basis.nspline - first : 4;
}

// f_lm = sum of the four coefficient rows with the given weights; rows past the last knot are zero.
template <typename T>
DD_INLINE void mix(const T* __restrict coef, int nlm, int rows, const T* weight, T* __restrict f) {
  for (int k = 0; k < nlm; ++k) f[k] = weight[0] * coef[k];
  for (int row = 1; row < rows; ++row)
    for (int k = 0; k < nlm; ++k) f[k] += weight[row] * coef[row * nlm + k];
}

// S_lm of a block of placed pairs, lanes innermost.
template <typename T>
DD_INLINE void block_harmonics(int lmax, const Placed<T>* placed, int count, T (*S)[kLanes]) {
  T x[kLanes] = {}, y[kLanes] = {}, z[kLanes] = {};
  for (int w = 0; w < count; ++w) x[w] = placed[w].u[0], y[w] = placed[w].u[1], z[w] = placed[w].u[2];
  harmonics<T, kLanes>(lmax, x, y, z, S);
}

template <typename T> void sum_pairs(const PairsView<T>& view, int64_t begin, int64_t end, double* density) {
  const Basis& basis = view.basis;
  Placed<T> placed[kLanes];
  int64_t pair[kLanes];
  T S[kMaxNlm][kLanes], f[kMaxNlm];
  for (int64_t p = begin; p < end;) {
    int count = 0;
    for (; p < end && count < kLanes; ++p)
      if (place(basis, view.disp + 3 * p, &placed[count])) pair[count++] = p;
    block_harmonics(basis.lmax, placed, count, S);
    for (int w = 0; w < count; ++w) {
      const T* coef = view.coef + view.atom[pair[w]] * basis.per_atom() + placed[w].first * basis.nlm;
      for (int c = 0; c < basis.nchannel; ++c) {
        mix(coef + c * basis.per_channel(), basis.nlm, rows_from(basis, placed[w].first), placed[w].weight, f);
        T sum = 0;
        for (int k = 0; k < basis.nlm; ++k) sum += f[k] * S[k][w];
        density[int64_t{view.point[pair[w]]} * basis.nchannel + c] += sum;
      }
    }
  }
}

template <typename T>
void coef_gradient(const PairsView<T>& view, const double* grad, const int32_t* pairs, int64_t npairs, T* out) {
  const Basis& basis = view.basis;
  Placed<T> placed[kLanes];
  int64_t pair[kLanes];
  T S[kMaxNlm][kLanes];
  for (int64_t n = 0; n < npairs;) {
    int count = 0;
    for (; n < npairs && count < kLanes; ++n)
      if (place(basis, view.disp + 3 * int64_t{pairs[n]}, &placed[count])) pair[count++] = pairs[n];
    block_harmonics(basis.lmax, placed, count, S);
    for (int w = 0; w < count; ++w) {
      const int rows = rows_from(basis, placed[w].first);
      T row_S[kMaxNlm];
      for (int k = 0; k < basis.nlm; ++k) row_S[k] = S[k][w];
      for (int c = 0; c < basis.nchannel; ++c) {
        const T g = static_cast<T>(grad[int64_t{view.point[pair[w]]} * basis.nchannel + c]);
        T* __restrict target = out + c * basis.per_channel() + placed[w].first * basis.nlm;
        for (int row = 0; row < rows; ++row) {
          const T gw = g * placed[w].weight[row];
          for (int k = 0; k < basis.nlm; ++k) target[row * basis.nlm + k] += gw * row_S[k];
        }
      }
    }
  }
}

}  // namespace
}  // namespace dd
