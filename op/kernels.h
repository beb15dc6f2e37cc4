// What is compiled for several instruction sets (kernels.cc) and the plain views it works on: pointers
// and counts, no owners. Whoever calls a kernel lays out its memory (scratch.h).
#pragma once

#include <cstdint>

#include "basis.h"

namespace dd {

template <typename T> struct IndexOf { typedef int32_t type; };
template <> struct IndexOf<double> { typedef int64_t type; };

// Position of a point from the block's middle, and its number in the block: moved as one.
template <typename T> struct Record {
  T x, y, z;
  typename IndexOf<T>::type point;
};

// Points are looked at in chunks: most that are out of reach are so together.
constexpr int kChunk = 16;

// Neighbouring points often share an interval: counters take turns, or each would wait for the last.
constexpr int kTurns = 4;

// Vectors of 64 bytes: one AVX-512 register, two of AVX2, four of SSE or NEON.
template <typename T> constexpr int kWidth = 64 / sizeof(T);

// Points seen from an atom: softened direction, place on the axis of the splines, number in the block,
// and what the atom adds there.
template <typename T> struct Lanes {
  T *u[3], *t, *value[3];
  int32_t* point;
};

// The points of a block, and those within reach of one atom's image, grouped: all points of a group lie
// in the same interval of the radial splines, share their coefficients, and lie side by side for vector
// registers.
template <typename T> struct Groups {
  int64_t npoints, nchunks;
  T* x[3];                 // positions from the block's middle, filled up to whole chunks
  Record<T>* record;
  T *low[3], *high[3];     // of the upright boxes around chunks of points
  T* near;                 // squared distances of the boxes from the image
  int32_t* chunk;          // first points of the chunks within reach
  int64_t nnear;           // their number
  int32_t* interval;       // of each point; nspline: out of reach
  int32_t* next[kTurns];   // points of each interval, once counted their next lane
  int32_t* start;          // first lane of each interval's group
  Record<T>* grouped;      // by interval, those out of reach last
  Lanes<T> lanes;          // of the points within reach
  T* padded_coef;          // of intervals whose last splines are not there
};

// A block of points, the images of atoms within reach, and where the sums over them go.
template <typename T> struct BlockView {
  Basis basis;
  const T* coef;                // (natoms, nchannel, nspline, nlm)
  int first_channel, nchannel;  // those wanted
  const double* position[3];    // of the points
  double middle[3];             // of the block
  int64_t nimages;
  const double* image[3];
  const int32_t* atom;          // of each image, a row of coef
  double* sum;                  // (npoints + 1, width); the last row takes what padding lanes add
};

// Pairs of a point and an atom, the points rising.
template <typename T> struct PairsView {
  Basis basis;
  const double* disp;
  const int32_t *point, *atom;
  const T* coef;
  int64_t npairs, natoms, npoints;
};

template <typename T> struct TableView {
  const T* coef;  // (nintervals, kTableTerms, nout)
  int64_t nintervals, nout;
  T step;
};
constexpr int kTableTerms = 6;

// Pairs of atoms, by the first one, and what the second sends to it (messages.cc).
template <typename T> struct MessagesView {
  int64_t npairs, natoms;
  int nl, nchannels;
  bool passed;  // with tensors of the atoms that send
  const int32_t *center, *atom;
  const T *radial, *rows, *sent, *tensors;

  int nlm() const { return nl * nl; }
  int64_t width() const { return int64_t{nl} * nchannels * (passed ? 2 : 1); }
  // The pairs from `first` on, with radial weights of their own.
  MessagesView from(int64_t first, const T* weights) const {
    MessagesView rest = *this;
    rest.center += first, rest.atom += first, rest.rows += first * nlm(), rest.radial = weights;
    return rest;
  }
};

// Rows with a matrix for each group of them (grouped.cc).
template <typename T> struct GroupedView {
  int64_t nrows, ngroups, nin, nout;
  const T *x, *weight;
  const int32_t* group;
};

// Rows of coefficients and the products of two that are summed (coupling.cc).
template <typename T> struct CouplingView {
  int64_t nlm, ncolumns, nterms;
  const T *left, *right, *value;
  const int32_t* term;  // (nterms, 3), by the first: the row made, and those of left and right
};

// Pairs of atoms, rows that the second sends, and the rows of a function of each pair that they are multiplied by
// (pair_products.cc).
template <typename T> struct PairProductsView {
  int64_t npairs, natoms, nterms;
  int nl, nchannels;
  const int32_t *center, *atom, *term;
  const T *radial, *rows, *tensors, *value;

  int nlm() const { return nl * nl; }
};

// Places between rows: the first of the six rows about each, and their weights (interpolate.cc).
constexpr int kStencil = 6;
template <typename T> struct StencilsView {
  int64_t n, width;
  const int32_t* first;
  const T* weight;  // (n, kStencil)

  // The places from `start` on.
  StencilsView from(int64_t start) const { return {n - start, width, first + start, weight + start * kStencil}; }
};

// A matrix whose products with itself are taken, and room for them (orthogonal.cc).
template <typename T> struct SquaringView {
  int64_t rows, columns;
  T* scratch;

  int64_t shorter() const { return rows < columns ? rows : columns; }
  int64_t longer() const { return rows < columns ? columns : rows; }
  static int64_t padded(int64_t n) { return (n + 2 * kWidth<T> - 1) / (2 * kWidth<T>) * (2 * kWidth<T>); }
  int64_t scratch_size() const {
    return 2 * shorter() * padded(longer()) + (longer() + 4 * shorter()) * padded(shorter());
  }
};

template <typename T> struct KernelsOf {
  // Sums over the images of a block: channels, or the gradient of the first one (width 3).
  void (*values)(const BlockView<T>&, Groups<T>&);
  void (*gradients)(const BlockView<T>&, Groups<T>&);
  // Adds the pairs [begin, end) to density (npoints, nchannel).
  void (*sum_pairs)(const PairsView<T>&, int64_t begin, int64_t end, double* density);
  // Adds to the gradient of one atom's coefficients the share of its pairs, listed in order.
  void (*coef_gradient)(const PairsView<T>&, const double* grad, const int32_t* pairs, int64_t npairs, T* out);
  // Values (n, nout) of a table.
  void (*table)(const TableView<T>&, const T* x, int64_t n, T* out);
  // Sums (nlm, nchannels) of the messages of the pairs [begin, end), all of one atom.
  void (*gather)(const MessagesView<T>&, int64_t begin, int64_t end, T* sum);
  // Gradients of the weights and rows of the pairs [begin, end), from that of the sums (nlm, natoms, nchannels).
  void (*pull_pairs)(const MessagesView<T>&, const T* grad, int64_t begin, int64_t end, T* radial, T* rows);
  // Adds to the gradients of what one atom sends, from its pairs; those of tensors for each lm are `stride` apart.
  void (*pull_atom)(const MessagesView<T>&, const T* grad, const int32_t* pairs, int64_t npairs, T* sent, T* tensors,
                    int64_t stride);
  // Products (nrows, nout) of the rows [begin, end); and, added to it, the gradient of the rows [begin, end) of
  // all matrices.
  void (*grouped)(const GroupedView<T>&, int64_t begin, int64_t end, T* out);
  void (*grouped_grad_weight)(const GroupedView<T>&, const T* grad, int64_t begin, int64_t end, T* out);
  // The columns [begin, end) of all rows.
  void (*couple)(const CouplingView<T>&, int64_t begin, int64_t end, T* out);
  // Sums (nlm, nchannels) of the pairs listed, of the products with the rows `values` (nlm, natoms, nchannels) of atom
  // of[pair]; those for each lm are `stride` apart.
  void (*sum_products)(const PairProductsView<T>&, const T* values, const int32_t* of, const int32_t* pairs,
                       int64_t npairs, T* sum, int64_t stride);
  // Gradients of the weights and rows of the pairs [begin, end), from that of the sums (nlm, natoms, nchannels).
  void (*pull_functions)(const PairProductsView<T>&, const T* grad, int64_t begin, int64_t end, T* radial, T* rows);
  // Rows (n, width) at the places [begin, end); and, added to that of the nodes, the gradient of the columns
  // [begin, end), from places in the order of their first nodes.
  void (*interpolate)(const StencilsView<T>&, const T* nodes, int64_t begin, int64_t end, T* out);
  void (*pull_nodes)(const StencilsView<T>&, const T* grad, const int32_t* order, int64_t begin, int64_t end, T* out);
  // The matrix (rows, columns) after Newton-Schulz steps.
  void (*newton_schulz)(const SquaringView<T>&, const T* x, T* out);
};

struct Kernels {
  const char* name;
  KernelsOf<float> of_float;
  KernelsOf<double> of_double;
};

// Those for this machine, or what DEEPDENSITY_ISA names; throws InvalidArgument where that is not to be had.
const Kernels& kernels();

template <typename T> const KernelsOf<T>& kernels_of();
template <> inline const KernelsOf<float>& kernels_of<float>() { return kernels().of_float; }
template <> inline const KernelsOf<double>& kernels_of<double>() { return kernels().of_double; }

}  // namespace dd
