// Periodic images of atoms, sorted so that those around a place are found at once.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "cell.h"

namespace dd {

struct Image {
  Vec position;
  int32_t atom;
  bool home;  // the wrapped atom itself, not a translated copy
};

// Beyond so many images no machine holds the pairs.
constexpr double kMaxImages = 2e7;

// Every image of the atoms that may lie within rcut of a point of the cell.
inline std::vector<Image> make_images(const double* coord, int32_t natoms, const Cell& cell, double rcut) {
  std::vector<Image> images;
  for (int32_t a = 0; a < natoms; ++a) {
    const Vec home = cell.wrapped({coord[3 * a], coord[3 * a + 1], coord[3 * a + 2]});
    if (!cell.periodic) {
      images.push_back({home, a, true});
      continue;
    }
    const Vec f = cell.fractional(home);
    std::array<int, 3> low, high;
    const double before = static_cast<double>(images.size());
    double more = 1;
    for (int k = 0; k < 3; ++k) {
      // The margin keeps images that rounding puts just outside of the reach.
      const double reach = rcut / cell.heights[k] + 1e-9;
      const double first = std::ceil(-reach - f[k]), last = std::floor(1 + reach - f[k]);
      more *= last - first + 1;
      require(std::abs(first) < kMaxImages && std::abs(last) < kMaxImages && before + more < kMaxImages,
              "box is too small for rcut = " + std::to_string(rcut) + ": more than " +
                  std::to_string(static_cast<int64_t>(kMaxImages)) + " images of the atoms lie within it");
      low[k] = static_cast<int>(first);
      high[k] = static_cast<int>(last);
    }
    for (int i = low[0]; i <= high[0]; ++i)
      for (int j = low[1]; j <= high[1]; ++j)
        for (int k = low[2]; k <= high[2]; ++k)
          images.push_back({cell.shifted(home, i, j, k), a, i == 0 && j == 0 && k == 0});
  }
  return images;
}

// Images sorted by Cartesian bin; bins along z are contiguous in memory.
class Bins {
 public:
  Bins(const std::vector<Image>& images, double rcut) : rcut_(rcut) {
    Vec high;
    low_.fill(std::numeric_limits<double>::max());
    high.fill(std::numeric_limits<double>::lowest());
    for (const Image& image : images)
      for (int c = 0; c < 3; ++c) {
        low_[c] = std::min(low_[c], image.position[c]);
        high[c] = std::max(high[c], image.position[c]);
      }
    if (images.empty()) low_.fill(0), high.fill(0);
    width_ = 0.5 * rcut;
    // A sparse system must not get more bins than atoms justify.
    const double limit = 64.0 + 8.0 * images.size();
    for (;; width_ *= 1.5) {
      double bins = 1;
      for (int c = 0; c < 3; ++c) bins *= std::floor((high[c] - low_[c]) / width_) + 1;
      if (bins <= limit) break;
    }
    for (int c = 0; c < 3; ++c) count_[c] = static_cast<int64_t>((high[c] - low_[c]) / width_) + 1;
    sort(images);
  }

  // Calls visit(slot range) for the stretches of images whose bins come within rcut of the upright
  // box from `low` to `high`.
  template <typename Visit> void around(const Vec& low, const Vec& high, Visit visit) const {
    std::array<int64_t, 3> first, last;
    for (int c = 0; c < 3; ++c) {
      const double a = std::floor((low[c] - rcut_ - low_[c]) / width_);
      const double b = std::floor((high[c] + rcut_ - low_[c]) / width_);
      if (b < 0 || a > count_[c] - 1) return;
      first[c] = static_cast<int64_t>(std::max(a, 0.0));
      last[c] = static_cast<int64_t>(std::min(b, count_[c] - 1.0));
    }
    for (int64_t i = first[0]; i <= last[0]; ++i)
      for (int64_t j = first[1]; j <= last[1]; ++j) {
        const int64_t row = (i * count_[1] + j) * count_[2];
        visit(start_[row + first[2]], start_[row + last[2] + 1]);
      }
  }

  std::vector<double> x, y, z;
  std::vector<int32_t> atom;
  std::vector<char> home;

 private:
  int64_t bin_of(const Vec& r) const {
    std::array<int64_t, 3> b;
    for (int c = 0; c < 3; ++c)
      b[c] = std::min(static_cast<int64_t>((r[c] - low_[c]) / width_), count_[c] - 1);
    return (b[0] * count_[1] + b[1]) * count_[2] + b[2];
  }
  void sort(const std::vector<Image>& images) {
    start_.assign(count_[0] * count_[1] * count_[2] + 1, 0);
    for (const Image& image : images) ++start_[bin_of(image.position) + 1];
    for (size_t b = 1; b < start_.size(); ++b) start_[b] += start_[b - 1];
    std::vector<int64_t> next(start_.begin(), start_.end() - 1);
    x.resize(images.size()), y.resize(images.size()), z.resize(images.size());
    atom.resize(images.size()), home.resize(images.size());
    for (const Image& image : images) {
      const int64_t slot = next[bin_of(image.position)]++;
      x[slot] = image.position[0], y[slot] = image.position[1], z[slot] = image.position[2];
      atom[slot] = image.atom;
      home[slot] = image.home;
    }
  }
  double rcut_, width_;
  Vec low_;
  std::array<int64_t, 3> count_;
  std::vector<int64_t> start_;
};

}  // namespace dd
