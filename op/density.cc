// The density at points in one go: neighbour search and sum over atoms, without a list of pairs.
//
// Points are sorted into compact blocks. For each block and each image of an atom near it, the
// points within reach are grouped by interval of the radial splines: all points of a group share
// their coefficients, and are worked on side by side in the lanes of vector registers.
#include <algorithm>
#include <vector>

#include "basis.h"
#include "blocks.h"
#include "clones.h"
#include "harmonics.h"
#include "images.h"
#include "kernel.h"
#include "splits.h"
#include "threads.h"

namespace dd {
namespace {

// All functions that take or return vectors are inlined: the ABI of such calls does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

// Vectors of 64 bytes: one AVX-512 register, two of AVX2, four of SSE or NEON.
template <typename T> struct VectorOf { typedef T type __attribute__((vector_size(64))); };
template <typename T> using Vector = typename VectorOf<T>::type;
template <typename T> constexpr int kWidth = 64 / sizeof(T);

#define DD_INLINE inline __attribute__((always_inline))

template <typename T> struct Call {
  Basis basis;
  const T* coef;
};

// Points seen from an atom: softened direction and place in an interval of the radial splines.
template <typename T> struct Placed {
  std::vector<T> u[3], v;

  void resize(int64_t n) {
    for (auto& x : u) x.resize(n);
    v.resize(n);
  }
};

// Scratch of one thread.
template <typename T> struct Scratch {
  std::vector<double> x[3];        // positions of the block's points
  std::vector<int64_t> images;     // within reach of the block
  std::vector<int32_t> interval;   // of each point; nspline: out of reach
  Placed<T> placed;
  std::vector<int32_t> count[4];   // points of each interval
  std::vector<int64_t> start;      // first lane of each interval's group
  Placed<T> grouped;               // the points within reach, by interval
  std::vector<int32_t> point;      // and their numbers in the block
  std::vector<T> padded_coef;      // of intervals whose last splines are not there
  std::vector<double> sum;         // (points + 1, noutput); the last row takes what padding lanes add
};

template <typename T> DD_INLINE void place(const Basis& basis, const Vec& image, int64_t npoints, Scratch<T>& s) {
  const double* __restrict x = s.x[0].data();
  const double* __restrict y = s.x[1].data();
  const double* __restrict z = s.x[2].data();
  int32_t* __restrict interval = s.interval.data();
  T* __restrict ux = s.placed.u[0].data();
  T* __restrict uy = s.placed.u[1].data();
  T* __restrict uz = s.placed.u[2].data();
  T* __restrict v = s.placed.v.data();
  const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
  const double x0 = image[0], y0 = image[1], z0 = image[2];
  const int32_t nspline = basis.nspline;
  for (int64_t p = 0; p < npoints; ++p) {
    const T dx = static_cast<T>(x[p] - x0);
    const T dy = static_cast<T>(y[p] - y0);
    const T dz = static_cast<T>(z[p] - z0);
    const T q = std::sqrt(dx * dx + dy * dy + dz * dz + soft * soft), inv_q = 1 / q;
    // Whatever is out of reach, or no number, goes to the interval past the last: it has no cast.
    const T stretched = (q - soft) * scale, limit = static_cast<T>(nspline);
    const T t = stretched < limit ? stretched : limit;
    const int32_t k = static_cast<int32_t>(t);
    interval[p] = k;
    ux[p] = dx * inv_q;
    uy[p] = dy * inv_q;
    uz[p] = dz * inv_q;
    v[p] = t - static_cast<T>(k);
  }
}

// Neighbouring points often share an interval: counters take turns, or each would wait for the last.
template <typename T> DD_INLINE void count_intervals(int64_t npoints, int nspline, Scratch<T>& s) {
  const int32_t* __restrict interval = s.interval.data();
  for (auto& count : s.count) std::fill_n(count.data(), nspline + 1, 0);
  int32_t* __restrict counts[4] = {s.count[0].data(), s.count[1].data(), s.count[2].data(), s.count[3].data()};
  int64_t p = 0;
  for (; p + 4 <= npoints; p += 4)
    for (int turn = 0; turn < 4; ++turn) ++counts[turn][interval[p + turn]];
  for (; p < npoints; ++p) ++counts[0][interval[p]];
}

// Counting sort by interval, without the points out of reach; every group starts at a multiple of
// the width and is padded by lanes that belong to no point.
template <typename T> DD_INLINE void group_by_interval(const Basis& basis, int64_t npoints, Scratch<T>& s) {
  const int nspline = basis.nspline;
  const int32_t* __restrict interval = s.interval.data();
  int64_t* __restrict start = s.start.data();
  count_intervals(npoints, nspline, s);
  start[0] = 0;
  for (int k = 0; k < nspline; ++k) {
    const int64_t end = start[k] + s.count[0][k] + s.count[1][k] + s.count[2][k] + s.count[3][k];
    const int64_t padded = (end + kWidth<T> - 1) / kWidth<T> * kWidth<T>;
    for (auto* x : {&s.grouped.u[0], &s.grouped.u[1], &s.grouped.u[2], &s.grouped.v})
      std::fill(x->begin() + end, x->begin() + padded, T{0});
    std::fill(s.point.begin() + end, s.point.begin() + padded, static_cast<int32_t>(npoints));
    start[k + 1] = padded;
  }
  const T* __restrict from[4] = {s.placed.u[0].data(), s.placed.u[1].data(), s.placed.u[2].data(), s.placed.v.data()};
  T* __restrict to[4] = {s.grouped.u[0].data(), s.grouped.u[1].data(), s.grouped.u[2].data(), s.grouped.v.data()};
  int32_t* __restrict point = s.point.data();
  for (int64_t p = 0; p < npoints; ++p) {
    if (interval[p] == nspline) continue;
    const int64_t lane = start[interval[p]]++;
    for (int k = 0; k < 4; ++k) to[k][lane] = from[k][p];
    point[lane] = static_cast<int32_t>(p);
  }
  // Each start has moved past its group's last point: the next group's first lane follows.
  for (int k = nspline; k > 0; --k) start[k] = (start[k - 1] + kWidth<T> - 1) / kWidth<T> * kWidth<T>;
  start[0] = 0;
}

// The four rows of coefficients of an interval, one after the other; rows past the last are zero.
template <typename T>
DD_INLINE const T* interval_rows(const Basis& basis, const T* coef, int interval, Scratch<T>& s) {
  const T* rows = coef + interval * basis.nlm;
  const int present = basis.nspline - interval;
  if (present >= 4) return rows;
  std::fill(s.padded_coef.begin(), s.padded_coef.end(), T{0});
  std::copy_n(rows, present * basis.nlm, s.padded_coef.data());
  return s.padded_coef.data();
}

template <typename T> DD_INLINE Vector<T> load(const std::vector<T>& from, int64_t at) {
  Vector<T> lanes;
  __builtin_memcpy(&lanes, from.data() + at, sizeof lanes);
  return lanes;
}

// Adds lane w of `value` to column c of the row of the point in that lane.
template <typename T>
DD_INLINE void scatter(const Vector<T>& value, const int32_t* point, int c, int noutput, double* sum) {
  for (int w = 0; w < kWidth<T>; ++w) sum[int64_t{point[w]} * noutput + c] += value[w];
}

// sum_lm row_k[lm] S_lm for the four rows k.
template <typename T>
DD_INLINE void contract(const T* rows, int nlm, const Vector<T> (*S)[1], Vector<T>* g) {
  Vector<T> g0{}, g1{}, g2{}, g3{};
  for (int k = 0; k < nlm; ++k) {
    const Vector<T> value = S[k][0];
    g0 += rows[k] * value;
    g1 += rows[nlm + k] * value;
    g2 += rows[2 * nlm + k] * value;
    g3 += rows[3 * nlm + k] * value;
  }
  g[0] = g0, g[1] = g1, g[2] = g2, g[3] = g3;
}

// Loops over (l, m) are unrolled where lmax is known when compiling.
constexpr int kAnyLmax = -1;

// Density channels of all groups.
template <int fixed_lmax> struct Values {
  template <typename T>
  static DD_INLINE void add(const Basis& basis, const T* coef, Scratch<T>& s) {
    const int lmax = fixed_lmax == kAnyLmax ? basis.lmax : fixed_lmax, nlm = (lmax + 1) * (lmax + 1);
    const std::vector<T>* u = s.grouped.u;
    Vector<T> S[kMaxNlm][1], g[4], weight[4];
    for (int interval = 0; interval < basis.nspline; ++interval) {
      if (s.start[interval] == s.start[interval + 1]) continue;
      for (int c = 0; c < basis.nchannel; ++c) {
        const T* rows = interval_rows(basis, coef + c * basis.per_channel(), interval, s);
        for (int64_t at = s.start[interval]; at < s.start[interval + 1]; at += kWidth<T>) {
          const Vector<T> x = load(u[0], at), y = load(u[1], at), z = load(u[2], at);
          harmonics<Vector<T>, 1>(lmax, &x, &y, &z, S);
          spline_weights(load(s.grouped.v, at), weight);
          contract<T>(rows, nlm, S, g);
          const Vector<T> value = weight[0] * g[0] + weight[1] * g[1] + weight[2] * g[2] + weight[3] * g[3];
          scatter<T>(value, s.point.data() + at, c, basis.nchannel, s.sum.data());
        }
      }
    }
  }
};

// Gradient of the first channel with respect to the points.
template <int fixed_lmax> struct Gradients {
  template <typename T>
  static DD_INLINE void add(const Basis& basis, const T* coef, Scratch<T>& s) {
    const int lmax = fixed_lmax == kAnyLmax ? basis.lmax : fixed_lmax, nlm = (lmax + 1) * (lmax + 1);
    const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
    Vector<T> S[kMaxNlm][1], gS[kMaxNlm], g[4], weight[4], slope[4];
    for (int interval = 0; interval < basis.nspline; ++interval) {
      if (s.start[interval] == s.start[interval + 1]) continue;
      const T* rows = interval_rows(basis, coef, interval, s);
      for (int64_t at = s.start[interval]; at < s.start[interval + 1]; at += kWidth<T>) {
        const Vector<T> v = load(s.grouped.v, at);
        const Vector<T> u[3] = {load(s.grouped.u[0], at), load(s.grouped.u[1], at), load(s.grouped.u[2], at)};
        harmonics<Vector<T>, 1>(lmax, &u[0], &u[1], &u[2], S);
        spline_weights(v, weight);
        spline_slopes(v, slope);
        contract<T>(rows, nlm, S, g);
        const Vector<T> gt = scale * (slope[0] * g[0] + slope[1] * g[1] + slope[2] * g[2] + slope[3] * g[3]);
        for (int k = 0; k < nlm; ++k)
          gS[k] = rows[k] * weight[0] + rows[nlm + k] * weight[1] + rows[2 * nlm + k] * weight[2] +
                  rows[3 * nlm + k] * weight[3];
        Vector<T> gu[3] = {};
        harmonics_pullback<Vector<T>>(lmax, u, &S[0][0], gS, gu);
        // dt/dd = scale u;  du_a/dd_b = (delta_ab - u_a u_b) / q
        const Vector<T> along = gu[0] * u[0] + gu[1] * u[1] + gu[2] * u[2];
        const Vector<T> inv_q = 1 / (soft + (static_cast<T>(interval) + v) / scale);
        for (int b = 0; b < 3; ++b) {
          const Vector<T> value = gt * u[b] + (gu[b] - along * u[b]) * inv_q;
          scatter<T>(value, s.point.data() + at, b, 3, s.sum.data());
        }
      }
    }
  }
};

// One block of points and all that is needed for it.
template <typename T> struct Block {
  const Call<T>* call;
  const Bins* bins;
  int32_t first_atom;
  int64_t npoints;
  int noutput;
};

template <template <int> class Work, int fixed_lmax, typename T>
DD_INLINE void block_of_lmax(const Block<T>& block, Scratch<T>& s) {
  const Basis& basis = block.call->basis;
  for (const int64_t i : s.images) {
    const Vec image = {block.bins->x[i], block.bins->y[i], block.bins->z[i]};
    place(basis, image, block.npoints, s);
    group_by_interval(basis, block.npoints, s);
    Work<fixed_lmax>::add(basis, block.call->coef + (block.first_atom + block.bins->atom[i]) * basis.per_atom(), s);
  }
}

// Usual orders in single precision.
template <template <int> class Work> DD_INLINE void block_of_points(const Block<float>& block, Scratch<float>& s) {
  switch (block.call->basis.lmax) {
    case 2: return block_of_lmax<Work, 2>(block, s);
    case 3: return block_of_lmax<Work, 3>(block, s);
    case 4: return block_of_lmax<Work, 4>(block, s);
    case 5: return block_of_lmax<Work, 5>(block, s);
    default: return block_of_lmax<Work, kAnyLmax>(block, s);
  }
}
template <template <int> class Work> DD_INLINE void block_of_points(const Block<double>& block, Scratch<double>& s) {
  block_of_lmax<Work, kAnyLmax>(block, s);
}

DD_CLONES void values(const Block<float>& block, Scratch<float>& s) { block_of_points<Values>(block, s); }
DD_CLONES void values(const Block<double>& block, Scratch<double>& s) { block_of_points<Values>(block, s); }
DD_CLONES void gradients(const Block<float>& block, Scratch<float>& s) { block_of_points<Gradients>(block, s); }
DD_CLONES void gradients(const Block<double>& block, Scratch<double>& s) { block_of_points<Gradients>(block, s); }

template <typename T> void prepare(const Basis& basis, int64_t npoints, int noutput, Scratch<T>& s) {
  const int64_t lanes = npoints + int64_t{basis.nspline} * kWidth<T>;
  for (auto& x : s.x) x.resize(npoints);
  s.interval.resize(npoints);
  s.placed.resize(npoints);
  for (auto& count : s.count) count.resize(basis.nspline + 1);
  s.start.resize(basis.nspline + 1);
  s.grouped.resize(lanes);
  s.point.resize(lanes);
  s.padded_coef.resize(4 * basis.nlm);
  s.sum.assign((npoints + 1) * noutput, 0.0);
}

// The images within rcut of the upright box around the block's points.
template <typename T> void find_images(const Block<T>& block, Scratch<T>& s) {
  Vec low, high;
  for (int c = 0; c < 3; ++c) {
    const auto [least, most] = std::minmax_element(s.x[c].begin(), s.x[c].end());
    low[c] = *least, high[c] = *most;
  }
  const double rcut = block.call->basis.rcut;
  const Bins& bins = *block.bins;
  s.images.clear();
  bins.around(low, high, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Vec image = {bins.x[i], bins.y[i], bins.z[i]};
      double gap2 = 0;
      for (int c = 0; c < 3; ++c) {
        const double gap = std::max({low[c] - image[c], image[c] - high[c], 0.0});
        gap2 += gap * gap;
      }
      if (gap2 < rcut * rcut) s.images.push_back(i);
    }
  });
}

// Inputs of both ops: point, point_splits, coord, coord_splits, box, coef, radial.
template <typename T, bool kGradient> class Density {
 public:
  explicit Density(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input point(ctx, 0, "point"), point_splits(ctx, 1, "point_splits");
    const Input coord(ctx, 2, "coord"), coord_splits(ctx, 3, "coord_splits");
    const Input box(ctx, 4, "box"), coef(ctx, 5, "coef"), radial(ctx, 6, "radial");
    const int64_t nframes = box.shaped({-1, 9}).lengths().dim(0);
    const int64_t npoints = point.shaped({-1, 3}).lengths().dim(0);
    const int32_t* psplit = row_splits(point_splits, nframes, npoints);
    const int32_t* asplit = row_splits(coord_splits, nframes, coord.shaped({-1, 3}).lengths().dim(0));
    const Call<T> call{read_basis(coef, radial), coef.data<T>()};
    require(coef.dim(0) == coord.dim(0), "coef is of " + std::to_string(coef.dim(0)) + " atoms, coord of " +
                                             std::to_string(coord.dim(0)));
    const int noutput = kGradient ? 3 : call.basis.nchannel;
    double* out = allocate_output<double>(ctx, 0, {npoints, noutput});
    for (int64_t f = 0; f < nframes; ++f) {
      const Cell cell(box.data<double>() + 9 * f, f);
      const int32_t natoms = asplit[f + 1] - asplit[f];
      const auto images = make_images(coord.data<double>() + 3 * asplit[f], natoms, cell, call.basis.rcut);
      const Bins bins(images, call.basis.rcut);
      const PointBlocks blocks(point.data<double>() + 3 * psplit[f], psplit[f + 1] - psplit[f], cell,
                               call.basis.rcut);
      frame(call, bins, asplit[f], blocks, noutput, out + int64_t{psplit[f]} * noutput);
    }
  }

 private:
  static void frame(const Call<T>& call, const Bins& bins, int32_t first_atom, const PointBlocks& blocks,
                    int noutput, double* out) {
    parallel_dynamic(blocks.count(), [&](auto next) {
      Scratch<T> scratch;
      for (int64_t b = next(); b < blocks.count(); b = next()) {
        const int64_t npoints = blocks.size(b);
        prepare(call.basis, npoints, noutput, scratch);
        blocks.positions(b, scratch.x);
        const Block<T> block{&call, &bins, first_atom, npoints, noutput};
        find_images(block, scratch);
        kGradient ? gradients(block, scratch) : values(block, scratch);
        for (int64_t p = 0; p < npoints; ++p)
          std::copy_n(scratch.sum.data() + p * noutput, noutput, out + blocks.point(b, p) * noutput);
      }
    });
  }
};

template <typename T> using DensityValues = Density<T, false>;
template <typename T> using DensityGradients = Density<T, true>;

const bool registered = [] {
  for (const char* name : {"DdDensity", "DdDensityGrad"})
    register_op({name,
                 {"T: {float, double}"},
                 {"point: double", "point_splits: int32", "coord: double", "coord_splits: int32",
                  "box: double", "coef: T", "radial: double"},
                 {"output: double"}});
  register_float_kernels<DensityValues>("DdDensity");
  register_float_kernels<DensityGradients>("DdDensityGrad");
  return true;
}();

}  // namespace
}  // namespace dd
