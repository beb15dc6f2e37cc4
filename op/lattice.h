// The points of a regular grid in compact blocks: what PointBlocks is for points in any order.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

#include "blocks.h"
#include "cell.h"
#include "images.h"

namespace dd {

// A box of a grid's points, in numbers of points along each axis.
struct Brick {
  int64_t begin[3], end[3];

  int64_t length(int axis) const { return end[axis] - begin[axis]; }
  int64_t size() const { return length(0) * length(1) * length(2); }
};

// Point (i, j, k) lies at i/n0, j/n1, k/n2 of the rows of the grid's cell. Blocks follow from the
// grid alone, so that a point's density does not depend on which part of the grid is worked on.
class LatticeBlocks {
 public:
  // The blocks of a whole grid, or those that a part of it touches; no wider than `widest`.
  LatticeBlocks(const std::array<Vec, 3>& rows, const int32_t* shape, double widest) : rows_(rows) {
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
    choose({{0, 0, 0}, {shape_[0], shape_[1], shape_[2]}});
  }

  // Restricts the work to a part of the grid, which may cut through blocks.
  void choose(const Brick& part) {
    part_ = part;
    for (int k = 0; k < 3; ++k) {
      blocks_.begin[k] = block_of(k, part.begin[k]);
      blocks_.end[k] = block_of(k, part.end[k] - 1) + 1;
    }
  }

  // The `part`-th of `nparts` parts, cut between layers of blocks across the first axis.
  Brick layers(int64_t part, int64_t nparts) const {
    return {{begin(0, count_[0] * part / nparts), 0, 0}, {begin(0, count_[0] * (part + 1) / nparts), shape_[1], shape_[2]}};
  }

  const Brick& part() const { return part_; }
  int64_t count() const { return part_.size() ? blocks_.size() : 0; }
  int64_t size(int64_t block) const { return range(block).size(); }

  // Where the part lies.
  Region region(const Cell& cell) const {
    Region region = Region::nowhere();
    for_corners(part_, [&](const Vec& x) { region.include(cell, x); });
    return region;
  }

  void positions(int64_t block, double* const* xyz) const {
    int64_t p = 0;
    for_lines(range(block), [&](int64_t i, int64_t j, int64_t first, int64_t last) {
      for (int c = 0; c < 3; ++c) {
        const double start = along(0, i, c) + along(1, j, c);
        double* __restrict out = xyz[c] + p;
        for (int64_t k = first; k < last; ++k) out[k - first] = start + along(2, k, c);
      }
      p += last - first;
    });
  }

  // The upright box around a block: the whole of it, also where the part has less.
  void bounds(int64_t block, Vec* low, Vec* high) const { bounds(whole(block), low, high); }

  // Calls visit(number of the block's point, its row in the part's output).
  template <typename Visit> void for_rows(int64_t block, Visit visit) const {
    int64_t p = 0;
    for_lines(range(block), [&](int64_t i, int64_t j, int64_t first, int64_t last) {
      const int64_t line = ((i - part_.begin[0]) * part_.length(1) + j - part_.begin[1]) * part_.length(2);
      for (int64_t k = first; k < last; ++k) visit(p++, line + k - part_.begin[2]);
    });
  }

  // Parts of whole blocks, of at most `most` points where blocks allow it, that hold all points within rcut
  // of an image. Images are taken by their positions.
  std::vector<Brick> parts(std::vector<Vec> images, int64_t most, double rcut) const {
    std::vector<Brick> found;
    divide({{0, 0, 0}, {count_[0], count_[1], count_[2]}}, images, most, rcut, &found);
    return found;
  }

 private:
  static constexpr double kLargest = 16384;  // points a block
  static constexpr size_t kMostParts = 1 << 20;  // 10^12 points: more than memory holds

  double side(int axis) const { return std::ceil(double(shape_[axis]) / double(count_[axis])); }
  double largest() const { return side(0) * side(1) * side(2); }
  int longest_axis() const {
    int longest = 0;
    for (int k = 1; k < 3; ++k)
      if (side(k) > side(longest)) longest = k;
    return longest;
  }

  int64_t begin(int axis, int64_t k) const { return shape_[axis] * k / count_[axis]; }
  // The block whose points [begin(k), begin(k + 1)) include a point.
  int64_t block_of(int axis, int64_t point) const { return ((point + 1) * count_[axis] - 1) / shape_[axis]; }
  double along(int axis, int64_t index, int c) const { return double(index) / double(shape_[axis]) * rows_[axis][c]; }

  // The points of a box of blocks.
  Brick points_of(const Brick& blocks) const {
    Brick points;
    for (int k = 0; k < 3; ++k) points.begin[k] = begin(k, blocks.begin[k]), points.end[k] = begin(k, blocks.end[k]);
    return points;
  }
  Brick whole(int64_t block) const {
    const int64_t n1 = blocks_.length(1), n2 = blocks_.length(2);
    const int64_t at[] = {block / (n1 * n2), block / n2 % n1, block % n2};
    Brick one;
    for (int k = 0; k < 3; ++k) one.begin[k] = blocks_.begin[k] + at[k], one.end[k] = one.begin[k] + 1;
    return points_of(one);
  }
  // The block's points that belong to the part.
  Brick range(int64_t block) const {
    Brick points = whole(block);
    for (int k = 0; k < 3; ++k) {
      points.begin[k] = std::max(points.begin[k], part_.begin[k]);
      points.end[k] = std::min(points.end[k], part_.end[k]);
    }
    return points;
  }

  template <typename Visit> static void for_lines(const Brick& r, Visit visit) {
    for (int64_t i = r.begin[0]; i < r.end[0]; ++i)
      for (int64_t j = r.begin[1]; j < r.end[1]; ++j) visit(i, j, r.begin[2], r.end[2]);
  }
  template <typename Visit> void for_corners(const Brick& r, Visit visit) const {
    for (int corner = 0; corner < 8; ++corner) {
      Vec x{};
      for (int c = 0; c < 3; ++c)
        for (int k = 0; k < 3; ++k) x[c] += along(k, corner >> k & 1 ? r.end[k] - 1 : r.begin[k], c);
      visit(x);
    }
  }
  void bounds(const Brick& points, Vec* low, Vec* high) const {
    low->fill(std::numeric_limits<double>::max());
    high->fill(std::numeric_limits<double>::lowest());
    for_corners(points, [&](const Vec& x) { extend(x, low, high); });
  }

  void divide(const Brick& blocks, const std::vector<Vec>& images, int64_t most, double rcut,
              std::vector<Brick>* found) const {
    const Brick points = points_of(blocks);
    Vec low, high;
    bounds(points, &low, &high);
    std::vector<Vec> near;
    for (const Vec& image : images) {
      if (squared_gap(image, low, high) >= rcut * rcut) continue;
      near.push_back(image);
      if (squared_reach(image, low, high) >= rcut * rcut) continue;
      near = {image};  // all points are within reach of this one: the others make no difference
      break;
    }
    if (near.empty()) return;
    int axis = 0;
    for (int k = 1; k < 3; ++k)
      if (blocks.length(k) > blocks.length(axis)) axis = k;
    if (points.size() <= most || blocks.length(axis) == 1) {
      if (found->size() >= kMostParts) throw std::bad_alloc();
      found->push_back(points);
      return;
    }
    Brick half[2] = {blocks, blocks};
    half[0].end[axis] = half[1].begin[axis] = blocks.begin[axis] + blocks.length(axis) / 2;
    for (const Brick& each : half) divide(each, near, most, rcut, found);
  }

  std::array<Vec, 3> rows_;
  int64_t shape_[3], count_[3];  // points and blocks along each axis
  Brick part_, blocks_;  // points that are worked on, blocks that hold them
};

}  // namespace dd
