// Kernels of products of what neighbours send with functions of the pair (see kernels.h).
#pragma once

#include "columns.h"

namespace dd {
namespace {

// made[c] += sum_ab I_cab left[a] right[b], columns of all rows.
template <typename T, typename Block>
DD_INLINE void add_products(const PairProductsView<T>& in, const Block* left, const Block* right, Block* made) {
  for (int64_t t = 0; t < in.nterms;) {
    const int32_t c = in.term[3 * t];
    Block sum = made[c], product;
    for (; t < in.nterms && in.term[3 * t] == c; ++t) {
      product = left[in.term[3 * t + 1]];
      product.scale(right[in.term[3 * t + 2]]);
      sum.add(in.value[t], product);
    }
    made[c] = sum;
  }
}

// The pair's own function: its rows, those of an l by the weight of that l.
template <typename T, typename Block>
DD_INLINE void set_function(const PairProductsView<T>& in, int64_t p, int64_t k, Block* function) {
  for (int l = 0; l < in.nl; ++l) {
    Block weight;
    weight.load(in.radial + (p * in.nl + l) * in.nchannels + k);
    for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
      function[lm] = {};
      function[lm].add(in.rows[p * in.nlm() + lm], weight);
    }
  }
}

// Columns of the rows (nlm, natoms, nchannels) of an atom.
template <typename T, typename Block>
DD_INLINE void load_rows(const PairProductsView<T>& in, const T* from, int64_t atom, int64_t k, Block* rows) {
  for (int lm = 0; lm < in.nlm(); ++lm) rows[lm].load(from + (lm * in.natoms + atom) * in.nchannels + k);
}

template <typename T>
void sum_products(const PairProductsView<T>& in, const T* values, const int32_t* of, const int32_t* pairs, int64_t npairs,
                  T* __restrict sum, int64_t stride) {
  for_columns<T, 1>(in.nchannels, [&](int64_t k, auto width) __attribute__((always_inline)) {
    typedef Columns<T, decltype(width)::value> Block;
    Block function[kMaxNlm], sent[kMaxNlm], made[kMaxNlm];
    for (int lm = 0; lm < in.nlm(); ++lm) made[lm] = {};
    for (int64_t index = 0; index < npairs; ++index) {
      const int64_t p = pairs[index];
      set_function(in, p, k, function);
      load_rows(in, values, of[p], k, sent);
      add_products(in, sent, function, made);
    }
    for (int lm = 0; lm < in.nlm(); ++lm) made[lm].store(sum + lm * stride + k);
  });
}

template <typename T>
void pull_functions(const PairProductsView<T>& in, const T* grad, int64_t begin, int64_t end, T* radial, T* rows) {
  for (int64_t p = begin; p < end; ++p) {
    T* __restrict to_row = rows + p * in.nlm();
    for (int lm = 0; lm < in.nlm(); ++lm) to_row[lm] = 0;
    for_columns<T, 1>(in.nchannels, [&](int64_t k, auto width) __attribute__((always_inline)) {
      typedef Columns<T, decltype(width)::value> Block;
      Block sent[kMaxNlm], pulled[kMaxNlm], made[kMaxNlm];
      for (int lm = 0; lm < in.nlm(); ++lm) made[lm] = {};
      load_rows(in, in.tensors, in.atom[p], k, sent);
      load_rows(in, grad, in.center[p], k, pulled);
      add_products(in, sent, pulled, made);
      for (int l = 0; l < in.nl; ++l) {
        const int64_t place = (p * in.nl + l) * in.nchannels + k;
        Block weight, sum = {};
        weight.load(in.radial + place);
        for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
          sum.add(in.rows[p * in.nlm() + lm], made[lm]);
          made[lm].scale(weight);
          to_row[lm] += made[lm].sum();
        }
        sum.store(radial + place);
      }
    });
  }
}

}  // namespace
}  // namespace dd
