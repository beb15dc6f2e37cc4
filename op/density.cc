// The density at points in one go: neighbour search and sum over atoms, without a list of pairs.
//
// Points are sorted into compact blocks (blocks.h, lattice.h). For each block and each image of an
// atom near it, the points within reach are grouped by interval of the radial splines (groups.h),
// and each group is worked on in vector registers.
#include <algorithm>
#include <vector>

#include "arguments.h"
#include "blocks.h"
#include "images.h"
#include "kernel.h"
#include "kernels.h"
#include "lattice.h"
#include "scratch.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int kChannels = 4;              // at once
constexpr int64_t kPointsAtOnce = 1 << 20;  // sorted together

template <typename T> struct Call {
  Basis basis;
  const T* coef;
};

// The images within rcut of the box, as slots of the bins.
void find_images(const Bins& bins, const Vec& low, const Vec& high, double rcut, std::vector<int64_t>* found) {
  found->clear();
  bins.around(low, high, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (squared_gap({bins.x[i], bins.y[i], bins.z[i]}, low, high) < rcut * rcut) found->push_back(i);
  });
}

// Sums over a block's images, `width` columns of them, to its points' rows of `out` (..., stride).
template <bool kGradient, typename T, class Blocks>
void add_block(const Blocks& blocks, int64_t block, Scratch<T>& s, int width, double* out, int64_t stride) {
  kGradient ? kernels_of<T>().gradients(s.view, s.groups) : kernels_of<T>().values(s.view, s.groups);
  const double* sum = s.view.sum;
  blocks.for_rows(block, [&](int64_t point, int64_t row) {
    for (int c = 0; c < width; ++c) out[row * stride + c] = sum[point * width + c];
  });
}

// The blocks' sums over the images of one frame's atoms.
template <bool kGradient, typename T, class Blocks>
void sum_over_images(const Call<T>& call, const Bins& bins, const Blocks& blocks, double* out) {
  const int noutput = kGradient ? 3 : call.basis.nchannel;
  parallel_dynamic(blocks.count(), [&](auto next) {
    Scratch<T> s;
    std::vector<int64_t> images;
    s.view.basis = call.basis, s.view.coef = call.coef;
    for (int64_t b = next(); b < blocks.count(); b = next()) {
      Vec low, high;
      blocks.bounds(b, &low, &high);
      find_images(bins, low, high, call.basis.rcut, &images);
      if (images.empty()) {
        blocks.for_rows(b, [&](int64_t, int64_t row) { std::fill_n(out + row * noutput, noutput, 0.0); });
        continue;
      }
      for (int c = 0; c < 3; ++c) s.view.middle[c] = 0.5 * (low[c] + high[c]);
      for (int first = 0; first < noutput; first += kChannels) {
        const int width = std::min(kChannels, noutput - first);
        s.view.first_channel = first, s.view.nchannel = width;
        s.lay_out(blocks.size(b), static_cast<int64_t>(images.size()), width);
        blocks.positions(b, s.position);
        for (size_t i = 0; i < images.size(); ++i) {
          s.image(0)[i] = bins.x[images[i]], s.image(1)[i] = bins.y[images[i]], s.image(2)[i] = bins.z[images[i]];
          s.atom()[i] = bins.atom[images[i]];
        }
        add_block<kGradient>(blocks, b, s, width, out + first, noutput);
      }
    }
  });
}

template <typename T> Call<T> read_call(const Input& coord, const Input& coef, const Input& radial) {
  const Basis basis = read_basis(coef, radial);
  require(coef.dim(0) == coord.dim(0), "coef is of ", coef.dim(0), " atoms, coord of ", coord.dim(0));
  return {basis, coef.data<T>()};
}

// Points in any order, of all frames. Inputs: point, point_splits, coord, coord_splits, box, coef, radial.
template <typename T, bool kGradient> class Density {
 public:
  explicit Density(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input point(ctx, 0, "point"), point_splits(ctx, 1, "point_splits");
    const Input coord(ctx, 2, "coord"), coord_splits(ctx, 3, "coord_splits");
    const Input box(ctx, 4, "box"), coef(ctx, 5, "coef"), radial(ctx, 6, "radial");
    const int64_t nframes = box.shaped({-1, 9}).lengths().rows();
    const int64_t npoints = point.shaped({-1, 3}).lengths().rows();
    const int32_t* psplit = row_splits(point_splits, nframes, npoints);
    const int32_t* asplit = row_splits(coord_splits, nframes, coord.shaped({-1, 3}).lengths().rows());
    const auto call = read_call<T>(coord, coef, radial);
    const int noutput = kGradient ? 3 : call.basis.nchannel;
    double* out = allocate_output<double>(ctx, 0, {npoints, noutput});
    for (int64_t f = 0; f < nframes; ++f) {
      const Cell cell(box.data<double>() + 9 * f, f);
      const Call<T> of_frame{call.basis, call.coef + asplit[f] * call.basis.per_atom()};
      for (int64_t begin = psplit[f]; begin < psplit[f + 1]; begin += kPointsAtOnce) {
        const int64_t count = std::min(psplit[f + 1] - begin, kPointsAtOnce);
        const PointBlocks blocks(point.data<double>() + 3 * begin, count, cell, call.basis.rcut);
        const ImageMaker images(coord.data<double>() + 3 * int64_t{asplit[f]}, cell, call.basis.rcut, blocks.region(cell));
        const Bins bins(images.of(asplit[f + 1] - asplit[f]), call.basis.rcut);
        sum_over_images<kGradient>(of_frame, bins, blocks, out + begin * noutput);
      }
    }
  }
};

template <typename T> using DensityValues = Density<T, false>;
template <typename T> using DensityGradients = Density<T, true>;

// A grid of one frame: grid_box, its rows, is the frame's box where that is periodic.
struct Grid {
  const int32_t* shape;
  Cell grid, cell;

  Grid(const Input& shape, const Input& grid_box, const Input& box)
      : shape(shape.shaped({3}).data<int32_t>()),
        grid(grid_box.shaped({9}).lengths().data<double>(), 0),
        cell(box.shaped({1, 9}).lengths().data<double>(), 0) {
    const int32_t* n = this->shape;
    require(n[0] > 0 && n[1] > 0 && n[2] > 0, "shape must hold three positive numbers");
    require(double(n[0]) * n[1] * n[2] < 1e15, "shape asks for too many points");
    require(grid.periodic, "grid_box holds nine zeros, expected three independent cell vectors");
    require(!cell.periodic || std::equal(box.data<double>(), box.data<double>() + 9, grid_box.data<double>()),
            "grid_box is not the box of the periodic frame");
  }
};

// A part of a regular grid, one frame. Inputs: shape, part, grid_box, coord, box, coef, radial. `part` holds
// first points and ends along each axis, or which of how many parts along the first axis.
template <typename T> class DensityGrid {
 public:
  explicit DensityGrid(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input shape(ctx, 0, "shape"), part(ctx, 1, "part"), grid_box(ctx, 2, "grid_box");
    const Input coord(ctx, 3, "coord"), box(ctx, 4, "box"), coef(ctx, 5, "coef"), radial(ctx, 6, "radial");
    const Grid grid(shape, grid_box, box);
    const int64_t natoms = coord.shaped({-1, 3}).lengths().rows();
    const auto call = read_call<T>(coord, coef, radial);
    const double rcut = call.basis.rcut;
    LatticeBlocks blocks(grid.grid.rows, grid.shape, rcut);
    blocks.choose(read_part(part, grid.shape, blocks));
    double* out = allocate_output<double>(ctx, 0, {blocks.part().size(), call.basis.nchannel});
    if (blocks.count() == 0) return;
    const ImageMaker images(coord.data<double>(), grid.cell, rcut, blocks.region(grid.cell));
    const Bins bins(images.of(static_cast<int32_t>(natoms)), rcut);
    sum_over_images<false>(call, bins, blocks, out);
  }

 private:
  static Brick read_part(const Input& part, const int32_t* shape, const LatticeBlocks& blocks) {
    const int32_t* p = part.shaped({-1}).data<int32_t>();
    if (part.dim(0) == 2) {
      require(0 <= p[0] && p[0] < p[1], "part must hold a number from 0 and how many parts there are");
      return blocks.layers(p[0], p[1]);
    }
    part.shaped({6});
    for (int k = 0; k < 3; ++k)
      require(0 <= p[k] && p[k] <= p[3 + k] && p[3 + k] <= shape[k],
              "part must hold first points and ends within the grid, found ", p[k], " and ", p[3 + k], " of ", shape[k]);
    return {{p[0], p[1], p[2]}, {p[3], p[4], p[5]}};
  }
};

// The parts of a grid where there is density, each of few points: rows of first points and ends.
class GridParts {
 public:
  explicit GridParts(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input shape(ctx, 0, "shape"), grid_box(ctx, 1, "grid_box"), coord(ctx, 2, "coord");
    const Input box(ctx, 3, "box"), rcut_input(ctx, 4, "rcut"), most(ctx, 5, "most");
    const Grid grid(shape, grid_box, box);
    const double rcut = rcut_input.scalar();
    require(rcut > 1e-6 && rcut < 1e9, "rcut is ", rcut, ", expected a positive length");
    const int32_t points = most.shaped({}).data<int32_t>()[0];
    require(points > 0, "most is ", points, ", expected a positive number of points");
    const int64_t natoms = coord.shaped({-1, 3}).lengths().rows();
    const LatticeBlocks blocks(grid.grid.rows, grid.shape, rcut);
    const ImageMaker images(coord.data<double>(), grid.cell, rcut, blocks.region(grid.cell));
    std::vector<Vec> positions;
    for (const Image& image : images.of(static_cast<int32_t>(natoms))) positions.push_back(image.position);
    const std::vector<Brick> parts = blocks.parts(std::move(positions), points, rcut);
    int32_t* out = allocate_output<int32_t>(ctx, 0, {static_cast<int64_t>(parts.size()), 6});
    for (const Brick& part : parts) {
      out = std::copy_n(part.begin, 3, out);
      out = std::copy_n(part.end, 3, out);
    }
  }
};

const bool registered = [] {
  for (const char* name : {"DdDensity", "DdDensityGrad"})
    register_op({name,
                 {"T: {float, double}"},
                 {"point: double", "point_splits: int32", "coord: double", "coord_splits: int32",
                  "box: double", "coef: T", "radial: double"},
                 {"output: double"}});
  register_float_kernels<DensityValues>("DdDensity");
  register_float_kernels<DensityGradients>("DdDensityGrad");
  register_op({"DdDensityGrid",
               {"T: {float, double}"},
               {"shape: int32", "part: int32", "grid_box: double", "coord: double", "box: double", "coef: T",
                "radial: double"},
               {"output: double"}});
  register_float_kernels<DensityGrid>("DdDensityGrid");
  register_op({"DdGridParts",
               {},
               {"shape: int32", "grid_box: double", "coord: double", "box: double", "rcut: double", "most: int32"},
               {"parts: int32"}});
  register_kernel<GridParts>("DdGridParts");
  return true;
}();

}  // namespace
}  // namespace dd
