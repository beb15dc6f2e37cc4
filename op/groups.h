// The points of a block grouped around an atom: all points of a group lie in the same interval of
// its radial splines, share their coefficients, and lie side by side for vector registers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "basis.h"
#include "cell.h"

namespace dd {

// All functions that take or return vectors are inlined: the ABI of such calls does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

// Vectors of 64 bytes: one AVX-512 register, two of AVX2, four of SSE or NEON.
template <typename T> struct VectorOf { typedef T type __attribute__((vector_size(64))); };
template <typename T> using Vector = typename VectorOf<T>::type;
template <typename T> constexpr int kWidth = 64 / sizeof(T);

#define DD_INLINE inline __attribute__((always_inline))

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

// The points of a block, and those within reach of one atom's image, grouped.
template <typename T> struct Groups {
  int64_t npoints;
  std::vector<T> x[3];             // positions from the block's middle
  std::vector<Record<T>> record;
  std::vector<T> low[3], high[3];  // of the upright boxes around chunks of points
  std::vector<T> near;             // squared distances of the boxes from the image
  std::vector<int32_t> chunk;      // first points of the chunks within reach
  int64_t nchunks;                 // their number
  std::vector<int32_t> interval;   // of each point; nspline: out of reach
  std::vector<int32_t> next[kTurns];  // points of each interval, once counted their next lane
  std::vector<int32_t> start;      // first lane of each interval's group
  std::vector<Record<T>> grouped;  // by interval, those out of reach last
  Lanes<T> lanes;                  // of the points within reach
};

// Takes the points of a block, positions given from its middle. Lanes that belong to no point put
// what they add behind the outputs of the last.
template <typename T>
void set_points(const Basis& basis, const std::vector<double>* position, const Vec& middle, int noutput, Groups<T>& g) {
  g.npoints = position[0].size();
  const int64_t chunks = (g.npoints + kChunk - 1) / kChunk, padded = chunks * kChunk;
  const int64_t lanes = padded + int64_t{basis.nspline + 1} * kWidth<T>;
  for (int c = 0; c < 3; ++c) {
    // The last chunk is filled up with points out of reach of all.
    g.x[c].assign(padded, std::numeric_limits<T>::max());
    g.low[c].resize(chunks), g.high[c].resize(chunks);
    for (int64_t p = 0; p < g.npoints; ++p) g.x[c][p] = static_cast<T>(position[c][p] - middle[c]);
    for (int64_t first = 0; first < g.npoints; first += kChunk) {
      const auto begin = g.x[c].begin() + first;
      const auto [least, most] = std::minmax_element(begin, begin + std::min<int64_t>(kChunk, g.npoints - first));
      g.low[c][first / kChunk] = *least, g.high[c][first / kChunk] = *most;
    }
  }
  g.record.resize(padded);
  for (int64_t p = 0; p < g.npoints; ++p)
    g.record[p] = Record<T>{g.x[0][p], g.x[1][p], g.x[2][p], static_cast<T>(p * noutput)};
  g.near.resize(chunks);
  g.chunk.resize(chunks + 1);
  g.interval.resize(padded);
  for (auto& next : g.next) next.resize(basis.nspline + 1);
  g.start.resize(basis.nspline + 1);
  g.grouped.resize(lanes);
  g.lanes.resize(lanes);
}

template <typename T> DD_INLINE T softened(const Basis& basis, T dx, T dy, T dz) {
  const T soft = static_cast<T>(basis.soft);
  return std::sqrt(dx * dx + dy * dy + dz * dz + soft * soft);
}

// The chunks whose upright boxes come within rcut of the image.
template <typename T> DD_INLINE void find_chunks(const Basis& basis, const Vec& image, Groups<T>& g) {
  const int64_t nchunks = g.near.size();
  std::fill(g.near.begin(), g.near.end(), T{0});
  for (int c = 0; c < 3; ++c) {
    const T* __restrict low = g.low[c].data();
    const T* __restrict high = g.high[c].data();
    T* __restrict gap2 = g.near.data();
    const T x = static_cast<T>(image[c]);
    for (int64_t k = 0; k < nchunks; ++k) {
      const T below = low[k] - x, above = x - high[k];
      const T outside = below > above ? below : above, gap = outside > 0 ? outside : 0;
      gap2[k] += gap * gap;
    }
  }
  const T rcut2 = static_cast<T>(basis.rcut * basis.rcut);
  g.nchunks = 0;
  for (int64_t k = 0; k < nchunks; ++k) {
    g.chunk[g.nchunks] = static_cast<int32_t>(k * kChunk);
    g.nchunks += g.near[k] < rcut2;
  }
}

template <typename T> DD_INLINE void find_intervals(const Basis& basis, const Vec& image, Groups<T>& g) {
  const T x0 = static_cast<T>(image[0]), y0 = static_cast<T>(image[1]), z0 = static_cast<T>(image[2]);
  const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale), limit = static_cast<T>(basis.nspline);
  for (int64_t k = 0; k < g.nchunks; ++k) {
    const T* __restrict x = g.x[0].data() + g.chunk[k];
    const T* __restrict y = g.x[1].data() + g.chunk[k];
    const T* __restrict z = g.x[2].data() + g.chunk[k];
    int32_t* __restrict interval = g.interval.data() + g.chunk[k];
    for (int p = 0; p < kChunk; ++p) {
      const T stretched = (softened(basis, x[p] - x0, y[p] - y0, z[p] - z0) - soft) * scale;
      // Whatever is out of reach, or no number, goes to the interval past the last: it has no cast.
      interval[p] = static_cast<int32_t>(stretched < limit ? stretched : limit);
    }
  }
}

template <typename T> DD_INLINE void count_intervals(int nspline, Groups<T>& g) {
  int32_t* __restrict counts[kTurns];
  for (int turn = 0; turn < kTurns; ++turn) {
    counts[turn] = g.next[turn].data();
    std::fill_n(counts[turn], nspline + 1, 0);
  }
  for (int64_t k = 0; k < g.nchunks; ++k) {
    const int32_t* __restrict interval = g.interval.data() + g.chunk[k];
    for (int p = 0; p < kChunk; ++p) ++counts[p % kTurns][interval[p]];
  }
}

// Counting sort by interval; every group starts at a multiple of the width and is padded by lanes
// that belong to no point.
template <typename T>
DD_INLINE void group_by_interval(const Basis& basis, int noutput, Groups<T>& g) {
  const int nspline = basis.nspline;
  count_intervals(nspline, g);
  const Record<T> nobody = {0, 0, 0, static_cast<T>(g.npoints * noutput)};
  int32_t lane = 0;
  for (int k = 0; k <= nspline; ++k) {
    g.start[k] = lane;
    for (auto& next : g.next) {
      const int32_t count = next[k];
      next[k] = lane;
      lane += count;
    }
    for (; lane % kWidth<T> != 0; ++lane) g.grouped[lane] = nobody;
  }
  Record<T>* __restrict grouped = g.grouped.data();
  int32_t* __restrict next[kTurns];
  for (int turn = 0; turn < kTurns; ++turn) next[turn] = g.next[turn].data();
  for (int64_t k = 0; k < g.nchunks; ++k) {
    const int32_t* __restrict interval = g.interval.data() + g.chunk[k];
    const Record<T>* __restrict record = g.record.data() + g.chunk[k];
    for (int p = 0; p < kChunk; ++p) grouped[next[p % kTurns][interval[p]]++] = record[p];
  }
}

template <typename T> struct IndexOf { typedef int32_t type; };
template <> struct IndexOf<double> { typedef int64_t type; };

// Elements `first`, first + 2, first + 4 ... of two vectors, one after the other.
template <int first, typename T> DD_INLINE Vector<T> every_other(const Vector<T>& a, const Vector<T>& b) {
#ifdef __clang__
  constexpr int f = first;
  if constexpr (kWidth<T> == 16)
    return __builtin_shufflevector(a, b, f, f + 2, f + 4, f + 6, f + 8, f + 10, f + 12, f + 14, f + 16, f + 18, f + 20,
                                   f + 22, f + 24, f + 26, f + 28, f + 30);
  else
    return __builtin_shufflevector(a, b, f, f + 2, f + 4, f + 6, f + 8, f + 10, f + 12, f + 14);
#else
  typedef typename IndexOf<T>::type Index __attribute__((vector_size(64)));
  if constexpr (kWidth<T> == 16)
    return __builtin_shuffle(a, b, Index{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30} + first);
  else
    return __builtin_shuffle(a, b, Index{0, 2, 4, 6, 8, 10, 12, 14} + first);
#endif
}

// The grouped records taken apart.
template <typename T> DD_INLINE void take_apart(const Basis& basis, Groups<T>& g) {
  const T* records = &g.grouped.data()->x;
  for (int32_t lane = 0; lane < g.start[basis.nspline]; lane += kWidth<T>) {
    Vector<T> r[4];
    for (int k = 0; k < 4; ++k) __builtin_memcpy(&r[k], records + 4 * lane + k * kWidth<T>, sizeof r[k]);
    const Vector<T> xz = every_other<0, T>(r[0], r[1]), xz2 = every_other<0, T>(r[2], r[3]);
    const Vector<T> yo = every_other<1, T>(r[0], r[1]), yo2 = every_other<1, T>(r[2], r[3]);
    store<T>(every_other<0, T>(xz, xz2), lane, g.lanes.u[0]);
    store<T>(every_other<0, T>(yo, yo2), lane, g.lanes.u[1]);
    store<T>(every_other<1, T>(xz, xz2), lane, g.lanes.u[2]);
    typedef int32_t Outputs __attribute__((vector_size(kWidth<T> * sizeof(int32_t))));
    const Outputs output = __builtin_convertvector((every_other<1, T>(yo, yo2)), Outputs);
    __builtin_memcpy(g.lanes.output.data() + lane, &output, sizeof output);
  }
}

template <typename T> DD_INLINE void see_from_atom(const Basis& basis, const Vec& image, Groups<T>& g) {
  T* __restrict ux = g.lanes.u[0].data();
  T* __restrict uy = g.lanes.u[1].data();
  T* __restrict uz = g.lanes.u[2].data();
  T* __restrict t = g.lanes.t.data();
  const T x0 = static_cast<T>(image[0]), y0 = static_cast<T>(image[1]), z0 = static_cast<T>(image[2]);
  // What single precision leaves of the atom's position: near a nucleus densities are steep.
  const T x1 = static_cast<T>(image[0] - x0), y1 = static_cast<T>(image[1] - y0), z1 = static_cast<T>(image[2] - z0);
  const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
  const int32_t nlanes = g.start[basis.nspline];
  for (int32_t lane = 0; lane < nlanes; ++lane) {
    const T dx = ux[lane] - x0 - x1, dy = uy[lane] - y0 - y1, dz = uz[lane] - z0 - z1;
    const T q = softened(basis, dx, dy, dz), inv_q = 1 / q;
    ux[lane] = dx * inv_q;
    uy[lane] = dy * inv_q;
    uz[lane] = dz * inv_q;
    t[lane] = (q - soft) * scale;
  }
}

// All of the above: the points within reach of an image, as `g.lanes`, group after group.
template <typename T> DD_INLINE void group_around(const Basis& basis, const Vec& image, int noutput, Groups<T>& g) {
  find_chunks(basis, image, g);
  find_intervals(basis, image, g);
  group_by_interval(basis, noutput, g);
  take_apart(basis, g);
  see_from_atom(basis, image, g);
}

}  // namespace dd
