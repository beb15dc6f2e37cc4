// Real solid harmonics S_lm(u), Racah normalisation: sum_m S_lm(u)^2 = |u|^(2l).
//
// Order within one l: m = l, -l, l-1, -(l-1), ..., 1, -1, 0; so l = 1 is (x, y, z).
// Recurrences: T. Helgaker, P. Jorgensen, J. Olsen, Molecular Electronic-Structure Theory,
// eqs 6.4.70 to 6.4.72.
#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

namespace dd {

constexpr int kMaxL = 8;

constexpr int harmonic_index(int l, int m) {
  return l * l + (m == 0 ? 2 * l : 2 * (l - (m > 0 ? m : -m)) + (m < 0 ? 1 : 0));
}

// Coefficients of the recurrences, computed once.
struct HarmonicTable {
  double diagonal[kMaxL + 1];             // S_{l,+-l} from S_{l-1,+-(l-1)}
  double a[kMaxL + 1][kMaxL + 1];         // S_{l,m} = a z S_{l-1,m} - b |u|^2 S_{l-2,m}
  double b[kMaxL + 1][kMaxL + 1];
  HarmonicTable() {
    for (int l = 1; l <= kMaxL; ++l) {
      diagonal[l] = l == 1 ? 1.0 : std::sqrt((2.0 * l - 1) / (2.0 * l));
      for (int m = 0; m < l; ++m) {
        const double norm = std::sqrt(double(l + m) * (l - m));
        a[l][m] = (2 * l - 1) / norm;
        b[l][m] = std::sqrt(double(l - 1 + m) * (l - 1 - m)) / norm;
      }
    }
  }
};

inline const HarmonicTable& harmonic_table() {
  static const HarmonicTable table;
  return table;
}

// The number type of T: T itself, or of the elements of a vector type.
template <typename T, bool = std::is_arithmetic<T>::value> struct ScalarOf { using type = T; };
template <typename T> struct ScalarOf<T, false> {
  using type = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<T&>()[0])>>;
};

// Values for W vectors at once (lanes innermost): S[lm][W].
template <typename T, int W>
inline __attribute__((always_inline)) void harmonics(int lmax, const T* __restrict x,
                                                     const T* __restrict y, const T* __restrict z,
                                                     T (*__restrict S)[W]) {
  using Scalar = typename ScalarOf<T>::type;
  const HarmonicTable& table = harmonic_table();
  T n2[W];
  for (int w = 0; w < W; ++w) {
    S[0][w] = T{} + Scalar(1);
    n2[w] = x[w] * x[w] + y[w] * y[w] + z[w] * z[w];
  }
  for (int l = 1; l <= lmax; ++l) {
    const Scalar d = table.diagonal[l];
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
    for (int m = 0; m < l; ++m) {
      const Scalar a = table.a[l][m], b = table.b[l][m];
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
    }
  }
}

// Pulls a gradient back: given g[lm] = dE/dS_lm and the values S[lm] at one vector u,
// adds dE/du to grad. Runs the recurrences backwards.
template <typename T>
inline __attribute__((always_inline)) void harmonics_pullback(int lmax, const T* u, const T* S, T* g,
                                                              T* grad) {
  using Scalar = typename ScalarOf<T>::type;
  const HarmonicTable& table = harmonic_table();
  const T x = u[0], y = u[1], z = u[2];
  const T n2 = x * x + y * y + z * z;
  T gx{}, gy{}, gz{}, gn2{};
  for (int l = lmax; l >= 1; --l) {
    for (int m = l - 1; m >= 0; --m) {
      const Scalar a = table.a[l][m], b = table.b[l][m];
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
    const Scalar d = table.diagonal[l];
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
