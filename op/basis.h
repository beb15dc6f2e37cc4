// The density as a sum of atom-centred functions with coefficients per atom:
//
//   rho_c(r) = sum_i sum_lm f_{i,c,lm}(t) S_lm(u),   d = r - R_i,  q = sqrt(|d|^2 + a^2),
//   u = d / q,  t = K (q - a) / (sqrt(rcut^2 + a^2) - a),  f(t) = sum_k coef[i, c, k, lm] N_k(t)
//
// N_k are the uniform cubic B-splines on the knots 0 ... K whose support ends by K: the sum and two
// derivatives vanish at rcut. u and t are smooth functions of d, also at d = 0.
#pragma once

#include <cstdint>

#include "harmonics.h"

namespace dd {

// Bounds of scratch memory; far beyond any use.
constexpr int64_t kMaxChannels = 1 << 16, kMaxSplines = 1 << 12;
constexpr int kMaxNlm = (kMaxL + 1) * (kMaxL + 1);

struct Basis {
  double rcut, soft;
  double scale;  // dt/dq
  int nspline, lmax, nlm, nchannel;

  DD_INLINE int64_t per_channel() const { return int64_t{nspline} * nlm; }
  DD_INLINE int64_t per_atom() const { return nchannel * per_channel(); }
};

// The cubic B-splines that are not zero in an interval, at v in [0, 1] of it, and their derivatives.
template <typename T>
DD_INLINE void spline_weights(const T& v, T* weight) {
  const typename ScalarOf<T>::type sixth = 1.0 / 6;
  const T w = 1 - v;
  weight[0] = w * w * w * sixth;
  weight[1] = (3 * v * v * v - 6 * v * v + 4) * sixth;
  weight[2] = (3 * w * w * w - 6 * w * w + 4) * sixth;
  weight[3] = v * v * v * sixth;
}
template <typename T>
DD_INLINE void spline_slopes(const T& v, T* slope) {
  const typename ScalarOf<T>::type half = 0.5;
  const T w = 1 - v;
  slope[0] = -w * w * half;
  slope[1] = v * (3 * v - 4) * half;
  slope[2] = w * (4 - 3 * w) * half;
  slope[3] = v * v * half;
}

}  // namespace dd
