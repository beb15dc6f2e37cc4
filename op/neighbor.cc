// Neighbour search: all pairs (centre, image of an atom) closer than rcut, as a flat list.
//
// Atoms are wrapped into the cell and copied to every image that can matter; images are sorted into
// Cartesian bins; each centre looks at the bins around it. The cost is linear in atoms, centres
// and pairs. Several frames of different size go through one call, told apart by row splits.
#include <algorithm>
#include <limits>
#include <vector>

#include "images.h"
#include "kernel.h"
#include "splits.h"
#include "threads.h"

namespace dd {
namespace {

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
    const int64_t nframes = box.shaped({-1, 9}).lengths().dim(0);
    const int32_t* csplit = row_splits(center_splits, nframes, center.shaped({-1, 3}).lengths().dim(0));
    const int32_t* asplit = row_splits(coord_splits, nframes, coord.shaped({-1, 3}).lengths().dim(0));
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
    bins.around(r, r, [&](int64_t begin, int64_t end) {
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
