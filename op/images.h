// Periodic images of atoms, sorted so that those around a place are found at once.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "cell.h"
#include "sort.h"
#include "threads.h"

namespace dd {

struct Image {
  Vec position;
  int32_t atom;
  bool home;  // the wrapped atom itself, not a translated copy
};

// Beyond so many images no machine holds the pairs.
constexpr double kMaxImages = 2e7;

// Where the centres lie whose neighbours are wanted, in coordinates that suit the cell: fractional ones if
// it is periodic, else Cartesian.
struct Region {
  Vec low, high;

  static Region everywhere(const Cell& cell) {
    const double huge = std::numeric_limits<double>::max();
    return cell.periodic ? Region{{0, 0, 0}, {1, 1, 1}} : Region{{-huge, -huge, -huge}, {huge, huge, huge}};
  }
  static Region nowhere() {
    const double huge = std::numeric_limits<double>::max();
    return {{huge, huge, huge}, {-huge, -huge, -huge}};
  }
  void include(const Cell& cell, const Vec& r) { extend(cell.periodic ? cell.fractional(r) : r, &low, &high); }
};

// The images of atoms that may lie within rcut of a region.
class ImageMaker {
 public:
  ImageMaker(const double* coord, const Cell& cell, double rcut, const Region& region)
      : coord_(coord), cell_(cell), rcut_(rcut), region_(region) {
    for (int k = 0; k < 3; ++k) reach_[k] = cell.periodic ? rcut / cell.heights[k] + kMargin : rcut;
  }

  // Of all atoms, in order.
  std::vector<Image> of(int32_t natoms) const {
    const int64_t nblocks = (natoms + kBlock - 1) / kBlock;
    std::vector<int64_t> first(nblocks + 1, 0);
    std::vector<char> near(natoms);  // most atoms are far from a part of a large grid
    // Atoms a block, and images of it, are few: the limit is seen before memory runs out.
    for_blocks(natoms, [&](int64_t block, int64_t begin, int64_t end) {
      for (int64_t a = begin; a < end; ++a) {
        const int64_t count = range(home(a)).count;
        near[a] = count > 0;
        first[block + 1] += count;
      }
    });
    for (int64_t block = 0; block < nblocks; ++block) first[block + 1] += first[block];
    check(static_cast<double>(first[nblocks]));
    std::vector<Image> images(first[nblocks]);
    for_blocks(natoms, [&](int64_t block, int64_t begin, int64_t end) {
      Image* out = images.data() + first[block];
      for (int64_t a = begin; a < end; ++a)
        if (near[a]) out = write(static_cast<int32_t>(a), out);
    });
    return images;
  }

 private:
  static constexpr int64_t kBlock = 2048;
  // Keeps images that rounding puts just outside of the reach.
  static constexpr double kMargin = 1e-9;

  struct Range {
    int first[3], last[3];
    int64_t count;
  };

  template <typename Body> static void for_blocks(int64_t natoms, Body body) {
    parallel_for((natoms + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block)
        body(block, block * kBlock, std::min<int64_t>(natoms, (block + 1) * kBlock));
    });
  }

  Vec home(int64_t a) const { return cell_.wrapped({coord_[3 * a], coord_[3 * a + 1], coord_[3 * a + 2]}); }

  void check(double count) const {
    require(count < kMaxImages, "box is too small for rcut = ", rcut_, ": more than ",
            static_cast<int64_t>(kMaxImages), " images of the atoms lie within it");
  }

  // By how many cells an atom must be moved to come within reach.
  Range range(const Vec& home) const {
    Range range{{0, 0, 0}, {0, 0, 0}, 0};
    const Vec at = cell_.periodic ? cell_.fractional(home) : home;
    double count = 1;
    for (int k = 0; k < 3; ++k) {
      const double low = region_.low[k] - reach_[k] - at[k], high = region_.high[k] + reach_[k] - at[k];
      if (!cell_.periodic) {
        if (low > 0 || high < 0) return range;
        continue;
      }
      const double first = -whole_below(-low), last = whole_below(high);
      if (first > last) return range;
      count *= last - first + 1;
      check(std::max({std::abs(first), std::abs(last), count}));
      range.first[k] = static_cast<int>(first), range.last[k] = static_cast<int>(last);
    }
    range.count = static_cast<int64_t>(count);
    return range;
  }

  Image* write(int32_t atom, Image* out) const {
    const Vec r = home(atom);
    const Range range = this->range(r);
    if (!cell_.periodic) {
      *out = {r, atom, true};
      return out + 1;
    }
    for (int i = range.first[0]; i <= range.last[0]; ++i)
      for (int j = range.first[1]; j <= range.last[1]; ++j)
        for (int k = range.first[2]; k <= range.last[2]; ++k)
          *out++ = {cell_.shifted(r, i, j, k), atom, i == 0 && j == 0 && k == 0};
    return out;
  }

  const double* coord_;
  const Cell& cell_;
  double rcut_;
  Region region_;
  Vec reach_;
};

// Images sorted by Cartesian bin. Where a place is and in which order its images are met depends on nothing
// but the cut-off: sums over them do not either.
class Bins {
 public:
  Bins(const std::vector<Image>& images, double rcut) : rcut_(rcut), width_(std::max(0.5 * rcut, 1e-7)) {
    choose_extent(images);
    sort(images);
  }

  // Calls visit(slot range) for stretches of images that hold all within rcut of the upright box from `low` to
  // `high`, each once; images further away may be among them.
  template <typename Visit> void around(const Vec& low, const Vec& high, Visit visit) const {
    Place first, last;
    for (int c = 0; c < 3; ++c) {
      first[c] = std::max(bin_along(low[c] - rcut_), first_[c]);
      last[c] = std::min(bin_along(high[c] + rcut_), last_[c]);
      if (first[c] > last[c]) return;
    }
    for (int64_t i = first[0]; i <= last[0]; ++i)
      for (int64_t j = first[1]; j <= last[1]; ++j)
        if (dense_) {
          visit(start_[bucket({i, j, first[2]})], start_[bucket({i, j, last[2]}) + 1]);
        } else {
          visit_hashed({i, j, first[2]}, last[2] - first[2] + 1, visit);
        }
  }

  std::vector<double> x, y, z;
  std::vector<int32_t> atom;
  std::vector<char> home;

 private:
  using Place = std::array<int64_t, 3>;

  int64_t bin_along(double x) const {
    return static_cast<int64_t>(std::min(std::max(whole_below(x / width_), -4e18), 4e18));
  }
  Place place(const Vec& r) const { return {bin_along(r[0]), bin_along(r[1]), bin_along(r[2])}; }

  // Bins fill the box around the images, along z contiguous in memory, unless these are so far apart that
  // there would be many more than images: then places are hashed to a table.
  void choose_extent(const std::vector<Image>& images) {
    first_.fill(std::numeric_limits<int64_t>::max()), last_.fill(std::numeric_limits<int64_t>::lowest());
    for (const Image& image : images) {
      const Place at = place(image.position);
      for (int c = 0; c < 3; ++c) first_[c] = std::min(first_[c], at[c]), last_[c] = std::max(last_[c], at[c]);
    }
    nbuckets_ = 1;
    if (images.empty()) return;
    double bins = 1;
    for (int c = 0; c < 3; ++c) bins *= double(last_[c]) - double(first_[c]) + 1;
    dense_ = bins <= 64.0 + 8.0 * images.size();
    if (dense_) {
      for (int c = 0; c < 3; ++c) count_[c] = last_[c] - first_[c] + 1, nbuckets_ *= count_[c];
    } else {
      while (nbuckets_ < 2 * static_cast<int64_t>(images.size())) nbuckets_ *= 2;
    }
  }

  int64_t bucket(const Place& at) const {
    if (dense_) return ((at[0] - first_[0]) * count_[1] + at[1] - first_[1]) * count_[2] + at[2] - first_[2];
    return static_cast<int64_t>((row_of(at) + static_cast<uint64_t>(at[2])) & (nbuckets_ - 1));
  }

  // Tells rows of bins along z apart: two that are so close that one search meets both have never the same.
  static uint64_t row_of(const Place& at) {
    const uint64_t row = static_cast<uint64_t>(at[0]) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(at[1]);
    const uint64_t mixed = (row ^ row >> 29) * 0xbf58476d1ce4e5b9u;
    return mixed ^ mixed >> 32;
  }

  // Bins of a row are buckets one after the other, which also hold images of other rows.
  template <typename Visit> void visit_hashed(const Place& at, int64_t nbins, Visit visit) const {
    const uint64_t row = row_of(at);
    const int64_t begin = bucket(at), end = begin + std::min(nbins, nbuckets_);
    const auto visit_buckets = [&](int64_t first, int64_t last) {
      for (int64_t s = start_[first]; s < start_[last]; ++s)
        if (row_[s] == row) visit(s, s + 1);
    };
    visit_buckets(begin, std::min(end, nbuckets_));
    if (end > nbuckets_) visit_buckets(0, end - nbuckets_);
  }

  void sort(const std::vector<Image>& images) {
    const int64_t n = static_cast<int64_t>(images.size());
    std::vector<int32_t> bin(n);
    parallel_for(n, 8192, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) bin[i] = static_cast<int32_t>(bucket(place(images[i].position)));
    });
    Sorted sorted = sorted_by_bin(bin, nbuckets_);
    start_ = std::move(sorted.start);
    x.resize(n), y.resize(n), z.resize(n), atom.resize(n), home.resize(n);
    if (!dense_) row_.resize(n);
    parallel_for(n, 8192, [&](int64_t begin, int64_t end) {
      for (int64_t slot = begin; slot < end; ++slot) {
        const Image& image = images[sorted.order[slot]];
        x[slot] = image.position[0], y[slot] = image.position[1], z[slot] = image.position[2];
        atom[slot] = image.atom;
        home[slot] = image.home;
        if (!dense_) row_[slot] = row_of(place(image.position));
      }
    });
  }

  double rcut_, width_;
  bool dense_ = true;
  Place first_, last_;      // extent of the bins that hold images
  Place count_{{1, 1, 1}};  // their number along each axis
  int64_t nbuckets_;
  std::vector<int64_t> start_;
  std::vector<uint64_t> row_;  // of each image, where places are hashed
};

}  // namespace dd
