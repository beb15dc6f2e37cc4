// Where places lie between rows: the six nodes about each, and their weights in the polynomial of degree five
// through them (Lagrange).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernel.h"
#include "kernels.h"

namespace dd {

constexpr int64_t kMaxNodes = 1 << 20;

// First nodes and weights of all places.
template <typename T> class Stencils {
 public:
  Stencils(const Input& x, int64_t nnodes, int64_t width) {
    const int64_t n = x.shaped({-1}).rows();
    require(nnodes >= kStencil, "nodes has ", nnodes, " rows, expected ", kStencil, " or more");
    first_.resize(n), weight_.resize(n * kStencil);
    for (int64_t i = 0; i < n; ++i) {
      const double place = x.data<T>()[i];
      // What rounding puts beyond the last node is no fault.
      require(place >= -0.5 && place <= static_cast<double>(nnodes) - 0.5, x.name(), "[", i, "] is ", place,
              ", expected 0 to ", nnodes - 1);
      const int64_t before = static_cast<int64_t>(std::floor(place)) - (kStencil / 2 - 1);
      const int64_t first = std::clamp<int64_t>(before, 0, nnodes - kStencil);
      first_[i] = static_cast<int32_t>(first);
      set_weights(place - static_cast<double>(first), weight_.data() + i * kStencil);
    }
    view = {n, width, first_.data(), weight_.data()};
  }

  // The places by their first nodes.
  std::vector<int32_t> order() const {
    std::vector<int32_t> all(first_.size());
    std::iota(all.begin(), all.end(), 0);
    std::stable_sort(all.begin(), all.end(), [&](int32_t a, int32_t b) { return first_[a] < first_[b]; });
    return all;
  }

  StencilsView<T> view;

 private:
  // Products of (t - j) over all other nodes j, by what they are at the node itself.
  static void set_weights(double t, T* weight) {
    static_assert(kStencil == 6, "a scale for each node");
    constexpr double scale[] = {-1. / 120, 1. / 24, -1. / 12, 1. / 12, -1. / 24, 1. / 120};
    double before[kStencil] = {1}, after = 1;
    for (int k = 1; k < kStencil; ++k) before[k] = before[k - 1] * (t - (k - 1));
    for (int k = kStencil - 1; k >= 0; after *= t - k, --k) weight[k] = static_cast<T>(scale[k] * before[k] * after);
  }

  std::vector<int32_t> first_;
  std::vector<T> weight_;
};

}  // namespace dd
