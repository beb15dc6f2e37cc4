// Rows taken apart into columns that fit registers: sums over rows stay there until they are complete.
#pragma once

#include "registers.h"

namespace dd {
namespace {

// Columns in steps of that many registers, of one, of half of one, of one number: body(first, step).
template <typename T, int registers = 2, typename Body> DD_INLINE void for_columns(int64_t n, Body body) {
  int64_t j = 0;
  for (; j + registers * kLaneCount<T> <= n; j += registers * kLaneCount<T>)
    body(j, Constant<registers * kLaneCount<T>>{});
  if constexpr (registers > 1)
    for (; j + kLaneCount<T> <= n; j += kLaneCount<T>) body(j, Constant<kLaneCount<T>>{});
  for (; j + kLaneCount<T> / 2 <= n; j += kLaneCount<T> / 2) body(j, Constant<kLaneCount<T> / 2>{});
  for (; j < n; ++j) body(j, Constant<1>{});
}

// The sum of lanes, half of them on the other half until one is left.
template <typename T, int lanes> struct Folded {
  typedef T Lanes __attribute__((vector_size(lanes * sizeof(T))));
  typedef typename Folded<T, lanes / 2>::Lanes Half;
  DD_INLINE static T sum(const Lanes& value) {
    Half half[2];
    __builtin_memcpy(half, &value, sizeof value);
    return Folded<T, lanes / 2>::sum(half[0] + half[1]);
  }
};
template <typename T> struct Folded<T, 1> {
  typedef T Lanes;
  DD_INLINE static T sum(T value) { return value; }
};

// Some columns, in vectors of one register at most; one column is a number.
template <typename T, int width> struct Columns {
  static constexpr int kLane = width < kLaneCount<T> ? width : kLaneCount<T>, kCount = width / kLane;
  typedef T Lanes __attribute__((vector_size(kLane * sizeof(T))));
  Lanes value[kCount];
  DD_INLINE void load(const T* from) {
    for (int k = 0; k < kCount; ++k) __builtin_memcpy(&value[k], from + k * kLane, sizeof(Lanes));
  }
  DD_INLINE void store(T* to) const {
    for (int k = 0; k < kCount; ++k) __builtin_memcpy(to + k * kLane, &value[k], sizeof(Lanes));
  }
  DD_INLINE void add(T x, const Columns& other) {
    for (int k = 0; k < kCount; ++k) value[k] += x * other.value[k];
  }
  DD_INLINE void add(const Columns& x, const Columns& other) {
    for (int k = 0; k < kCount; ++k) value[k] += x.value[k] * other.value[k];
  }
  DD_INLINE void scale(const Columns& x) {
    for (int k = 0; k < kCount; ++k) value[k] *= x.value[k];
  }
  DD_INLINE void scale(T x) {
    for (int k = 0; k < kCount; ++k) value[k] *= x;
  }
  DD_INLINE T sum() const {
    Lanes total = value[0];
    for (int k = 1; k < kCount; ++k) total += value[k];
    return Folded<T, kLane>::sum(total);
  }
};
template <typename T> struct Columns<T, 1> {
  T value;
  DD_INLINE void load(const T* from) { value = *from; }
  DD_INLINE void store(T* to) const { *to = value; }
  DD_INLINE void add(T x, const Columns& other) { value += x * other.value; }
  DD_INLINE void add(const Columns& x, const Columns& other) { value += x.value * other.value; }
  DD_INLINE void scale(const Columns& x) { value *= x.value; }
  DD_INLINE void scale(T x) { value *= x; }
  DD_INLINE T sum() const { return value; }
};

}  // namespace
}  // namespace dd
