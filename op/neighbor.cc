// Neighbour search: all pairs (centre, image of an atom) closer than rcut, as a flat list.
//
// Atoms are wrapped into the cell and copied to every image that can matter; images are sorted into
// Cartesian bins; each centre looks at the bins around it. The cost is linear in atoms, centres
// and pairs. Several frames of different size go through one call, told apart by row splits.
#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

using Vec = std::array<double, 3>;

double dot(const Vec& a, const Vec& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
Vec cross(const Vec& a, const Vec& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
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
    const double volume = dot(rows[0], cross(rows[1], rows[2]));
    double scale = 1;
    for (const Vec& row : rows) scale *= std::sqrt(dot(row, row));
    require(std::abs(volume) > 1e-10 * scale && std::abs(volume) > 1e-12,
            "box of frame " + std::to_string(frame) + " has volume " + std::to_string(volume) +
                ": expected three independent cell vectors, or nine zeros for no cell");
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
    return shifted(r, -std::floor(f[0]), -std::floor(f[1]), -std::floor(f[2]));
  }
};

struct Image {
  Vec position;
  int32_t atom;
  bool home;  // the wrapped atom itself, not a translated copy
};

// Every image of the atoms that may lie within rcut of a point of the cell.
std::vector<Image> make_images(const double* coord, int32_t natoms, const Cell& cell, double rcut) {
  std::vector<Image> images;
  for (int32_t a = 0; a < natoms; ++a) {
    const Vec home = cell.wrapped({coord[3 * a], coord[3 * a + 1], coord[3 * a + 2]});
    if (!cell.periodic) {
      images.push_back({home, a, true});
      continue;
    }
    const Vec f = cell.fractional(home);
    std::array<int, 3> low, high;
    for (int k = 0; k < 3; ++k) {
      // The margin keeps images that rounding puts just outside of the reach.
      const double reach = rcut / cell.heights[k] + 1e-9;
      low[k] = static_cast<int>(std::ceil(-reach - f[k]));
      high[k] = static_cast<int>(std::floor(1 + reach - f[k]));
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

  // Calls visit(slot range) for the stretches of images whose bins touch the sphere around r.
  template <typename Visit> void around(const Vec& r, Visit visit) const {
    std::array<int64_t, 3> first, last;
    for (int c = 0; c < 3; ++c) {
      const double a = std::floor((r[c] - rcut_ - low_[c]) / width_) ;
      const double b = std::floor((r[c] + rcut_ - low_[c]) / width_);
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

struct Pairs {
  std::vector<int32_t> center, atom;
  std::vector<double> disp;
};

// One frame of the call.
struct Frame {
  Cell cell;
  Bins bins;
  int32_t first_atom;
};

class NeighborList {
 public:
  explicit NeighborList(TF_OpKernelConstruction* ctx) : skip_self_(bool_attr(ctx, "skip_self")) {}

  void compute(TF_OpKernelContext* ctx) {
    const Input center(ctx, 0, "center"), center_splits(ctx, 1, "center_splits");
    const Input coord(ctx, 2, "coord"), coord_splits(ctx, 3, "coord_splits");
    const Input box(ctx, 4, "box"), rcut_input(ctx, 5, "rcut");
    const double rcut = rcut_input.scalar();
    require(rcut > 0 && std::isfinite(rcut), "rcut is " + std::to_string(rcut) + ", expected a positive length");
    const int64_t nframes = box.shaped({-1, 9}).finite().dim(0);
    const int32_t* csplit = splits(center_splits, nframes, center.shaped({-1, 3}).finite().dim(0));
    const int32_t* asplit = splits(coord_splits, nframes, coord.shaped({-1, 3}).finite().dim(0));
    if (skip_self_)
      require(std::equal(csplit, csplit + nframes + 1, asplit),
              "center_splits and coord_splits differ: with skip_self the centres must be the atoms");

    std::vector<Frame> frames;
    frames.reserve(nframes);
    for (int64_t f = 0; f < nframes; ++f) {
      const Cell cell(box.data<double>() + 9 * f, f);
      const auto images = make_images(coord.data<double>() + 3 * asplit[f], asplit[f + 1] - asplit[f], cell, rcut);
      frames.push_back({cell, Bins(images, rcut), asplit[f]});
    }
    search(ctx, frames, center.data<double>(), csplit, nframes, rcut);
  }

 private:
  static constexpr int64_t kBlock = 256;  // centres a task

  static const int32_t* splits(const Input& input, int64_t nframes, int64_t total) {
    const int32_t* s = input.shaped({nframes + 1}).data<int32_t>();
    bool ok = s[0] == 0 && s[nframes] == total;
    for (int64_t f = 0; f < nframes; ++f) ok = ok && s[f] <= s[f + 1];
    require(ok, input.name() + " must rise from 0 to " + std::to_string(total));
    return s;
  }

  void search(TF_OpKernelContext* ctx, const std::vector<Frame>& frames, const double* center,
              const int32_t* csplit, int64_t nframes, double rcut) const {
    const int64_t ncenters = nframes ? csplit[nframes] : 0;
    const int64_t nblocks = (ncenters + kBlock - 1) / kBlock;
    std::vector<Pairs> found(nblocks);
    parallel_for(nblocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t last = std::min(ncenters, (b + 1) * kBlock);
        int64_t f = std::upper_bound(csplit, csplit + nframes + 1, static_cast<int32_t>(b * kBlock)) - csplit - 1;
        for (int64_t c = b * kBlock; c < last; ++c) {
          while (c >= csplit[f + 1]) ++f;
          const int32_t self = skip_self_ ? static_cast<int32_t>(c - csplit[f]) : -1;
          one(frames[f], {center[3 * c], center[3 * c + 1], center[3 * c + 2]}, static_cast<int32_t>(c), self, rcut, &found[b]);
        }
      }
    });
    write(ctx, found);
  }

  static void one(const Frame& frame, const Vec& center, int32_t index, int32_t self, double rcut,
                  Pairs* out) {
    const Vec r = frame.cell.wrapped(center);
    const Bins& bins = frame.bins;
    const double rcut2 = rcut * rcut;
    bins.around(r, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        const double dx = bins.x[s] - r[0], dy = bins.y[s] - r[1], dz = bins.z[s] - r[2];
        if (dx * dx + dy * dy + dz * dz >= rcut2) continue;
        if (bins.home[s] && bins.atom[s] == self) continue;
        out->center.push_back(index);
        out->atom.push_back(frame.first_atom + bins.atom[s]);
        out->disp.insert(out->disp.end(), {dx, dy, dz});
      }
    });
  }

  static void write(TF_OpKernelContext* ctx, const std::vector<Pairs>& found) {
    std::vector<int64_t> offset(found.size() + 1, 0);
    for (size_t b = 0; b < found.size(); ++b) offset[b + 1] = offset[b] + found[b].center.size();
    const int64_t npairs = offset.back();
    require(npairs < std::numeric_limits<int32_t>::max(),
            std::to_string(npairs) + " pairs in one call: evaluate fewer points at a time");
    int32_t* center = allocate_output<int32_t>(ctx, 0, {npairs});
    int32_t* atom = allocate_output<int32_t>(ctx, 1, {npairs});
    double* disp = allocate_output<double>(ctx, 2, {npairs, 3});
    parallel_for(found.size(), 64, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        std::copy(found[b].center.begin(), found[b].center.end(), center + offset[b]);
        std::copy(found[b].atom.begin(), found[b].atom.end(), atom + offset[b]);
        std::copy(found[b].disp.begin(), found[b].disp.end(), disp + 3 * offset[b]);
      }
    });
  }

  bool skip_self_;
};

const bool registered = [] {
  register_op({"DdNeighborList",
               {"skip_self: bool = false"},
               {"center: double", "center_splits: int32", "coord: double", "coord_splits: int32",
                "box: double", "rcut: double"},
               {"pair_center: int32", "pair_atom: int32", "disp: double"}});
  register_kernel<NeighborList>("DdNeighborList");
  return true;
}();

}  // namespace
}  // namespace dd
