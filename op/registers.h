// Vectors of one register: sums that a loop carries along stay in it, where those of wider vectors go to memory.
#pragma once

#include "groups.h"

namespace dd {
namespace {

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif
template <typename T> struct RegisterOf { typedef T type __attribute__((vector_size(kRegisterBytes))); };
template <typename T> using Register = typename RegisterOf<T>::type;
template <typename T> constexpr int kLaneCount = kRegisterBytes / sizeof(T);

template <typename T> DD_INLINE Register<T> take(const T* from) {
  Register<T> lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

template <typename T> DD_INLINE void put(const Register<T>& lanes, T* to) { __builtin_memcpy(to, &lanes, sizeof lanes); }

// Rows of a product that are made together: with two registers each, and what they are made from, they fill 16.
constexpr int kRows = 6;

}  // namespace
}  // namespace dd
