// Kernels of products with a matrix by row (grouped.cc). Neighbouring rows mostly share a matrix: they are taken
// together, a run at a time, so that sums stay in registers. What a row gets does not depend on its run.
#pragma once

#include "columns.h"

namespace dd {
namespace {

// Where the rows from `first` on that share its matrix end.
template <typename T> DD_INLINE int64_t run_end(const GroupedView<T>& in, int64_t first, int64_t end) {
  int64_t r = first + 1;
  while (r < end && in.group[r] == in.group[first]) ++r;
  return r;
}

// Up to kRows rows of x times one matrix.
template <typename T>
DD_INLINE void rows_times_matrix(const GroupedView<T>& in, int64_t first, int nrows, const T* weight, T* out) {
  const T* x[kRows];
  for (int m = 0; m < kRows; ++m) x[m] = in.x + (first + (m < nrows ? m : nrows - 1)) * in.nin;
  for_columns<T>(in.nout, [&](int64_t j, auto width) __attribute__((always_inline)) {
    Columns<T, decltype(width)::value> sum[kRows] = {}, row;
    for (int64_t a = 0; a < in.nin; ++a) {
      row.load(weight + a * in.nout + j);
      for (int m = 0; m < kRows; ++m) sum[m].add(x[m][a], row);
    }
    for (int m = 0; m < kRows; ++m)
      if (m < nrows) sum[m].store(out + (first + m) * in.nout + j);
  });
}

template <typename T> void grouped(const GroupedView<T>& in, int64_t begin, int64_t end, T* out) {
  for (int64_t first = begin; first < end;) {
    const int64_t last = run_end(in, first, end);
    const T* weight = in.weight + in.group[first] * in.nin * in.nout;
    for (; first < last; first += kRows)
      rows_times_matrix(in, first, static_cast<int>(last - first < kRows ? last - first : kRows), weight, out);
    first = last;
  }
}

// Adds to up to kRows rows of one matrix's gradient, those from `a` on, the share of the rows of a run.
template <typename T>
DD_INLINE void add_run(const GroupedView<T>& in, const T* grad, int64_t first, int64_t last, int64_t a, int nrows,
                       T* out) {
  for_columns<T>(in.nout, [&](int64_t j, auto width) __attribute__((always_inline)) {
    Columns<T, decltype(width)::value> sum[kRows] = {}, row;
    for (int m = 0; m < kRows; ++m)
      if (m < nrows) sum[m].load(out + (a + m) * in.nout + j);
    for (int64_t r = first; r < last; ++r) {
      row.load(grad + r * in.nout + j);
      const T* x = in.x + r * in.nin + a;
      for (int m = 0; m < kRows; ++m) sum[m].add(x[m < nrows ? m : nrows - 1], row);
    }
    for (int m = 0; m < kRows; ++m)
      if (m < nrows) sum[m].store(out + (a + m) * in.nout + j);
  });
}

template <typename T>
void grouped_grad_weight(const GroupedView<T>& in, const T* grad, int64_t begin, int64_t end, T* out) {
  for (int64_t first = 0; first < in.nrows;) {
    const int64_t last = run_end(in, first, in.nrows);
    T* to = out + in.group[first] * in.nin * in.nout;
    for (int64_t a = begin; a < end; a += kRows)
      add_run(in, grad, first, last, a, static_cast<int>(end - a < kRows ? end - a : kRows), to);
    first = last;
  }
}

}  // namespace
}  // namespace dd
