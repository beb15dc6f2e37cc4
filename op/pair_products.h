// Kernels of products of what neighbours send with functions of the pair (see kernels.h).
#pragma once

#include "columns.h"

namespace dd {
namespace {

// Pairs that are worked on together: one at a time, each sum would wait for the term before.
constexpr int kTogether = 4;
template <typename Block> using Rows = Block[kMaxNlm][kTogether];

// Calls add(left, right, factor, made row) for all terms; rows hold kTogether blocks each.
template <typename T, typename Block, typename Sum, typename Add>
DD_INLINE void for_terms(const PairProductsView<T>& in, const Rows<Block>& left, const Rows<Block>& right, Sum* made,
                         Add add) {
  for (int64_t t = 0; t < in.nterms;) {
    const int32_t c = in.term[3 * t];
    Sum sum = made[c];
    for (; t < in.nterms && in.term[3 * t] == c; ++t)
      add(left[in.term[3 * t + 1]], right[in.term[3 * t + 2]], in.value[t], sum);
    made[c] = sum;
  }
}

// The pair's own function: its rows, those of an l by the weight of that l.
template <typename T, typename Block>
DD_INLINE void set_function(const PairProductsView<T>& in, int64_t p, int64_t k, int q, Rows<Block>& function) {
  for (int l = 0; l < in.nl; ++l) {
    Block weight;
    weight.load(in.radial + (p * in.nl + l) * in.nchannels + k);
    for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
      function[lm][q] = {};
      function[lm][q].add(in.rows[p * in.nlm() + lm], weight);
    }
  }
}

// Columns of the rows (nlm, natoms, nchannels) of an atom.
template <typename T, typename Block>
DD_INLINE void load_rows(const PairProductsView<T>& in, const T* from, int64_t atom, int64_t k, int q, Rows<Block>& rows) {
  for (int lm = 0; lm < in.nlm(); ++lm) rows[lm][q].load(from + (lm * in.natoms + atom) * in.nchannels + k);
}

template <typename T, typename Block>
DD_INLINE void clear(const PairProductsView<T>& in, int q, Rows<Block>& rows) {
  for (int lm = 0; lm < in.nlm(); ++lm) rows[lm][q] = {};
}

template <typename T>
void sum_products(const PairProductsView<T>& in, const T* values, const int32_t* of, const int32_t* pairs, int64_t npairs,
                  T* __restrict sum, int64_t stride) {
  for_columns<T, 1>(in.nchannels, [&](int64_t k, auto width) __attribute__((always_inline)) {
    typedef Columns<T, decltype(width)::value> Block;
    Rows<Block> function, sent;
    Block made[kMaxNlm];
    for (int lm = 0; lm < in.nlm(); ++lm) made[lm] = {};
    for (int64_t first = 0; first < npairs; first += kTogether) {
      for (int q = 0; q < kTogether; ++q) {
        if (first + q >= npairs) {
          clear(in, q, function), clear(in, q, sent);
          continue;
        }
        const int64_t p = pairs[first + q];
        set_function(in, p, k, q, function);
        load_rows(in, values, of[p], k, q, sent);
      }
      for_terms(in, sent, function, made,
                [](const Block* left, const Block* right, T factor, Block& total) __attribute__((always_inline)) {
                  Block product = left[0];
                  product.scale(right[0]);
                  for (int q = 1; q < kTogether; ++q) product.add(left[q], right[q]);
                  total.add(factor, product);
                });
    }
    for (int lm = 0; lm < in.nlm(); ++lm) made[lm].store(sum + lm * stride + k);
  });
}

// Gradients of the weights and rows of a pair, from that of its function.
template <typename T, typename Block, typename Made>
DD_INLINE void pull_function(const PairProductsView<T>& in, int64_t p, int64_t k, int q, Made* made, T* radial, T* to_row) {
  for (int l = 0; l < in.nl; ++l) {
    const int64_t place = (p * in.nl + l) * in.nchannels + k;
    Block weight, sum = {};
    weight.load(in.radial + place);
    for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
      Block& part = made[lm].part[q];
      sum.add(in.rows[p * in.nlm() + lm], part);
      part.scale(weight);
      to_row[lm] += part.sum();
    }
    sum.store(radial + place);
  }
}

template <typename T>
void pull_functions(const PairProductsView<T>& in, const T* grad, int64_t begin, int64_t end, T* radial, T* rows) {
  for (int64_t lm = begin * in.nlm(); lm < end * in.nlm(); ++lm) rows[lm] = 0;
  for_columns<T, 1>(in.nchannels, [&](int64_t k, auto width) __attribute__((always_inline)) {
    typedef Columns<T, decltype(width)::value> Block;
    struct Parts {
      Block part[kTogether];
    };
    Rows<Block> sent, pulled;
    Parts made[kMaxNlm];
    for (int64_t first = begin; first < end; first += kTogether) {
      for (int q = 0; q < kTogether; ++q) {
        const int64_t p = first + q < end ? first + q : end - 1;
        load_rows(in, in.tensors, in.atom[p], k, q, sent);
        load_rows(in, grad, in.center[p], k, q, pulled);
      }
      for (int lm = 0; lm < in.nlm(); ++lm) made[lm] = {};
      for_terms(in, sent, pulled, made,
                [](const Block* left, const Block* right, T factor, Parts& total) __attribute__((always_inline)) {
                  for (int q = 0; q < kTogether; ++q) {
                    Block product = left[q];
                    product.scale(right[q]);
                    total.part[q].add(factor, product);
                  }
                });
      for (int q = 0; q < kTogether && first + q < end; ++q)
        pull_function<T, Block>(in, first + q, k, q, made, radial, rows + (first + q) * in.nlm());
    }
  });
}

}  // namespace
}  // namespace dd
