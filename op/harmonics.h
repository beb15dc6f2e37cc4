// Real solid harmonics S_lm(u), Racah normalisation: sum_m S_lm(u)^2 = |u|^(2l).
//
// Order within one l: m = l, -l, l-1, -(l-1), ..., 1, -1, 0; so l = 1 is (x, y, z).
// Recurrences: T. Helgaker, P. Jorgensen, J. Olsen, Molecular Electronic-Structure Theory,
// eqs 6.4.70 to 6.4.72.
#pragma once

#include <type_traits>
#include <utility>

#include "inline.h"

namespace dd {

constexpr int kMaxL = 8;

DD_INLINE constexpr int harmonic_index(int l, int m) {
  return l * l + (m == 0 ? 2 * l : 2 * (l - (m > 0 ? m : -m)) + (m < 0 ? 1 : 0));
}

// Newton's iteration, since std::sqrt is none of the constant expressions.
constexpr double constant_sqrt(double x) {
  double root = x > 1 ? x : 1;
  for (int k = 0; k < 60; ++k) root = 0.5 * (root + x / root);
  return root;
}

// Coefficients of the recurrences.
struct HarmonicTable {
  double diagonal[kMaxL + 1] = {};         // S_{l,+-l} from S_{l-1,+-(l-1)}
  double a[kMaxL + 1][kMaxL + 1] = {};     // S_{l,m} = a z S_{l-1,m} - b |u|^2 S_{l-2,m}
  double b[kMaxL + 1][kMaxL + 1] = {};
  constexpr HarmonicTable() {
    for (int l = 1; l <= kMaxL; ++l) {
      diagonal[l] = l == 1 ? 1.0 : constant_sqrt((2.0 * l - 1) / (2.0 * l));
      for (int m = 0; m < l; ++m) {
        const double norm = constant_sqrt(double(l + m) * (l - m));
        a[l][m] = (2 * l - 1) / norm;
        b[l][m] = constant_sqrt(double(l - 1 + m) * (l - 1 - m)) / norm;
      }
    }
  }
};
constexpr HarmonicTable kHarmonics;

// A number as a type.
template <int n> struct Constant {
  static constexpr int value = n;
  DD_INLINE constexpr operator int() const { return n; }
};

// Calls body(first), ..., body(last). Where both are types, so is what body gets, and the loop is unrolled.
template <typename First, typename Last, typename Body>
DD_INLINE void for_range(First first, Last last, Body body) {
  if constexpr (std::is_integral<Last>::value) {
    for (int k = first; k <= last; ++k) body(k);
  } else if constexpr (First::value <= Last::value) {
    body(first);
    for_range(Constant<First::value + 1>{}, last, body);
  }
}

// The number type of T: T itself, or of the elements of a vector type.
template <typename T, bool = std::is_arithmetic<T>::value> struct ScalarOf { using type = T; };
template <typename T> struct ScalarOf<T, false> {
  using type = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<T&>()[0])>>;
};

// Values for W vectors at once (lanes innermost): S[lm][W]. lmax is a number or, for loops that are
// unrolled, a Constant.
template <typename T, int W, typename Lmax>
DD_INLINE void harmonics(Lmax lmax, const T* __restrict x,
                                                     const T* __restrict y, const T* __restrict z,
                                                     T (*__restrict S)[W]) {
  using Scalar = typename ScalarOf<T>::type;
  T n2[W];
  for (int w = 0; w < W; ++w) {
    S[0][w] = T{} + Scalar(1);
    n2[w] = x[w] * x[w] + y[w] * y[w] + z[w] * z[w];
  }
  constexpr Constant<1> one;
  for_range(one, lmax, [&](auto l) __attribute__((always_inline)) {
    const Scalar d = kHarmonics.diagonal[l];
    const T* cp = S[harmonic_index(l - 1, l - 1)];
    T* c = S[harmonic_index(l, l)];
    T* s = S[harmonic_index(l, -l)];
    if (l == 1) {
      for (int w = 0; w < W; ++w) { c[w] = x[w]; s[w] = y[w]; }
    } else {
      const T* sp = S[harmonic_index(l - 1, -(l - 1))];
      for (int w = 0; w < W; ++w) {
        c[w] = d * (x[w] * cp[w] - y[w] * sp[w]);
        s[w] = d * (y[w] * cp[w] + x[w] * sp[w]);
      }
    }
    for_range(one, l, [&](auto m_plus_1) __attribute__((always_inline)) {
      const int m = m_plus_1 - 1;
      const Scalar a = kHarmonics.a[l][m], b = kHarmonics.b[l][m];
      for (int sign = 0; sign < (m ? 2 : 1); ++sign) {
        const int mm = sign ? -m : m;
        T* out = S[harmonic_index(l, mm)];
        const T* below = S[harmonic_index(l - 1, mm)];
        if (m <= l - 2) {
          const T* below2 = S[harmonic_index(l - 2, mm)];
          for (int w = 0; w < W; ++w) out[w] = a * z[w] * below[w] - b * n2[w] * below2[w];
        } else {
          for (int w = 0; w < W; ++w) out[w] = a * z[w] * below[w];
        }
      }
    });
  });
}

// Pulls a gradient back: given g[lm] = dE/dS_lm and the values S[lm] at one vector u,
// adds dE/du to grad. Runs the recurrences backwards.
template <typename T>
DD_INLINE void harmonics_pullback(int lmax, const T* u, const T* S, T* g,
                                                              T* grad) {
  using Scalar = typename ScalarOf<T>::type;
  const T x = u[0], y = u[1], z = u[2];
  const T n2 = x * x + y * y + z * z;
  T gx{}, gy{}, gz{}, gn2{};
  for (int l = lmax; l >= 1; --l) {
    for (int m = l - 1; m >= 0; --m) {
      const Scalar a = kHarmonics.a[l][m], b = kHarmonics.b[l][m];
      for (int sign = 0; sign < (m ? 2 : 1); ++sign) {
        const int mm = sign ? -m : m;
        const T go = g[harmonic_index(l, mm)];
        const int below = harmonic_index(l - 1, mm);
        gz += a * go * S[below];
        g[below] += a * go * z;
        if (m <= l - 2) {
          const int below2 = harmonic_index(l - 2, mm);
          gn2 -= b * go * S[below2];
          g[below2] -= b * go * n2;
        }
      }
    }
    const Scalar d = kHarmonics.diagonal[l];
    const T gc = g[harmonic_index(l, l)], gs = g[harmonic_index(l, -l)];
    if (l == 1) {
      gx += gc;
      gy += gs;
    } else {
      const int cp = harmonic_index(l - 1, l - 1), sp = harmonic_index(l - 1, -(l - 1));
      gx += d * (gc * S[cp] + gs * S[sp]);
      gy += d * (gs * S[cp] - gc * S[sp]);
      g[cp] += d * (gc * x + gs * y);
      g[sp] += d * (gs * x - gc * y);
    }
  }
  grad[0] += gx + 2 * x * gn2;
  grad[1] += gy + 2 * y * gn2;
  grad[2] += gz + 2 * z * gn2;
}

}  // namespace dd
