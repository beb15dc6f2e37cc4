// The points of a block grouped around an atom (Groups in kernels.h).
#pragma once

#include "kernels.h"

// All functions that take or return vectors are inlined: the ABI of such calls does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace dd {
namespace {

template <typename T> struct VectorOf { typedef T type __attribute__((vector_size(64))); };
template <typename T> using Vector = typename VectorOf<T>::type;

DD_INLINE float root(float x) { return __builtin_sqrtf(x); }
DD_INLINE double root(double x) { return __builtin_sqrt(x); }

template <typename T> DD_INLINE Vector<T> load(const T* from) {
  Vector<T> lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

template <typename T> DD_INLINE void store(const Vector<T>& lanes, T* to) { __builtin_memcpy(to, &lanes, sizeof lanes); }

template <typename T> DD_INLINE void find_boxes(const T* x, int64_t npoints, T* low, T* high) {
  for (int64_t first = 0, k = 0; first < npoints; first += kChunk, ++k) {
    const int64_t last = first + kChunk < npoints ? first + kChunk : npoints;
    low[k] = high[k] = x[first];
    for (int64_t p = first + 1; p < last; ++p) {
      low[k] = x[p] < low[k] ? x[p] : low[k];
      high[k] = x[p] > high[k] ? x[p] : high[k];
    }
  }
}

// Takes the points of a block, positions given from its middle.
template <typename T> DD_INLINE void set_points(const BlockView<T>& block, Groups<T>& g) {
  for (int c = 0; c < 3; ++c) {
    for (int64_t p = 0; p < g.npoints; ++p) g.x[c][p] = static_cast<T>(block.position[c][p] - block.middle[c]);
    // The last chunk is filled up with points out of reach of all.
    for (int64_t p = g.npoints; p < g.nchunks * kChunk; ++p) g.x[c][p] = static_cast<T>(__FLT_MAX__);
    find_boxes(g.x[c], g.npoints, g.low[c], g.high[c]);
  }
  for (int64_t p = 0; p < g.nchunks * kChunk; ++p)
    g.record[p] = Record<T>{g.x[0][p], g.x[1][p], g.x[2][p], static_cast<typename IndexOf<T>::type>(p)};
}

template <typename T> DD_INLINE T softened(const Basis& basis, T dx, T dy, T dz) {
  const T soft = static_cast<T>(basis.soft);
  return root(dx * dx + dy * dy + dz * dz + soft * soft);
}

// The chunks whose upright boxes come within rcut of the image.
template <typename T> DD_INLINE void find_chunks(const Basis& basis, const double* image, Groups<T>& g) {
  for (int64_t k = 0; k < g.nchunks; ++k) g.near[k] = 0;
  for (int c = 0; c < 3; ++c) {
    const T* __restrict low = g.low[c];
    const T* __restrict high = g.high[c];
    T* __restrict gap2 = g.near;
    const T x = static_cast<T>(image[c]);
    for (int64_t k = 0; k < g.nchunks; ++k) {
      const T below = low[k] - x, above = x - high[k];
      const T outside = below > above ? below : above, gap = outside > 0 ? outside : 0;
      gap2[k] += gap * gap;
    }
  }
  const T rcut2 = static_cast<T>(basis.rcut * basis.rcut);
  g.nnear = 0;
  for (int64_t k = 0; k < g.nchunks; ++k) {
    g.chunk[g.nnear] = static_cast<int32_t>(k * kChunk);
    g.nnear += g.near[k] < rcut2;
  }
}

template <typename T> DD_INLINE void find_intervals(const Basis& basis, const double* image, Groups<T>& g) {
  const T x0 = static_cast<T>(image[0]), y0 = static_cast<T>(image[1]), z0 = static_cast<T>(image[2]);
  const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale), limit = static_cast<T>(basis.nspline);
  for (int64_t k = 0; k < g.nnear; ++k) {
    const T* __restrict x = g.x[0] + g.chunk[k];
    const T* __restrict y = g.x[1] + g.chunk[k];
    const T* __restrict z = g.x[2] + g.chunk[k];
    int32_t* __restrict interval = g.interval + g.chunk[k];
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
    counts[turn] = g.next[turn];
    for (int k = 0; k <= nspline; ++k) counts[turn][k] = 0;
  }
  for (int64_t k = 0; k < g.nnear; ++k) {
    const int32_t* __restrict interval = g.interval + g.chunk[k];
    for (int p = 0; p < kChunk; ++p) ++counts[p % kTurns][interval[p]];
  }
}

// Counting sort by interval; every group starts at a multiple of the width and is padded by lanes
// that belong to no point: what they add goes behind the last point's.
template <typename T> DD_INLINE void group_by_interval(const Basis& basis, Groups<T>& g) {
  const int nspline = basis.nspline;
  count_intervals(nspline, g);
  const Record<T> nobody = {0, 0, 0, static_cast<typename IndexOf<T>::type>(g.npoints)};
  int32_t lane = 0;
  for (int k = 0; k <= nspline; ++k) {
    g.start[k] = lane;
    for (int turn = 0; turn < kTurns; ++turn) {
      const int32_t count = g.next[turn][k];
      g.next[turn][k] = lane;
      lane += count;
    }
    for (; lane % kWidth<T> != 0; ++lane) g.grouped[lane] = nobody;
  }
  Record<T>* __restrict grouped = g.grouped;
  int32_t* __restrict next[kTurns];
  for (int turn = 0; turn < kTurns; ++turn) next[turn] = g.next[turn];
  for (int64_t k = 0; k < g.nnear; ++k) {
    const int32_t* __restrict interval = g.interval + g.chunk[k];
    const Record<T>* __restrict record = g.record + g.chunk[k];
    for (int p = 0; p < kChunk; ++p) grouped[next[p % kTurns][interval[p]]++] = record[p];
  }
}

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

// The grouped records taken apart. Numbers of points pass through as bits of a T: they are only moved.
template <typename T> DD_INLINE void take_apart(const Basis& basis, Groups<T>& g) {
  typedef typename IndexOf<T>::type Numbers __attribute__((vector_size(64)));
  typedef int32_t Points __attribute__((vector_size(kWidth<T> * sizeof(int32_t))));
  const char* records = reinterpret_cast<const char*>(g.grouped);
  for (int32_t lane = 0; lane < g.start[basis.nspline]; lane += kWidth<T>) {
    Vector<T> r[4];
    for (int k = 0; k < 4; ++k) __builtin_memcpy(&r[k], records + sizeof(Record<T>) * lane + k * sizeof r[k], sizeof r[k]);
    const Vector<T> xz = every_other<0, T>(r[0], r[1]), xz2 = every_other<0, T>(r[2], r[3]);
    const Vector<T> yp = every_other<1, T>(r[0], r[1]), yp2 = every_other<1, T>(r[2], r[3]);
    store<T>(every_other<0, T>(xz, xz2), g.lanes.u[0] + lane);
    store<T>(every_other<0, T>(yp, yp2), g.lanes.u[1] + lane);
    store<T>(every_other<1, T>(xz, xz2), g.lanes.u[2] + lane);
    const Vector<T> bits = every_other<1, T>(yp, yp2);
    Numbers numbers;
    __builtin_memcpy(&numbers, &bits, sizeof numbers);
    const Points points = __builtin_convertvector(numbers, Points);
    __builtin_memcpy(g.lanes.point + lane, &points, sizeof points);
  }
}

template <typename T> DD_INLINE void see_from_atom(const Basis& basis, const double* image, Groups<T>& g) {
  T* __restrict ux = g.lanes.u[0];
  T* __restrict uy = g.lanes.u[1];
  T* __restrict uz = g.lanes.u[2];
  T* __restrict t = g.lanes.t;
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
template <typename T> DD_INLINE void group_around(const Basis& basis, const double* image, Groups<T>& g) {
  find_chunks(basis, image, g);
  find_intervals(basis, image, g);
  group_by_interval(basis, g);
  take_apart(basis, g);
  see_from_atom(basis, image, g);
}

}  // namespace
}  // namespace dd
