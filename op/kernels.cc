// The kernels: compiled once for each instruction set (build.py), which names itself DD_ISA. Nothing here
// may leave a symbol that the linker could share with another instruction set's: all is inlined or local,
// and no function of the standard library is called.
#include "groups.h"

namespace dd {
namespace {

// The four rows of coefficients of an interval, one after the other; rows past the last are zero.
template <typename T> DD_INLINE const T* interval_rows(const Basis& basis, const T* coef, int interval, Groups<T>& g) {
  const T* rows = coef + interval * basis.nlm;
  const int present = basis.nspline - interval;
  if (present >= 4) return rows;
  for (int k = 0; k < 4 * basis.nlm; ++k) g.padded_coef[k] = k < present * basis.nlm ? rows[k] : 0;
  return g.padded_coef;
}

// Adds the lanes' values to a column of their points' sums.
template <typename T>
DD_INLINE void add_values(const Basis& basis, const T* __restrict value, const Groups<T>& g, int width,
                          double* __restrict sum) {
  const int32_t* __restrict point = g.lanes.point;
  const int32_t nlanes = g.start[basis.nspline];
  for (int32_t lane = 0; lane < nlanes; ++lane) sum[int64_t{point[lane]} * width] += value[lane];
}

// Orders known when compiling are types of their own: loops over (l, m) are unrolled.
DD_INLINE int last_harmonic(int lmax) { return (lmax + 1) * (lmax + 1) - 1; }
template <int lmax> DD_INLINE constexpr Constant<(lmax + 1) * (lmax + 1) - 1> last_harmonic(Constant<lmax>) { return {}; }

// sum_lm row_k[lm] S_lm for the four rows k.
template <typename T, typename Lmax>
DD_INLINE void contract(const T* rows, Lmax lmax, const Vector<T> (*S)[1], Vector<T>* g) {
  const int nlm = (lmax + 1) * (lmax + 1);
  Vector<T> g0{}, g1{}, g2{}, g3{};
  const auto add = [&](int k) __attribute__((always_inline)) {
    const Vector<T> value = S[k][0];
    g0 += rows[k] * value;
    g1 += rows[nlm + k] * value;
    g2 += rows[2 * nlm + k] * value;
    g3 += rows[3 * nlm + k] * value;
  };
  for_range(Constant<0>{}, last_harmonic(lmax), add);
  g[0] = g0, g[1] = g1, g[2] = g2, g[3] = g3;
}

// Density channels of all groups.
struct Values {
  template <typename T, typename Lmax>
  static DD_INLINE void add(const BlockView<T>& block, Lmax lmax, const T* coef, Groups<T>& g) {
    const Basis& basis = block.basis;
    for (int c = 0; c < block.nchannel; ++c) {
      const T* channel = coef + (block.first_channel + c) * basis.per_channel();
      for (int interval = 0; interval < basis.nspline; ++interval)
        if (g.start[interval] != g.start[interval + 1]) group(basis, lmax, channel, interval, g);
      add_values(basis, g.lanes.value[0], g, block.nchannel, block.sum + c);
    }
  }

 private:
  template <typename T, typename Lmax>
  static DD_INLINE void group(const Basis& basis, Lmax lmax, const T* coef, int interval, Groups<T>& g) {
    const Lanes<T>& lanes = g.lanes;
    const T* rows = interval_rows(basis, coef, interval, g);
    Vector<T> S[kMaxNlm][1], f[4], weight[4];
    for (int32_t at = g.start[interval]; at < g.start[interval + 1]; at += kWidth<T>) {
      const Vector<T> x = load(lanes.u[0] + at), y = load(lanes.u[1] + at), z = load(lanes.u[2] + at);
      harmonics<Vector<T>, 1>(lmax, &x, &y, &z, S);
      spline_weights(load(lanes.t + at) - static_cast<T>(interval), weight);
      contract<T>(rows, lmax, S, f);
      store<T>(weight[0] * f[0] + weight[1] * f[1] + weight[2] * f[2] + weight[3] * f[3], lanes.value[0] + at);
    }
  }
};

// Gradient of the first channel with respect to the points.
struct Gradients {
  template <typename T, typename Lmax>
  static DD_INLINE void add(const BlockView<T>& block, Lmax lmax, const T* coef, Groups<T>& g) {
    const Basis& basis = block.basis;
    for (int interval = 0; interval < basis.nspline; ++interval)
      if (g.start[interval] != g.start[interval + 1]) group(basis, lmax, coef, interval, g);
    for (int b = 0; b < 3; ++b) add_values(basis, g.lanes.value[b], g, 3, block.sum + b);
  }

 private:
  template <typename T, typename Lmax>
  static DD_INLINE void group(const Basis& basis, Lmax lmax, const T* coef, int interval, Groups<T>& g) {
    const int nlm = basis.nlm;
    const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
    const Lanes<T>& lanes = g.lanes;
    const T* rows = interval_rows(basis, coef, interval, g);
    Vector<T> S[kMaxNlm][1], gS[kMaxNlm], f[4], weight[4], slope[4];
    for (int32_t at = g.start[interval]; at < g.start[interval + 1]; at += kWidth<T>) {
      const Vector<T> t = load(lanes.t + at), v = t - static_cast<T>(interval);
      const Vector<T> u[3] = {load(lanes.u[0] + at), load(lanes.u[1] + at), load(lanes.u[2] + at)};
      harmonics<Vector<T>, 1>(lmax, &u[0], &u[1], &u[2], S);
      spline_weights(v, weight);
      spline_slopes(v, slope);
      contract<T>(rows, lmax, S, f);
      const Vector<T> gt = scale * (slope[0] * f[0] + slope[1] * f[1] + slope[2] * f[2] + slope[3] * f[3]);
      for (int k = 0; k < nlm; ++k)
        gS[k] = rows[k] * weight[0] + rows[nlm + k] * weight[1] + rows[2 * nlm + k] * weight[2] +
                rows[3 * nlm + k] * weight[3];
      Vector<T> gu[3] = {};
      harmonics_pullback<Vector<T>>(lmax, u, &S[0][0], gS, gu);
      // dt/dd = scale u;  du_a/dd_b = (delta_ab - u_a u_b) / q
      const Vector<T> along = gu[0] * u[0] + gu[1] * u[1] + gu[2] * u[2];
      const Vector<T> inv_q = 1 / (soft + t / scale);
      for (int b = 0; b < 3; ++b) store<T>(gt * u[b] + (gu[b] - along * u[b]) * inv_q, lanes.value[b] + at);
    }
  }
};

template <class Work, typename T, typename Lmax>
DD_INLINE void block_of_lmax(Lmax lmax, const BlockView<T>& block, Groups<T>& g) {
  set_points(block, g);
  for (int64_t i = 0; i < block.nimages; ++i) {
    const double image[3] = {block.image[0][i] - block.middle[0], block.image[1][i] - block.middle[1],
                             block.image[2][i] - block.middle[2]};
    group_around(block.basis, image, g);
    Work::add(block, lmax, block.coef + block.atom[i] * block.basis.per_atom(), g);
  }
}

// Usual orders in single precision.
template <class Work> void sum_over_images(const BlockView<float>& block, Groups<float>& g) {
  const int lmax = block.basis.lmax;
  switch (lmax) {
    case 2: return block_of_lmax<Work>(Constant<2>{}, block, g);
    case 3: return block_of_lmax<Work>(Constant<3>{}, block, g);
    case 4: return block_of_lmax<Work>(Constant<4>{}, block, g);
    case 5: return block_of_lmax<Work>(Constant<5>{}, block, g);
    default: return block_of_lmax<Work>(lmax, block, g);
  }
}
template <class Work> void sum_over_images(const BlockView<double>& block, Groups<double>& g) {
  block_of_lmax<Work>(block.basis.lmax, block, g);
}

}  // namespace
}  // namespace dd

#include "atom_sums.h"
#include "coupling.h"
#include "grouped.h"
#include "interpolate.h"
#include "newton_schulz.h"
#include "pair_products.h"
#include "pair_sums.h"

namespace dd {
namespace {

template <typename T> void table(const TableView<T>& table, const T* x, int64_t n, T* out) {
  const int64_t nout = table.nout;
  for (int64_t i = 0; i < n; ++i) {
    const T scaled = x[i] / table.step, end = static_cast<T>(table.nintervals);
    const T place = scaled < 0 ? T{0} : scaled > end ? end : scaled;
    const int64_t whole = static_cast<int64_t>(place), last = table.nintervals - 1;
    const int64_t interval = whole < last ? whole : last;
    const T v = (place - static_cast<T>(interval)) * table.step;
    const T* __restrict c = table.coef + interval * kTableTerms * nout;
    T* __restrict y = out + i * nout;
    for (int64_t k = 0; k < nout; ++k) {
      T value = c[(kTableTerms - 1) * nout + k];
      for (int term = kTableTerms - 2; term >= 0; --term) value = value * v + c[term * nout + k];
      y[k] = value;
    }
  }
}

template <typename T> constexpr KernelsOf<T> all_of() {
  return {&sum_over_images<Values>, &sum_over_images<Gradients>, &sum_pairs<T>,      &coef_gradient<T>,
          &table<T>,                &gather<T>,                   &pull_pairs<T>,     &pull_atom<T>,
          &grouped<T>,              &grouped_grad_weight<T>,      &couple<T>,         &sum_products<T>,
          &pull_functions<T>,       &interpolate<T>,              &pull_nodes<T>,     &newton_schulz<T>};
}

}  // namespace

#define DD_PASTE(a, b) a##b
#define DD_NAMED(isa) DD_PASTE(kernels_, isa)
#define DD_TEXT(isa) #isa
#define DD_NAME(isa) DD_TEXT(isa)
extern const Kernels DD_NAMED(DD_ISA);
constexpr Kernels DD_NAMED(DD_ISA) = {DD_NAME(DD_ISA), all_of<float>(), all_of<double>()};

}  // namespace dd
