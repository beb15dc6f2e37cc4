// The density as a sum of atom-centred functions with coefficients per atom:
//
//   rho_c(r) = sum_i sum_lm f_{i,c,lm}(t) S_lm(u),   d = r - R_i,  q = sqrt(|d|^2 + a^2),
//   u = d / q,  t = K (q - a) / (sqrt(rcut^2 + a^2) - a),  f(t) = sum_k coef[i, c, k, lm] N_k(t)
//
// N_k are the uniform cubic B-splines on the knots 0 ... K whose support ends by K: the sum and two
// derivatives vanish at rcut. u and t are smooth functions of d, also at d = 0.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "harmonics.h"
#include "kernel.h"

namespace dd {

constexpr int kMaxNlm = (kMaxL + 1) * (kMaxL + 1);

struct Basis {
  double rcut, soft;
  double scale;  // dt/dq
  int nspline, lmax, nlm, nchannel;

  int64_t per_channel() const { return int64_t{nspline} * nlm; }
  int64_t per_atom() const { return nchannel * per_channel(); }
};

// From the coefficients (natoms, nchannel, nspline, nlm) and `radial`: cut-off and softening length.
inline Basis read_basis(const Input& coef, const Input& radial) {
  coef.shaped({-1, -1, -1, -1});
  const double* r = radial.shaped({2}).finite().data<double>();
  Basis basis;
  basis.rcut = r[0], basis.soft = r[1];
  // Beyond these bounds rounding, in single precision too, may lead before the first spline.
  require(basis.rcut > 0 && basis.rcut < 1e9 && basis.soft > 1e-6 && basis.soft <= basis.rcut,
          "radial must hold a positive rcut and softening length (Å), the latter no longer than rcut");
  basis.nchannel = static_cast<int>(coef.dim(1));
  basis.nspline = static_cast<int>(coef.dim(2));
  basis.nlm = static_cast<int>(coef.dim(3));
  basis.lmax = static_cast<int>(std::lround(std::sqrt(double(basis.nlm)))) - 1;
  require(basis.nchannel > 0 && basis.nspline > 0 && basis.lmax >= 0 && basis.lmax <= kMaxL &&
              (basis.lmax + 1) * (basis.lmax + 1) == basis.nlm,
          "coef must have shape (natoms, nchannel, nspline, (lmax+1)^2), none of them 0, lmax up to " +
              std::to_string(kMaxL));
  basis.scale = basis.nspline / (std::sqrt(r[0] * r[0] + r[1] * r[1]) - r[1]);
  return basis;
}

// The cubic B-splines that are not zero in an interval, at v in [0, 1] of it, and their derivatives.
template <typename T>
inline __attribute__((always_inline)) void spline_weights(const T& v, T* weight) {
  const typename ScalarOf<T>::type sixth = 1.0 / 6;
  const T w = 1 - v;
  weight[0] = w * w * w * sixth;
  weight[1] = (3 * v * v * v - 6 * v * v + 4) * sixth;
  weight[2] = (3 * w * w * w - 6 * w * w + 4) * sixth;
  weight[3] = v * v * v * sixth;
}
template <typename T>
inline __attribute__((always_inline)) void spline_slopes(const T& v, T* slope) {
  const typename ScalarOf<T>::type half = 0.5;
  const T w = 1 - v;
  slope[0] = -w * w * half;
  slope[1] = v * (3 * v - 4) * half;
  slope[2] = w * (4 - 3 * w) * half;
  slope[3] = v * v * half;
}

}  // namespace dd
