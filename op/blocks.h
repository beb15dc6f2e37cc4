// Points sorted into blocks that are compact in space, whatever their order was.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "cell.h"
#include "images.h"
#include "sort.h"
#include "threads.h"

namespace dd {

constexpr int64_t kPointsOfBlock = 3000;  // where they fill space evenly

class PointBlocks {
 public:
  // Points are wrapped into the cell. Blocks are no wider than `widest`.
  PointBlocks(const double* points, int64_t npoints, const Cell& cell, double widest) : wrapped_(npoints) {
    parallel_for(npoints, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        wrapped_[p] = cell.wrapped({points[3 * p], points[3 * p + 1], points[3 * p + 2]});
    });
    const Grid grid = choose_bins(widest);
    sort(grid);
    if (grid.width > widest) split_wide_blocks(widest);
  }

  int64_t count() const { return static_cast<int64_t>(start_.size()) - 1; }
  int64_t size(int64_t block) const { return start_[block + 1] - start_[block]; }

  Region region(const Cell& cell) const {
    Region region = Region::nowhere();
    for (const Vec& r : wrapped_) region.include(cell, r);
    return region;
  }

  void positions(int64_t block, double* const* xyz) const {
    for (int64_t k = 0; k < size(block); ++k)
      for (int c = 0; c < 3; ++c) xyz[c][k] = wrapped_[point(block, k)][c];
  }

  // The upright box around a block.
  void bounds(int64_t block, Vec* low, Vec* high) const {
    bounds(start_[block], start_[block + 1], low, high);
  }

  // Calls visit(number of the block's point, its row in the output).
  template <typename Visit> void for_rows(int64_t block, Visit visit) const {
    for (int64_t k = 0; k < size(block); ++k) visit(k, point(block, k));
  }

 private:
  static constexpr int64_t kGrain = 4096;
  static constexpr int64_t kLargest = 8192;  // points a block

  struct Grid {
    Vec low;
    double width;
    int64_t count[3];
  };

  // Number of the block's k-th point as it was given.
  int64_t point(int64_t block, int64_t k) const { return order_[start_[block] + k]; }

  // The upright box around the points order_[first, last).
  void bounds(int64_t first, int64_t last, Vec* low, Vec* high) const {
    *low = *high = wrapped_[order_[first]];
    for (int64_t k = first + 1; k < last; ++k) extend(wrapped_[order_[k]], low, high);
  }

  // Cubic bins that would hold kPointsOfBlock points each if the points filled their bounding box.
  Grid choose_bins(double widest) const {
    Grid grid{{0, 0, 0}, widest, {1, 1, 1}};
    if (wrapped_.empty()) return grid;
    Vec high = grid.low = wrapped_[0];
    for (const Vec& r : wrapped_) extend(r, &grid.low, &high);
    double volume = 1;
    for (int c = 0; c < 3; ++c) volume *= std::max(high[c] - grid.low[c], 1e-3);
    grid.width = std::min(widest, std::cbrt(volume * kPointsOfBlock / wrapped_.size()));
    // Sparse points must not get more bins than they justify.
    for (;; grid.width *= 1.5) {
      double bins = 1;
      for (int c = 0; c < 3; ++c) bins *= std::floor((high[c] - grid.low[c]) / grid.width) + 1;
      if (bins <= 64.0 + wrapped_.size()) break;
    }
    for (int c = 0; c < 3; ++c)
      grid.count[c] = static_cast<int64_t>((high[c] - grid.low[c]) / grid.width) + 1;
    return grid;
  }

  // Counting sort by bin; bins are cut into blocks of at most kLargest points.
  void sort(const Grid& grid) {
    std::vector<int32_t> bin(wrapped_.size());
    parallel_for(wrapped_.size(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        int64_t at[3];
        for (int c = 0; c < 3; ++c)
          at[c] = std::min(static_cast<int64_t>((wrapped_[p][c] - grid.low[c]) / grid.width), grid.count[c] - 1);
        bin[p] = static_cast<int32_t>((at[0] * grid.count[1] + at[1]) * grid.count[2] + at[2]);
      }
    });
    Sorted sorted = sorted_by_bin(bin, grid.count[0] * grid.count[1] * grid.count[2]);
    order_ = std::move(sorted.order);
    start_.push_back(0);
    for (size_t b = 1; b < sorted.start.size(); ++b)
      for (int64_t left = sorted.start[b] - sorted.start[b - 1]; left > 0; left -= kLargest)
        start_.push_back(start_.back() + std::min(left, kLargest));
  }

  // Bins are wide where points are sparse, or few far from the others.
  void split_wide_blocks(double widest) {
    const std::vector<int64_t> start = std::move(start_);
    start_ = {0};
    for (size_t b = 1; b < start.size(); ++b) split(start[b - 1], start[b], widest);
  }

  // Halves order_[first, last) until no part is wider; blocks begin where start_ ends.
  void split(int64_t first, int64_t last, double widest) {
    Vec low, high;
    bounds(first, last, &low, &high);
    int axis = 0;
    for (int c = 1; c < 3; ++c)
      if (high[c] - low[c] > high[axis] - low[axis]) axis = c;
    if (high[axis] - low[axis] <= widest) {
      start_.push_back(last);
      return;
    }
    const double middle = 0.5 * (low[axis] + high[axis]);
    const auto second = std::partition(order_.begin() + first, order_.begin() + last,
                                       [&](int32_t p) { return wrapped_[p][axis] <= middle; });
    const int64_t cut = second - order_.begin();
    split(first, cut, widest);
    split(cut, last, widest);
  }

  std::vector<Vec> wrapped_;
  std::vector<int32_t> order_;
  std::vector<int64_t> start_;  // first place in order_ of each block
};

}  // namespace dd
