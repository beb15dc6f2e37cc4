// Neighbour search: all pairs (centre, image of an atom) closer than rcut, as a flat list.
//
// Atoms are wrapped into the cell and copied to every image that can matter; images are sorted into
// Cartesian bins; each centre looks at the bins around it, twice: to count its pairs, and to write them.
// The cost is linear in atoms, centres and pairs. Several frames of different size go through one call,
// told apart by row splits.
#include <algorithm>
#include <limits>
#include <vector>

#include "arguments.h"
#include "images.h"
#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

// One frame of the call.
struct Frame {
  Cell cell;
  Bins bins;
  int32_t first_atom;
};

// The centres of a call and the atoms around them.
class Search {
 public:
  // Inputs: center, center_splits, coord, coord_splits, box, rcut.
  Search(TF_OpKernelContext* ctx, bool skip_self) : center_(ctx, 0, "center"), splits_(ctx, 1, "center_splits"), skip_self_(skip_self) {
    const Input coord(ctx, 2, "coord"), coord_splits(ctx, 3, "coord_splits"), box(ctx, 4, "box");
    const double rcut = rcut_ = Input(ctx, 5, "rcut").scalar();
    require(rcut > 0 && std::isfinite(rcut), "rcut is ", rcut, ", expected a positive length");
    const int64_t nframes = box.shaped({-1, 9}).lengths().rows();
    csplit_ = row_splits(splits_, nframes, center_.shaped({-1, 3}).lengths().rows());
    const int32_t* asplit = row_splits(coord_splits, nframes, coord.shaped({-1, 3}).lengths().rows());
    if (skip_self)
      require(std::equal(csplit_, csplit_ + nframes + 1, asplit),
              "center_splits and coord_splits differ: with skip_self the centres must be the atoms");
    frames_.reserve(nframes);
    for (int64_t f = 0; f < nframes; ++f) {
      const Cell cell(box.data<double>() + 9 * f, f);
      const ImageMaker images(coord.data<double>() + 3 * int64_t{asplit[f]}, cell, rcut, Region::everywhere(cell));
      frames_.push_back({cell, Bins(images.of(asplit[f + 1] - asplit[f]), rcut), asplit[f]});
    }
  }

  int64_t ncenters() const { return center_.dim(0); }

  // Calls visit(centre, atom, dx, dy, dz) for the pairs of each centre, in several threads.
  template <typename Visit> void for_pairs(Visit visit) const {
    parallel_for(ncenters(), kGrain, [&](int64_t begin, int64_t end) {
      const int32_t* splits_end = csplit_ + frames_.size() + 1;
      int64_t f = std::upper_bound(csplit_, splits_end, static_cast<int32_t>(begin)) - csplit_ - 1;
      for (int64_t c = begin; c < end; ++c) {
        while (c >= csplit_[f + 1]) ++f;
        pairs_of(frames_[f], c, skip_self_ ? static_cast<int32_t>(c - csplit_[f]) : -1, visit);
      }
    });
  }

  // Pairs of each centre.
  std::vector<int32_t> counts() const {
    std::vector<int32_t> counts(ncenters(), 0);
    for_pairs([&](int64_t c, int32_t, double, double, double) { ++counts[c]; });
    return counts;
  }

 private:
  static constexpr int64_t kGrain = 256;  // centres

  template <typename Visit> void pairs_of(const Frame& frame, int64_t c, int32_t self, Visit visit) const {
    const double* position = center_.data<double>() + 3 * c;
    const Vec r = frame.cell.wrapped({position[0], position[1], position[2]});
    const Bins& bins = frame.bins;
    const double rcut2 = rcut_ * rcut_;
    bins.around(r, r, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        const double dx = bins.x[s] - r[0], dy = bins.y[s] - r[1], dz = bins.z[s] - r[2];
        if (dx * dx + dy * dy + dz * dz >= rcut2) continue;
        if (bins.home[s] && bins.atom[s] == self) continue;
        visit(c, frame.first_atom + bins.atom[s], dx, dy, dz);
      }
    });
  }

  Input center_, splits_;
  bool skip_self_;
  double rcut_;
  const int32_t* csplit_;
  std::vector<Frame> frames_;
};

class NeighborList {
 public:
  explicit NeighborList(TF_OpKernelConstruction* ctx) : skip_self_(bool_attr(ctx, "skip_self")) {}

  void compute(TF_OpKernelContext* ctx) {
    const Search search(ctx, skip_self_);
    const std::vector<int32_t> counts = search.counts();
    std::vector<int64_t> next(counts.size() + 1, 0);
    for (size_t c = 0; c < counts.size(); ++c) next[c + 1] = next[c] + counts[c];
    const int64_t npairs = next.back();
    require(npairs < kMaxRows, npairs, " pairs in one call: evaluate fewer points at a time");
    int32_t* center = allocate_output<int32_t>(ctx, 0, {npairs});
    int32_t* atom = allocate_output<int32_t>(ctx, 1, {npairs});
    double* disp = allocate_output<double>(ctx, 2, {npairs, 3});
    search.for_pairs([&](int64_t c, int32_t a, double dx, double dy, double dz) {
      const int64_t p = next[c]++;
      center[p] = static_cast<int32_t>(c);
      atom[p] = a;
      disp[3 * p] = dx, disp[3 * p + 1] = dy, disp[3 * p + 2] = dz;
    });
  }

 private:
  bool skip_self_;
};

// Pairs of each centre, without a list of them.
class NeighborCounts {
 public:
  explicit NeighborCounts(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const std::vector<int32_t> counts = Search(ctx, false).counts();
    int32_t* out = allocate_output<int32_t>(ctx, 0, {static_cast<int64_t>(counts.size())});
    std::copy(counts.begin(), counts.end(), out);
  }
};

const bool registered = [] {
  register_op({"DdNeighborList",
               {"skip_self: bool = false"},
               {"center: double", "center_splits: int32", "coord: double", "coord_splits: int32",
                "box: double", "rcut: double"},
               {"pair_center: int32", "pair_atom: int32", "disp: double"}});
  register_kernel<NeighborList>("DdNeighborList");
  register_op({"DdNeighborCounts",
               {},
               {"center: double", "center_splits: int32", "coord: double", "coord_splits: int32",
                "box: double", "rcut: double"},
               {"counts: int32"}});
  register_kernel<NeighborCounts>("DdNeighborCounts");
  return true;
}();

}  // namespace
}  // namespace dd
