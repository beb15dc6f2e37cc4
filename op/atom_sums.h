// Kernels of what atoms send each other (see kernels.h).
//
// One l at a time, and of it as many columns as a register holds: its sums over pairs, or over m, stay in registers.
#pragma once

#include "columns.h"

namespace dd {
namespace {

// body(l, first column, columns) for each l and its columns. l is a type: sums over m are arrays whose size the compiler
// knows.
template <typename T, typename Body> DD_INLINE void for_orders(const MessagesView<T>& in, Body body) {
  for_range(Constant<0>{}, Constant<kMaxL>{}, [&](auto l) __attribute__((always_inline)) {
    if (l >= in.nl) return;
    for_columns<T, 1>(in.nchannels, [&](int64_t k, auto width) __attribute__((always_inline)) { body(l, k, width); });
  });
}

// What belongs to one pair, one l and the columns from `k` on; `passed` and `tensors` where atoms pass tensors.
template <typename T> struct Message {
  const T *rows, *own, *passed, *sent, *tensors;
  DD_INLINE Message(const MessagesView<T>& in, int64_t p, int l, int64_t k)
      : rows(in.rows + p * in.nlm()), own(in.radial + p * in.width() + l * in.nchannels + k),
        passed(in.passed ? own + in.nl * in.nchannels : nullptr), sent(in.sent + in.atom[p] * int64_t{in.nchannels} + k),
        tensors(in.passed ? in.tensors + (l * l * in.natoms + in.atom[p]) * in.nchannels + k : nullptr) {}
};

template <typename T> void gather(const MessagesView<T>& in, int64_t begin, int64_t end, T* __restrict sum) {
  const int64_t stride = in.natoms * in.nchannels;
  for_orders(in, [&](auto l, int64_t k, auto width) __attribute__((always_inline)) {
    constexpr int kOrders = 2 * decltype(l)::value + 1;
    typedef Columns<T, decltype(width)::value> Block;
    Block total[kOrders] = {}, weight, factor;
    for (int64_t p = begin; p < end; ++p) {
      const Message<T> message(in, p, l, k);
      weight.load(message.own), factor.load(message.sent), weight.scale(factor);
      for (int m = 0; m < kOrders; ++m) total[m].add(message.rows[l * l + m], weight);
      if (!in.passed) continue;
      weight.load(message.passed), weight.scale(message.rows[0]);
      for (int m = 0; m < kOrders; ++m) factor.load(message.tensors + m * stride), total[m].add(factor, weight);
    }
    for (int m = 0; m < kOrders; ++m) total[m].store(sum + (l * l + m) * in.nchannels + k);
  });
}

template <typename T>
DD_INLINE void pull_pair(const MessagesView<T>& in, const T* grad, int64_t p, T* __restrict to_radial,
                         T* __restrict to_row) {
  const int64_t stride = in.natoms * in.nchannels;
  for (int lm = 0; lm < in.nlm(); ++lm) to_row[lm] = 0;
  T to_first = 0;
  for_orders(in, [&](auto l, int64_t k, auto width) __attribute__((always_inline)) {
    constexpr int kOrders = 2 * decltype(l)::value + 1;
    typedef Columns<T, decltype(width)::value> Block;
    const Message<T> message(in, p, l, k);
    const T* g = grad + (l * l * in.natoms + in.center[p]) * in.nchannels + k;
    Block own = {}, passed = {}, sent, weight, part;
    sent.load(message.sent), weight.load(message.own), weight.scale(sent);
    for (int m = 0; m < kOrders; ++m) {
      part.load(g + m * stride);
      own.add(message.rows[l * l + m], part);
      if (in.passed) {
        Block from;
        from.load(message.tensors + m * stride);
        passed.add(part, from);
      }
      part.scale(weight);
      to_row[l * l + m] += part.sum();
    }
    own.scale(sent);
    own.store(to_radial + l * in.nchannels + k);
    if (!in.passed) return;
    weight.load(message.passed), weight.scale(passed);
    to_first += weight.sum();
    passed.scale(message.rows[0]);
    passed.store(to_radial + (in.nl + l) * in.nchannels + k);
  });
  to_row[0] += to_first;
}

template <typename T>
void pull_pairs(const MessagesView<T>& in, const T* grad, int64_t begin, int64_t end, T* radial, T* rows) {
  for (int64_t p = begin; p < end; ++p) pull_pair(in, grad, p, radial + p * in.width(), rows + p * in.nlm());
}

template <typename T>
void pull_atom(const MessagesView<T>& in, const T* grad, const int32_t* pairs, int64_t npairs, T* __restrict to_sent,
               T* __restrict to_tensors, int64_t stride) {
  const int64_t of_grad = in.natoms * in.nchannels;
  for_orders(in, [&](auto l, int64_t k, auto width) __attribute__((always_inline)) {
    constexpr int kOrders = 2 * decltype(l)::value + 1;
    typedef Columns<T, decltype(width)::value> Block;
    Block tensors[kOrders] = {}, sent;
    T* to = to_tensors + l * l * stride + k;
    sent.load(to_sent + k);
    if (in.passed)
      for (int m = 0; m < kOrders; ++m) tensors[m].load(to + m * stride);
    for (int64_t index = 0; index < npairs; ++index) {
      const int64_t p = pairs[index];
      const Message<T> message(in, p, l, k);
      const T* g = grad + (l * l * in.natoms + in.center[p]) * in.nchannels + k;
      Block weight, passed = {}, part, own = {};
      if (in.passed) passed.load(message.passed), passed.scale(message.rows[0]);
      for (int m = 0; m < kOrders; ++m) {
        part.load(g + m * of_grad);
        own.add(message.rows[l * l + m], part);
        if (in.passed) tensors[m].add(passed, part);
      }
      weight.load(message.own), sent.add(weight, own);
    }
    sent.store(to_sent + k);
    if (in.passed)
      for (int m = 0; m < kOrders; ++m) tensors[m].store(to + m * stride);
  });
}

}  // namespace
}  // namespace dd
