// The points of a regular grid in compact blocks: what PointBlocks is for points in any order.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "blocks.h"
#include "cell.h"

namespace dd {

// Point (i, j, k) lies at i/n0, j/n1, k/n2 of the rows of the grid's cell. Blocks follow from the
// grid alone, so that a point's density does not depend on which part of the grid is worked on.
class LatticeBlocks {
 public:
  // The `part`-th of `nparts` parts of the grid, cut across its first axis.
  LatticeBlocks(const std::array<Vec, 3>& rows, const int32_t* shape, int64_t part, int64_t nparts, double widest)
      : rows_(rows) {
    double npoints = 1, length[3];
    for (int k = 0; k < 3; ++k) {
      length[k] = std::sqrt(dot(rows[k], rows[k]));
      npoints *= shape[k];
    }
    const double volume = std::abs(dot(rows[0], cross(rows[1], rows[2])));
    const double edge = std::min(widest, std::cbrt(volume / npoints * kPointsOfBlock));
    for (int k = 0; k < 3; ++k) {
      shape_[k] = shape[k];
      const double blocks = std::round(length[k] / edge);
      count_[k] = static_cast<int64_t>(std::min<double>(shape[k], std::max(blocks, 1.0)));
    }
    // Grids that are much finer along one axis.
    while (largest() > kLargest) {
      const int k = longest_axis();
      count_[k] = std::min(shape_[k], 2 * count_[k]);
    }
    first_layer_ = count_[0] * part / nparts;
    last_layer_ = count_[0] * (part + 1) / nparts;
  }

  int64_t count() const { return (last_layer_ - first_layer_) * count_[1] * count_[2]; }
  // Points of the part: rows of its output.
  int64_t npoints() const { return (begin(0, last_layer_) - begin(0, first_layer_)) * shape_[1] * shape_[2]; }
  int64_t size(int64_t block) const {
    const Range r = range(block);
    return (r.end[0] - r.begin[0]) * (r.end[1] - r.begin[1]) * (r.end[2] - r.begin[2]);
  }

  void positions(int64_t block, std::vector<double>* xyz) const {
    int64_t p = 0;
    for_rows(range(block), [&](int64_t i, int64_t j, int64_t first, int64_t last) {
      for (int c = 0; c < 3; ++c) {
        const double start = along(0, i, c) + along(1, j, c);
        double* __restrict out = xyz[c].data() + p;
        for (int64_t k = first; k < last; ++k) out[k - first] = start + along(2, k, c);
      }
      p += last - first;
    });
  }

  // The upright box around a block.
  void bounds(int64_t block, Vec* low, Vec* high) const {
    const Range r = range(block);
    low->fill(std::numeric_limits<double>::max());
    high->fill(std::numeric_limits<double>::lowest());
    for (int corner = 0; corner < 8; ++corner) {
      Vec x{};
      for (int c = 0; c < 3; ++c)
        for (int k = 0; k < 3; ++k) x[c] += along(k, corner >> k & 1 ? r.end[k] - 1 : r.begin[k], c);
      extend(x, low, high);
    }
  }

  // Copies the block's values (size, width) to the part's output.
  void write(int64_t block, const double* values, int width, double* out) const {
    const int64_t skipped = begin(0, first_layer_);
    for_rows(range(block), [&](int64_t i, int64_t j, int64_t first, int64_t last) {
      const int64_t n = (last - first) * width;
      std::copy_n(values, n, out + (((i - skipped) * shape_[1] + j) * shape_[2] + first) * width);
      values += n;
    });
  }

 private:
  static constexpr double kLargest = 16384;  // points a block

  double side(int axis) const { return std::ceil(double(shape_[axis]) / double(count_[axis])); }
  double largest() const { return side(0) * side(1) * side(2); }
  int longest_axis() const {
    int longest = 0;
    for (int k = 1; k < 3; ++k)
      if (side(k) > side(longest)) longest = k;
    return longest;
  }

  struct Range {
    int64_t begin[3], end[3];
  };

  int64_t begin(int axis, int64_t k) const { return shape_[axis] * k / count_[axis]; }
  double along(int axis, int64_t index, int c) const { return double(index) / double(shape_[axis]) * rows_[axis][c]; }

  Range range(int64_t block) const {
    const int64_t at[] = {first_layer_ + block / (count_[1] * count_[2]), block / count_[2] % count_[1],
                          block % count_[2]};
    Range r;
    for (int k = 0; k < 3; ++k) r.begin[k] = begin(k, at[k]), r.end[k] = begin(k, at[k] + 1);
    return r;
  }

  template <typename Visit> static void for_rows(const Range& r, Visit visit) {
    for (int64_t i = r.begin[0]; i < r.end[0]; ++i)
      for (int64_t j = r.begin[1]; j < r.end[1]; ++j) visit(i, j, r.begin[2], r.end[2]);
  }

  std::array<Vec, 3> rows_;
  int64_t shape_[3], count_[3];  // points and blocks along each axis
  int64_t first_layer_, last_layer_;
};

}  // namespace dd
