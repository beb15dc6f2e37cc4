// The density at points in one go: neighbour search and sum over atoms, without a list of pairs.
//
// Points are sorted into compact blocks. For each block and each image of an atom near it, the
// points within reach are grouped by interval of the radial splines: all points of a group share
// their coefficients, and are worked on side by side in the lanes of vector registers.
#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "basis.h"
#include "blocks.h"
#include "clones.h"
#include "harmonics.h"
#include "images.h"
#include "kernel.h"
#include "lattice.h"
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

// Position of a point from the block's middle, and the place of its first output: moved as one.
template <typename T> struct Record {
  T x, y, z, output;
};

// Points seen from an atom: softened direction, place on the axis of the splines, first output, and
// what the atom adds there.
template <typename T> struct Lanes {
  std::vector<T> u[3], t, value[3];
  std::vector<int32_t> output;

  void resize(int64_t n) {
    for (auto* x : {&u[0], &u[1], &u[2], &t, &value[0], &value[1], &value[2]}) x->resize(n);
    output.resize(n);
  }
};

// Points are looked at in chunks: most that are out of reach are so together.
constexpr int kChunk = 16;

// Neighbouring points often share an interval: counters take turns, or each would wait for the last.
constexpr int kTurns = 4;

template <typename T> DD_INLINE Vector<T> load(const std::vector<T>& from, int64_t at) {
  Vector<T> lanes;
  __builtin_memcpy(&lanes, from.data() + at, sizeof lanes);
  return lanes;
}

template <typename T> DD_INLINE void store(const Vector<T>& lanes, int64_t at, std::vector<T>& to) {
  __builtin_memcpy(to.data() + at, &lanes, sizeof lanes);
}

// Scratch of one thread.
template <typename T> struct Scratch {
  std::vector<double> position[3];  // of the block's points
  Vec middle;                       // of the block
  std::vector<T> x[3];              // positions from there
  std::vector<Record<T>> record;
  std::vector<int64_t> images;      // within reach of the block
  std::vector<int32_t> interval;    // of each point; nspline: out of reach
  std::vector<T> low[3], high[3];   // of the upright boxes around chunks of points
  std::vector<T> near;              // squared distances of the boxes from an image
  std::vector<int32_t> chunk;       // first points of the chunks within reach
  int64_t nchunks;                  // their number
  std::vector<int32_t> count[kTurns], next[kTurns];  // points of each interval; their next lane
  std::vector<int32_t> start;       // first lane of each interval's group
  std::vector<Record<T>> grouped;   // by interval, those out of reach last
  Lanes<T> lanes;                   // of the points within reach
  std::vector<T> padded_coef;       // of intervals whose last splines are not there
  std::vector<double> sum;          // (points + 1, noutput); the last row takes what padding lanes add
};

template <typename T> DD_INLINE T softened(const Basis& basis, T dx, T dy, T dz) {
  const T soft = static_cast<T>(basis.soft);
  return std::sqrt(dx * dx + dy * dy + dz * dz + soft * soft);
}

// The chunks whose upright boxes come within rcut of the image.
template <typename T> DD_INLINE void find_chunks(const Basis& basis, const Vec& image, Scratch<T>& s) {
  const int64_t nchunks = s.near.size();
  std::fill(s.near.begin(), s.near.end(), T{0});
  for (int c = 0; c < 3; ++c) {
    const T* __restrict low = s.low[c].data();
    const T* __restrict high = s.high[c].data();
    T* __restrict gap2 = s.near.data();
    const T x = static_cast<T>(image[c]);
    for (int64_t k = 0; k < nchunks; ++k) {
      const T below = low[k] - x, above = x - high[k];
      const T outside = below > above ? below : above, gap = outside > 0 ? outside : 0;
      gap2[k] += gap * gap;
    }
  }
  const T rcut2 = static_cast<T>(basis.rcut * basis.rcut);
  s.nchunks = 0;
  for (int64_t k = 0; k < nchunks; ++k) {
    s.chunk[s.nchunks] = static_cast<int32_t>(k * kChunk);
    s.nchunks += s.near[k] < rcut2;
  }
}

template <typename T> DD_INLINE void find_intervals(const Basis& basis, const Vec& image, Scratch<T>& s) {
  const T x0 = static_cast<T>(image[0]), y0 = static_cast<T>(image[1]), z0 = static_cast<T>(image[2]);
  const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale), limit = static_cast<T>(basis.nspline);
  for (int64_t k = 0; k < s.nchunks; ++k) {
    const T* __restrict x = s.x[0].data() + s.chunk[k];
    const T* __restrict y = s.x[1].data() + s.chunk[k];
    const T* __restrict z = s.x[2].data() + s.chunk[k];
    int32_t* __restrict interval = s.interval.data() + s.chunk[k];
    for (int p = 0; p < kChunk; ++p) {
      const T stretched = (softened(basis, x[p] - x0, y[p] - y0, z[p] - z0) - soft) * scale;
      // Whatever is out of reach, or no number, goes to the interval past the last: it has no cast.
      interval[p] = static_cast<int32_t>(stretched < limit ? stretched : limit);
    }
  }
}

template <typename T> DD_INLINE void count_intervals(int nspline, Scratch<T>& s) {
  int32_t* __restrict counts[kTurns];
  for (int turn = 0; turn < kTurns; ++turn) {
    counts[turn] = s.count[turn].data();
    std::fill_n(counts[turn], nspline + 1, 0);
  }
  for (int64_t k = 0; k < s.nchunks; ++k) {
    const int32_t* __restrict interval = s.interval.data() + s.chunk[k];
    for (int p = 0; p < kChunk; ++p) ++counts[p % kTurns][interval[p]];
  }
}

// Counting sort by interval; every group starts at a multiple of the width and is padded by lanes
// that belong to no point.
template <typename T> DD_INLINE void group_by_interval(const Basis& basis, int64_t npoints, int noutput, Scratch<T>& s) {
  const int nspline = basis.nspline;
  count_intervals(nspline, s);
  const Record<T> nobody = {0, 0, 0, static_cast<T>(npoints * noutput)};
  int32_t lane = 0;
  for (int k = 0; k <= nspline; ++k) {
    s.start[k] = lane;
    for (int turn = 0; turn < kTurns; ++turn) {
      s.next[turn][k] = lane;
      lane += s.count[turn][k];
    }
    for (; lane % kWidth<T> != 0; ++lane) s.grouped[lane] = nobody;
  }
  Record<T>* __restrict grouped = s.grouped.data();
  int32_t* __restrict next[kTurns];
  for (int turn = 0; turn < kTurns; ++turn) next[turn] = s.next[turn].data();
  for (int64_t k = 0; k < s.nchunks; ++k) {
    const int32_t* __restrict interval = s.interval.data() + s.chunk[k];
    const Record<T>* __restrict record = s.record.data() + s.chunk[k];
    for (int p = 0; p < kChunk; ++p) grouped[next[p % kTurns][interval[p]]++] = record[p];
  }
}

template <typename T> struct IndexOf { typedef int32_t type; };
template <> struct IndexOf<double> { typedef int64_t type; };

// Elements `first`, first + 2, first + 4 ... of two vectors, one after the other.
template <int first, typename T> DD_INLINE Vector<T> every_other(const Vector<T>& a, const Vector<T>& b) {
  typedef typename IndexOf<T>::type Index __attribute__((vector_size(64)));
  if constexpr (kWidth<T> == 16)
    return __builtin_shuffle(a, b, Index{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30} + first);
  else
    return __builtin_shuffle(a, b, Index{0, 2, 4, 6, 8, 10, 12, 14} + first);
}

// The grouped records taken apart.
template <typename T> DD_INLINE void take_apart(const Basis& basis, Scratch<T>& s) {
  const T* records = &s.grouped.data()->x;
  for (int32_t lane = 0; lane < s.start[basis.nspline]; lane += kWidth<T>) {
    Vector<T> r[4];
    for (int k = 0; k < 4; ++k) __builtin_memcpy(&r[k], records + 4 * lane + k * kWidth<T>, sizeof r[k]);
    const Vector<T> xz = every_other<0, T>(r[0], r[1]), xz2 = every_other<0, T>(r[2], r[3]);
    const Vector<T> yo = every_other<1, T>(r[0], r[1]), yo2 = every_other<1, T>(r[2], r[3]);
    store<T>(every_other<0, T>(xz, xz2), lane, s.lanes.u[0]);
    store<T>(every_other<0, T>(yo, yo2), lane, s.lanes.u[1]);
    store<T>(every_other<1, T>(xz, xz2), lane, s.lanes.u[2]);
    typedef int32_t Outputs __attribute__((vector_size(kWidth<T> * sizeof(int32_t))));
    const Outputs output = __builtin_convertvector((every_other<1, T>(yo, yo2)), Outputs);
    __builtin_memcpy(s.lanes.output.data() + lane, &output, sizeof output);
  }
}

template <typename T> DD_INLINE void see_from_atom(const Basis& basis, const Vec& image, Scratch<T>& s) {
  T* __restrict ux = s.lanes.u[0].data();
  T* __restrict uy = s.lanes.u[1].data();
  T* __restrict uz = s.lanes.u[2].data();
  T* __restrict t = s.lanes.t.data();
  const T x0 = static_cast<T>(image[0]), y0 = static_cast<T>(image[1]), z0 = static_cast<T>(image[2]);
  // What single precision leaves of the atom's position: near a nucleus densities are steep.
  const T x1 = static_cast<T>(image[0] - x0), y1 = static_cast<T>(image[1] - y0), z1 = static_cast<T>(image[2] - z0);
  const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
  const int32_t nlanes = s.start[basis.nspline];
  for (int32_t lane = 0; lane < nlanes; ++lane) {
    const T dx = ux[lane] - x0 - x1, dy = uy[lane] - y0 - y1, dz = uz[lane] - z0 - z1;
    const T q = softened(basis, dx, dy, dz), inv_q = 1 / q;
    ux[lane] = dx * inv_q;
    uy[lane] = dy * inv_q;
    uz[lane] = dz * inv_q;
    t[lane] = (q - soft) * scale;
  }
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

// Adds the lanes' values to column c of their points' sums.
template <typename T>
DD_INLINE void add_values(const Basis& basis, const std::vector<T>& values, int c, Scratch<T>& s) {
  const T* __restrict value = values.data();
  const int32_t* __restrict output = s.lanes.output.data();
  double* __restrict sum = s.sum.data() + c;
  const int32_t nlanes = s.start[basis.nspline];
  for (int32_t lane = 0; lane < nlanes; ++lane) sum[output[lane]] += value[lane];
}

// Orders known when compiling are types of their own: loops over (l, m) are unrolled.
template <int lmax> using Order = std::integral_constant<int, lmax>;
inline int last_harmonic(int lmax) { return (lmax + 1) * (lmax + 1) - 1; }
template <int lmax> constexpr Order<(lmax + 1) * (lmax + 1) - 1> last_harmonic(Order<lmax>) { return {}; }

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
  for_range(Order<0>{}, last_harmonic(lmax), add);
  g[0] = g0, g[1] = g1, g[2] = g2, g[3] = g3;
}

// Density channels of all groups.
struct Values {
  template <typename T, typename Lmax>
  static DD_INLINE void add(const Basis& basis, Lmax lmax, const T* coef, Scratch<T>& s) {
    for (int c = 0; c < basis.nchannel; ++c) {
      for (int interval = 0; interval < basis.nspline; ++interval)
        if (s.start[interval] != s.start[interval + 1])
          group(basis, lmax, coef + c * basis.per_channel(), interval, s);
      add_values(basis, s.lanes.value[0], c, s);
    }
  }

 private:
  template <typename T, typename Lmax>
  static DD_INLINE void group(const Basis& basis, Lmax lmax, const T* coef, int interval, Scratch<T>& s) {
    const std::vector<T>* u = s.lanes.u;
    const T* rows = interval_rows(basis, coef, interval, s);
    Vector<T> S[kMaxNlm][1], g[4], weight[4];
    for (int32_t at = s.start[interval]; at < s.start[interval + 1]; at += kWidth<T>) {
      const Vector<T> x = load(u[0], at), y = load(u[1], at), z = load(u[2], at);
      harmonics<Vector<T>, 1>(lmax, &x, &y, &z, S);
      spline_weights(load(s.lanes.t, at) - static_cast<T>(interval), weight);
      contract<T>(rows, lmax, S, g);
      store(weight[0] * g[0] + weight[1] * g[1] + weight[2] * g[2] + weight[3] * g[3], at, s.lanes.value[0]);
    }
  }
};

// Gradient of the first channel with respect to the points.
struct Gradients {
  template <typename T, typename Lmax>
  static DD_INLINE void add(const Basis& basis, Lmax lmax, const T* coef, Scratch<T>& s) {
    const int nlm = basis.nlm;
    const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
    Vector<T> S[kMaxNlm][1], gS[kMaxNlm], g[4], weight[4], slope[4];
    for (int interval = 0; interval < basis.nspline; ++interval) {
      if (s.start[interval] == s.start[interval + 1]) continue;
      const T* rows = interval_rows(basis, coef, interval, s);
      for (int32_t at = s.start[interval]; at < s.start[interval + 1]; at += kWidth<T>) {
        const Vector<T> t = load(s.lanes.t, at), v = t - static_cast<T>(interval);
        const Vector<T> u[3] = {load(s.lanes.u[0], at), load(s.lanes.u[1], at), load(s.lanes.u[2], at)};
        harmonics<Vector<T>, 1>(lmax, &u[0], &u[1], &u[2], S);
        spline_weights(v, weight);
        spline_slopes(v, slope);
        contract<T>(rows, lmax, S, g);
        const Vector<T> gt = scale * (slope[0] * g[0] + slope[1] * g[1] + slope[2] * g[2] + slope[3] * g[3]);
        for (int k = 0; k < nlm; ++k)
          gS[k] = rows[k] * weight[0] + rows[nlm + k] * weight[1] + rows[2 * nlm + k] * weight[2] +
                  rows[3 * nlm + k] * weight[3];
        Vector<T> gu[3] = {};
        harmonics_pullback<Vector<T>>(lmax, u, &S[0][0], gS, gu);
        // dt/dd = scale u;  du_a/dd_b = (delta_ab - u_a u_b) / q
        const Vector<T> along = gu[0] * u[0] + gu[1] * u[1] + gu[2] * u[2];
        const Vector<T> inv_q = 1 / (soft + t / scale);
        for (int b = 0; b < 3; ++b)
          store<T>(gt * u[b] + (gu[b] - along * u[b]) * inv_q, at, s.lanes.value[b]);
      }
    }
    for (int b = 0; b < 3; ++b) add_values(basis, s.lanes.value[b], b, s);
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

template <class Work, typename T, typename Lmax>
DD_INLINE void block_of_lmax(Lmax lmax, const Block<T>& block, Scratch<T>& s) {
  const Basis& basis = block.call->basis;
  for (const int64_t i : s.images) {
    const Vec image = {block.bins->x[i] - s.middle[0], block.bins->y[i] - s.middle[1], block.bins->z[i] - s.middle[2]};
    find_chunks(basis, image, s);
    find_intervals(basis, image, s);
    group_by_interval(basis, block.npoints, block.noutput, s);
    take_apart(basis, s);
    see_from_atom(basis, image, s);
    Work::add(basis, lmax, block.call->coef + (block.first_atom + block.bins->atom[i]) * basis.per_atom(), s);
  }
}

// Usual orders in single precision.
template <class Work> DD_INLINE void block_of_points(const Block<float>& block, Scratch<float>& s) {
  const int lmax = block.call->basis.lmax;
  switch (lmax) {
    case 2: return block_of_lmax<Work>(Order<2>{}, block, s);
    case 3: return block_of_lmax<Work>(Order<3>{}, block, s);
    case 4: return block_of_lmax<Work>(Order<4>{}, block, s);
    case 5: return block_of_lmax<Work>(Order<5>{}, block, s);
    default: return block_of_lmax<Work>(lmax, block, s);
  }
}
template <class Work> DD_INLINE void block_of_points(const Block<double>& block, Scratch<double>& s) {
  block_of_lmax<Work>(block.call->basis.lmax, block, s);
}

DD_CLONES void values(const Block<float>& block, Scratch<float>& s) { block_of_points<Values>(block, s); }
DD_CLONES void values(const Block<double>& block, Scratch<double>& s) { block_of_points<Values>(block, s); }
DD_CLONES void gradients(const Block<float>& block, Scratch<float>& s) { block_of_points<Gradients>(block, s); }
DD_CLONES void gradients(const Block<double>& block, Scratch<double>& s) { block_of_points<Gradients>(block, s); }

template <typename T> void prepare(const Basis& basis, int64_t npoints, int noutput, Scratch<T>& s) {
  const int64_t chunks = (npoints + kChunk - 1) / kChunk, padded = chunks * kChunk;
  const int64_t lanes = padded + int64_t{basis.nspline + 1} * kWidth<T>;
  for (int c = 0; c < 3; ++c) {
    s.position[c].resize(npoints);
    // The last chunk is filled up with points out of reach of all.
    s.x[c].assign(padded, std::numeric_limits<T>::max());
  }
  for (auto* x : {&s.low[0], &s.low[1], &s.low[2], &s.high[0], &s.high[1], &s.high[2], &s.near}) x->resize(chunks);
  s.record.resize(padded);
  s.interval.resize(padded);
  s.chunk.resize(chunks + 1);
  for (int turn = 0; turn < kTurns; ++turn) s.count[turn].resize(basis.nspline + 1), s.next[turn].resize(basis.nspline + 1);
  s.start.resize(basis.nspline + 1);
  s.grouped.resize(lanes);
  s.lanes.resize(lanes);
  s.padded_coef.resize(4 * basis.nlm);
  s.sum.assign((npoints + 1) * noutput, 0.0);
}

template <typename T> void make_records(int64_t npoints, int noutput, const Vec& low, const Vec& high, Scratch<T>& s) {
  for (int c = 0; c < 3; ++c) {
    s.middle[c] = 0.5 * (low[c] + high[c]);
    for (int64_t p = 0; p < npoints; ++p) s.x[c][p] = static_cast<T>(s.position[c][p] - s.middle[c]);
  }
  for (int c = 0; c < 3; ++c)
    for (int64_t first = 0; first < npoints; first += kChunk) {
      const auto begin = s.x[c].begin() + first;
      const auto [least, most] = std::minmax_element(begin, begin + std::min<int64_t>(kChunk, npoints - first));
      s.low[c][first / kChunk] = *least, s.high[c][first / kChunk] = *most;
    }
  for (int64_t p = 0; p < npoints; ++p)
    s.record[p] = Record<T>{s.x[0][p], s.x[1][p], s.x[2][p], static_cast<T>(p * noutput)};
}

// The images within rcut of the box.
template <typename T> void find_images(const Block<T>& block, const Vec& low, const Vec& high, Scratch<T>& s) {
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

// The blocks' sums over the atoms of one frame.
template <bool kGradient, typename T, class Blocks>
void sum_over_atoms(const Call<T>& call, const Bins& bins, int32_t first_atom, const Blocks& blocks, double* out) {
  const int noutput = kGradient ? 3 : call.basis.nchannel;
  parallel_dynamic(blocks.count(), [&](auto next) {
    Scratch<T> scratch;
    for (int64_t b = next(); b < blocks.count(); b = next()) {
      const int64_t npoints = blocks.size(b);
      prepare(call.basis, npoints, noutput, scratch);
      blocks.positions(b, scratch.position);
      Vec low, high;
      blocks.bounds(b, &low, &high);
      const Block<T> block{&call, &bins, first_atom, npoints, noutput};
      find_images(block, low, high, scratch);
      make_records(npoints, noutput, low, high, scratch);
      kGradient ? gradients(block, scratch) : values(block, scratch);
      blocks.write(b, scratch.sum.data(), noutput, out);
    }
  });
}

template <typename T> Call<T> read_call(const Input& coord, const Input& coef, const Input& radial) {
  const Basis basis = read_basis(coef, radial);
  require(coef.dim(0) == coord.dim(0), "coef is of " + std::to_string(coef.dim(0)) + " atoms, coord of " +
                                           std::to_string(coord.dim(0)));
  return {basis, coef.data<T>()};
}

// Points in any order, of all frames. Inputs: point, point_splits, coord, coord_splits, box, coef, radial.
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
    const auto call = read_call<T>(coord, coef, radial);
    const double rcut = call.basis.rcut;
    const int noutput = kGradient ? 3 : call.basis.nchannel;
    double* out = allocate_output<double>(ctx, 0, {npoints, noutput});
    for (int64_t f = 0; f < nframes; ++f) {
      const Cell cell(box.data<double>() + 9 * f, f);
      const int32_t natoms = asplit[f + 1] - asplit[f];
      const Bins bins(make_images(coord.data<double>() + 3 * asplit[f], natoms, cell, rcut), rcut);
      const PointBlocks blocks(point.data<double>() + 3 * psplit[f], psplit[f + 1] - psplit[f], cell, rcut);
      sum_over_atoms<kGradient>(call, bins, asplit[f], blocks, out + int64_t{psplit[f]} * noutput);
    }
  }
};

template <typename T> using DensityValues = Density<T, false>;
template <typename T> using DensityGradients = Density<T, true>;

// A part of a regular grid, one frame. Inputs: shape, part (which, of how many), grid_box, coord, box,
// coef, radial. Where the frame is periodic, grid_box must be its box.
template <typename T> class DensityGrid {
 public:
  explicit DensityGrid(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input shape(ctx, 0, "shape"), part(ctx, 1, "part"), grid_box(ctx, 2, "grid_box");
    const Input coord(ctx, 3, "coord"), box(ctx, 4, "box"), coef(ctx, 5, "coef"), radial(ctx, 6, "radial");
    const int32_t* n = shape.shaped({3}).data<int32_t>();
    const int32_t* which = part.shaped({2}).data<int32_t>();
    require(n[0] > 0 && n[1] > 0 && n[2] > 0, "shape must hold three positive numbers");
    require(double(n[0]) * n[1] * n[2] < 1e15, "shape asks for too many points");
    require(0 <= which[0] && which[0] < which[1], "part must hold a number from 0 and how many parts there are");
    const double* rows = grid_box.shaped({9}).lengths().data<double>();
    const Cell grid(rows, 0), cell(box.shaped({1, 9}).lengths().data<double>(), 0);
    require(grid.periodic, "grid_box holds nine zeros, expected three independent cell vectors");
    require(!cell.periodic || std::equal(rows, rows + 9, box.data<double>()),
            "grid_box is not the box of the periodic frame");
    const int64_t natoms = coord.shaped({-1, 3}).lengths().dim(0);
    const auto call = read_call<T>(coord, coef, radial);
    const double rcut = call.basis.rcut;
    const Bins bins(make_images(coord.data<double>(), static_cast<int32_t>(natoms), cell, rcut), rcut);
    const LatticeBlocks blocks(grid.rows, n, which[0], which[1], rcut);
    double* out = allocate_output<double>(ctx, 0, {blocks.npoints(), call.basis.nchannel});
    sum_over_atoms<false>(call, bins, 0, blocks, out);
  }
};

const bool registered = [] {
  for (const char* name : {"DdDensity", "DdDensityGrad"})
    register_op({name,
                 {"T: {float, double}"},
                 {"point: double", "point_splits: int32", "coord: double", "coord_splits: int32",
                  "box: double", "coef: T", "radial: double"},
                 {"output: double"}});
  register_float_kernels<DensityValues>("DdDensity");
  register_float_kernels<DensityGradients>("DdDensityGrad");
  register_op({"DdDensityGrid",
               {"T: {float, double}"},
               {"shape: int32", "part: int32", "grid_box: double", "coord: double", "box: double", "coef: T",
                "radial: double"},
               {"output: double"}});
  register_float_kernels<DensityGrid>("DdDensityGrid");
  return true;
}();

}  // namespace
}  // namespace dd
