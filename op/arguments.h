// Arguments that several ops share, read and checked.
#pragma once

#include <cmath>
#include <cstdint>

#include "basis.h"
#include "kernel.h"

namespace dd {

// Row splits: where each frame's rows begin and the last one's end.
inline const int32_t* row_splits(const Input& input, int64_t nframes, int64_t total) {
  const int32_t* s = input.shaped({nframes + 1}).data<int32_t>();
  bool ok = s[0] == 0 && s[nframes] == total;
  for (int64_t f = 0; f < nframes; ++f) ok = ok && s[f] <= s[f + 1];
  require(ok, input.name(), " must rise from 0 to ", total);
  return s;
}

// From the coefficients (natoms, nchannel, nspline, nlm) and `radial`: cut-off and softening length.
inline Basis read_basis(const Input& coef, const Input& radial) {
  coef.shaped({-1, -1, -1, -1});
  const double* r = radial.shaped({2}).finite().data<double>();
  Basis basis;
  basis.rcut = r[0], basis.soft = r[1];
  // Beyond these bounds rounding, in single precision too, may lead before the first spline.
  require(basis.rcut > 0 && basis.rcut < 1e9 && basis.soft > 1e-6 && basis.soft <= basis.rcut,
          "radial must hold a positive rcut and softening length (Å), the latter no longer than rcut");
  basis.nchannel = static_cast<int>(coef.dim(1, 0, kMaxChannels));
  basis.nspline = static_cast<int>(coef.dim(2, 0, kMaxSplines));
  basis.nlm = static_cast<int>(coef.dim(3, 0, kMaxNlm));
  basis.lmax = static_cast<int>(std::lround(std::sqrt(double(basis.nlm)))) - 1;
  require(basis.nchannel > 0 && basis.nspline > 0 && basis.lmax >= 0 && basis.lmax <= kMaxL &&
              (basis.lmax + 1) * (basis.lmax + 1) == basis.nlm,
          "coef must have shape (natoms, nchannel, nspline, (lmax+1)^2), none of them 0, lmax up to ", kMaxL);
  basis.scale = basis.nspline / (std::sqrt(r[0] * r[0] + r[1] * r[1]) - r[1]);
  return basis;
}

}  // namespace dd
