// Periodic cells.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "handles.h"

namespace dd {

using Vec = std::array<double, 3>;

inline double dot(const Vec& a, const Vec& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
inline Vec cross(const Vec& a, const Vec& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

// std::floor, which is a call where the compiler may not use SSE4.1.
inline double whole_below(double x) {
  if (!(std::abs(x) < 0x1p51)) return std::floor(x);
  const double nearest = (x + 0x1.8p52) - 0x1.8p52;
  return nearest > x ? nearest - 1 : nearest;
}

// Moves the corners of an upright box apart until r lies within.
inline void extend(const Vec& r, Vec* low, Vec* high) {
  for (int c = 0; c < 3; ++c) {
    (*low)[c] = std::min((*low)[c], r[c]);
    (*high)[c] = std::max((*high)[c], r[c]);
  }
}

// Squared distance of r from an upright box.
inline double squared_gap(const Vec& r, const Vec& low, const Vec& high) {
  double sum = 0;
  for (int c = 0; c < 3; ++c) {
    const double gap = std::max({low[c] - r[c], r[c] - high[c], 0.0});
    sum += gap * gap;
  }
  return sum;
}

// Squared distance of r from the furthest corner of an upright box.
inline double squared_reach(const Vec& r, const Vec& low, const Vec& high) {
  double sum = 0;
  for (int c = 0; c < 3; ++c) {
    const double reach = std::max(r[c] - low[c], high[c] - r[c]);
    sum += reach * reach;
  }
  return sum;
}

// Signed volume of the cell with these rows; refuses rows that lie, up to rounding, in one plane.
inline double checked_volume(const std::array<Vec, 3>& rows, const std::string& name,
                             const std::string& alternative = "") {
  const double volume = dot(rows[0], cross(rows[1], rows[2]));
  double scale = 1;
  for (const Vec& row : rows) scale *= std::sqrt(dot(row, row));
  require(std::abs(volume) > 1e-10 * scale && std::abs(volume) > 1e-12,
          name, " has volume ", volume, ": expected three independent cell vectors", alternative);
  return volume;
}

// A periodic cell, or none where all nine numbers are zero.
struct Cell {
  bool periodic = false;
  std::array<Vec, 3> rows{}, inverse{};  // inverse[k] . r = k-th fractional coordinate
  Vec heights{};                         // distances between opposite faces

  Cell(const double* box, int64_t frame) {
    for (int k = 0; k < 9; ++k) {
      rows[k / 3][k % 3] = box[k];
      periodic = periodic || box[k] != 0;
    }
    if (!periodic) return;
    const double volume = checked_volume(rows, "box of frame " + std::to_string(frame),
                                         ", or nine zeros for no cell");
    for (int k = 0; k < 3; ++k) {
      const Vec normal = cross(rows[(k + 1) % 3], rows[(k + 2) % 3]);
      for (int c = 0; c < 3; ++c) inverse[k][c] = normal[c] / volume;
      heights[k] = std::abs(volume) / std::sqrt(dot(normal, normal));
    }
  }
  Vec fractional(const Vec& r) const { return {dot(inverse[0], r), dot(inverse[1], r), dot(inverse[2], r)}; }
  Vec shifted(const Vec& r, double i, double j, double k) const {
    Vec out;
    for (int c = 0; c < 3; ++c) out[c] = r[c] + i * rows[0][c] + j * rows[1][c] + k * rows[2][c];
    return out;
  }
  Vec wrapped(const Vec& r) const {
    if (!periodic) return r;
    const Vec f = fractional(r);
    return shifted(r, -whole_below(f[0]), -whole_below(f[1]), -whole_below(f[2]));
  }
};

}  // namespace dd
