// Kernels of interpolation between rows (interpolate.cc).
#pragma once

#include "columns.h"

namespace dd {
namespace {

template <typename T>
void interpolate(const StencilsView<T>& in, const T* nodes, int64_t begin, int64_t end, T* out) {
  for (int64_t i = begin; i < end; ++i) {
    const T* from = nodes + in.first[i] * in.width;
    const T* weight = in.weight + i * kStencil;
    for_columns<T>(in.width, [&](int64_t j, auto width) __attribute__((always_inline)) {
      Columns<T, decltype(width)::value> sum = {}, row;
      for (int k = 0; k < kStencil; ++k) {
        row.load(from + k * in.width + j);
        sum.add(weight[k], row);
      }
      sum.store(out + i * in.width + j);
    });
  }
}

template <typename T>
void pull_nodes(const StencilsView<T>& in, const T* grad, const int32_t* order, int64_t begin, int64_t end, T* out) {
  for (int64_t at = 0; at < in.n;) {
    const int32_t first = in.first[order[at]];
    int64_t last = at + 1;
    while (last < in.n && in.first[order[last]] == first) ++last;
    for_columns<T>(end - begin, [&](int64_t j, auto width) __attribute__((always_inline)) {
      Columns<T, decltype(width)::value> sum[kStencil], row;
      T* to = out + first * in.width + begin + j;
      for (int k = 0; k < kStencil; ++k) sum[k].load(to + k * in.width);
      for (int64_t i = at; i < last; ++i) {
        row.load(grad + order[i] * in.width + begin + j);
        for (int k = 0; k < kStencil; ++k) sum[k].add(in.weight[order[i] * kStencil + k], row);
      }
      for (int k = 0; k < kStencil; ++k) sum[k].store(to + k * in.width);
    });
    at = last;
  }
}

}  // namespace
}  // namespace dd
