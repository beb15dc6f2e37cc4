// The density at points in one go: neighbour search and sum over atoms, without a list of pairs.
//
// Points are sorted into compact blocks (blocks.h, lattice.h). For each block and each image of an
// atom near it, the points within reach are grouped by interval of the radial splines (groups.h),
// and each group is worked on in vector registers.
#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "basis.h"
#include "blocks.h"
#include "clones.h"
#include "groups.h"
#include "harmonics.h"
#include "images.h"
#include "kernel.h"
#include "lattice.h"
#include "splits.h"
#include "threads.h"

namespace dd {
namespace {

template <typename T> struct Call {
  Basis basis;
  const T* coef;
};

// Scratch of one thread.
template <typename T> struct Scratch {
  std::vector<double> position[3];  // of the block's points
  Vec middle;                       // of the block
  std::vector<int64_t> images;      // within reach of the block
  Groups<T> groups;
  std::vector<T> padded_coef;       // of intervals whose last splines are not there
  std::vector<double> sum;          // (points + 1, noutput); the last row takes what padding lanes add
};

// The four rows of coefficients of an interval, one after the other; rows past the last are zero.
template <typename T>
DD_INLINE const T* interval_rows(const Basis& basis, const T* coef, int interval, Scratch<T>& s) {
  const T* rows = coef + interval * basis.nlm;
  const int present = basis.nspline - interval;
  if (present >= 4) return rows;
  std::fill(s.padded_coef.begin(), s.padded_coef.end(), T{0});
  std::copy_n(rows, present * basis.nlm, s.padded_coef.data());
  return s.padded_coef.data();
}

// Adds the lanes' values to column c of their points' sums.
template <typename T>
DD_INLINE void add_values(const Basis& basis, const std::vector<T>& values, int c, Scratch<T>& s) {
  const T* __restrict value = values.data();
  const int32_t* __restrict output = s.groups.lanes.output.data();
  double* __restrict sum = s.sum.data() + c;
  const int32_t nlanes = s.groups.start[basis.nspline];
  for (int32_t lane = 0; lane < nlanes; ++lane) sum[output[lane]] += value[lane];
}

// Orders known when compiling are types of their own: loops over (l, m) are unrolled.
template <int lmax> using Order = std::integral_constant<int, lmax>;
inline int last_harmonic(int lmax) { return (lmax + 1) * (lmax + 1) - 1; }
template <int lmax> constexpr Order<(lmax + 1) * (lmax + 1) - 1> last_harmonic(Order<lmax>) { return {}; }

// sum_lm row_k[lm] S_lm for the four rows k.
template <typename T, typename Lmax>
DD_INLINE void contract(const T* rows, Lmax lmax, const Vector<T> (*S)[1], Vector<T>* g) {
  const int nlm = (lmax + 1) * (lmax + 1);
  Vector<T> g0{}, g1{}, g2{}, g3{};
  const auto add = [&](int k) __attribute__((always_inline)) {
    const Vector<T> value = S[k][0];
    g0 += rows[k] * value;
    g1 += rows[nlm + k] * value;
    g2 += rows[2 * nlm + k] * value;
    g3 += rows[3 * nlm + k] * value;
  };
  for_range(Order<0>{}, last_harmonic(lmax), add);
  g[0] = g0, g[1] = g1, g[2] = g2, g[3] = g3;
}

// Density channels of all groups.
struct Values {
  template <typename T, typename Lmax>
  static DD_INLINE void add(const Basis& basis, Lmax lmax, const T* coef, Scratch<T>& s) {
    for (int c = 0; c < basis.nchannel; ++c) {
      for (int interval = 0; interval < basis.nspline; ++interval)
        if (s.groups.start[interval] != s.groups.start[interval + 1])
          group(basis, lmax, coef + c * basis.per_channel(), interval, s);
      add_values(basis, s.groups.lanes.value[0], c, s);
    }
  }

 private:
  template <typename T, typename Lmax>
  static DD_INLINE void group(const Basis& basis, Lmax lmax, const T* coef, int interval, Scratch<T>& s) {
    Lanes<T>& lanes = s.groups.lanes;
    const T* rows = interval_rows(basis, coef, interval, s);
    Vector<T> S[kMaxNlm][1], g[4], weight[4];
    for (int32_t at = s.groups.start[interval]; at < s.groups.start[interval + 1]; at += kWidth<T>) {
      const Vector<T> x = load(lanes.u[0], at), y = load(lanes.u[1], at), z = load(lanes.u[2], at);
      harmonics<Vector<T>, 1>(lmax, &x, &y, &z, S);
      spline_weights(load(lanes.t, at) - static_cast<T>(interval), weight);
      contract<T>(rows, lmax, S, g);
      store(weight[0] * g[0] + weight[1] * g[1] + weight[2] * g[2] + weight[3] * g[3], at, lanes.value[0]);
    }
  }
};

// Gradient of the first channel with respect to the points.
struct Gradients {
  template <typename T, typename Lmax>
  static DD_INLINE void add(const Basis& basis, Lmax lmax, const T* coef, Scratch<T>& s) {
    const int nlm = basis.nlm;
    const T soft = static_cast<T>(basis.soft), scale = static_cast<T>(basis.scale);
    Lanes<T>& lanes = s.groups.lanes;
    Vector<T> S[kMaxNlm][1], gS[kMaxNlm], g[4], weight[4], slope[4];
    for (int interval = 0; interval < basis.nspline; ++interval) {
      if (s.groups.start[interval] == s.groups.start[interval + 1]) continue;
      const T* rows = interval_rows(basis, coef, interval, s);
      for (int32_t at = s.groups.start[interval]; at < s.groups.start[interval + 1]; at += kWidth<T>) {
        const Vector<T> t = load(lanes.t, at), v = t - static_cast<T>(interval);
        const Vector<T> u[3] = {load(lanes.u[0], at), load(lanes.u[1], at), load(lanes.u[2], at)};
        harmonics<Vector<T>, 1>(lmax, &u[0], &u[1], &u[2], S);
        spline_weights(v, weight);
        spline_slopes(v, slope);
        contract<T>(rows, lmax, S, g);
        const Vector<T> gt = scale * (slope[0] * g[0] + slope[1] * g[1] + slope[2] * g[2] + slope[3] * g[3]);
        for (int k = 0; k < nlm; ++k)
          gS[k] = rows[k] * weight[0] + rows[nlm + k] * weight[1] + rows[2 * nlm + k] * weight[2] +
                  rows[3 * nlm + k] * weight[3];
        Vector<T> gu[3] = {};
        harmonics_pullback<Vector<T>>(lmax, u, &S[0][0], gS, gu);
        // dt/dd = scale u;  du_a/dd_b = (delta_ab - u_a u_b) / q
        const Vector<T> along = gu[0] * u[0] + gu[1] * u[1] + gu[2] * u[2];
        const Vector<T> inv_q = 1 / (soft + t / scale);
        for (int b = 0; b < 3; ++b)
          store<T>(gt * u[b] + (gu[b] - along * u[b]) * inv_q, at, lanes.value[b]);
      }
    }
    for (int b = 0; b < 3; ++b) add_values(basis, lanes.value[b], b, s);
  }
};

// One block of points and all that is needed for it.
template <typename T> struct Block {
  const Call<T>* call;
  const Bins* bins;
  int32_t first_atom;
  int noutput;
};

template <class Work, typename T, typename Lmax>
DD_INLINE void block_of_lmax(Lmax lmax, const Block<T>& block, Scratch<T>& s) {
  const Basis& basis = block.call->basis;
  for (const int64_t i : s.images) {
    const Vec image = {block.bins->x[i] - s.middle[0], block.bins->y[i] - s.middle[1], block.bins->z[i] - s.middle[2]};
    group_around(basis, image, block.noutput, s.groups);
    Work::add(basis, lmax, block.call->coef + (block.first_atom + block.bins->atom[i]) * basis.per_atom(), s);
  }
}

// Usual orders in single precision.
template <class Work> DD_INLINE void block_of_points(const Block<float>& block, Scratch<float>& s) {
  const int lmax = block.call->basis.lmax;
  switch (lmax) {
    case 2: return block_of_lmax<Work>(Order<2>{}, block, s);
    case 3: return block_of_lmax<Work>(Order<3>{}, block, s);
    case 4: return block_of_lmax<Work>(Order<4>{}, block, s);
    case 5: return block_of_lmax<Work>(Order<5>{}, block, s);
    default: return block_of_lmax<Work>(lmax, block, s);
  }
}
template <class Work> DD_INLINE void block_of_points(const Block<double>& block, Scratch<double>& s) {
  block_of_lmax<Work>(block.call->basis.lmax, block, s);
}

DD_CLONES void values(const Block<float>& block, Scratch<float>& s) { block_of_points<Values>(block, s); }
DD_CLONES void values(const Block<double>& block, Scratch<double>& s) { block_of_points<Values>(block, s); }
DD_CLONES void gradients(const Block<float>& block, Scratch<float>& s) { block_of_points<Gradients>(block, s); }
DD_CLONES void gradients(const Block<double>& block, Scratch<double>& s) { block_of_points<Gradients>(block, s); }

// The images within rcut of the box.
template <typename T> void find_images(const Block<T>& block, const Vec& low, const Vec& high, Scratch<T>& s) {
  const double rcut = block.call->basis.rcut;
  const Bins& bins = *block.bins;
  s.images.clear();
  bins.around(low, high, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Vec image = {bins.x[i], bins.y[i], bins.z[i]};
      double gap2 = 0;
      for (int c = 0; c < 3; ++c) {
        const double gap = std::max({low[c] - image[c], image[c] - high[c], 0.0});
        gap2 += gap * gap;
      }
      if (gap2 < rcut * rcut) s.images.push_back(i);
    }
  });
}

// The blocks' sums over the atoms of one frame.
template <bool kGradient, typename T, class Blocks>
void sum_over_atoms(const Call<T>& call, const Bins& bins, int32_t first_atom, const Blocks& blocks, double* out) {
  const int noutput = kGradient ? 3 : call.basis.nchannel;
  parallel_dynamic(blocks.count(), [&](auto next) {
    Scratch<T> scratch;
    for (int64_t b = next(); b < blocks.count(); b = next()) {
      const Block<T> block{&call, &bins, first_atom, noutput};
      for (auto& x : scratch.position) x.resize(blocks.size(b));
      blocks.positions(b, scratch.position);
      Vec low, high;
      blocks.bounds(b, &low, &high);
      find_images(block, low, high, scratch);
      for (int c = 0; c < 3; ++c) scratch.middle[c] = 0.5 * (low[c] + high[c]);
      set_points(call.basis, scratch.position, scratch.middle, noutput, scratch.groups);
      scratch.padded_coef.resize(4 * call.basis.nlm);
      scratch.sum.assign((blocks.size(b) + 1) * noutput, 0.0);
      kGradient ? gradients(block, scratch) : values(block, scratch);
      blocks.write(b, scratch.sum.data(), noutput, out);
    }
  });
}

template <typename T> Call<T> read_call(const Input& coord, const Input& coef, const Input& radial) {
  const Basis basis = read_basis(coef, radial);
  require(coef.dim(0) == coord.dim(0), "coef is of " + std::to_string(coef.dim(0)) + " atoms, coord of " +
                                           std::to_string(coord.dim(0)));
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
    const int64_t nframes = box.shaped({-1, 9}).lengths().dim(0);
    const int64_t npoints = point.shaped({-1, 3}).lengths().dim(0);
    const int32_t* psplit = row_splits(point_splits, nframes, npoints);
    const int32_t* asplit = row_splits(coord_splits, nframes, coord.shaped({-1, 3}).lengths().dim(0));
    const auto call = read_call<T>(coord, coef, radial);
    const double rcut = call.basis.rcut;
    const int noutput = kGradient ? 3 : call.basis.nchannel;
    double* out = allocate_output<double>(ctx, 0, {npoints, noutput});
    for (int64_t f = 0; f < nframes; ++f) {
      const Cell cell(box.data<double>() + 9 * f, f);
      const int32_t natoms = asplit[f + 1] - asplit[f];
      const Bins bins(make_images(coord.data<double>() + 3 * asplit[f], natoms, cell, rcut), rcut);
      const PointBlocks blocks(point.data<double>() + 3 * psplit[f], psplit[f + 1] - psplit[f], cell, rcut);
      sum_over_atoms<kGradient>(call, bins, asplit[f], blocks, out + int64_t{psplit[f]} * noutput);
    }
  }
};

template <typename T> using DensityValues = Density<T, false>;
template <typename T> using DensityGradients = Density<T, true>;

// A part of a regular grid, one frame. Inputs: shape, part (which, of how many), grid_box, coord, box,
// coef, radial. Where the frame is periodic, grid_box must be its box.
template <typename T> class DensityGrid {
 public:
  explicit DensityGrid(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input shape(ctx, 0, "shape"), part(ctx, 1, "part"), grid_box(ctx, 2, "grid_box");
    const Input coord(ctx, 3, "coord"), box(ctx, 4, "box"), coef(ctx, 5, "coef"), radial(ctx, 6, "radial");
    const int32_t* n = shape.shaped({3}).data<int32_t>();
    const int32_t* which = part.shaped({2}).data<int32_t>();
    require(n[0] > 0 && n[1] > 0 && n[2] > 0, "shape must hold three positive numbers");
    require(double(n[0]) * n[1] * n[2] < 1e15, "shape asks for too many points");
    require(0 <= which[0] && which[0] < which[1], "part must hold a number from 0 and how many parts there are");
    const double* rows = grid_box.shaped({9}).lengths().data<double>();
    const Cell grid(rows, 0), cell(box.shaped({1, 9}).lengths().data<double>(), 0);
    require(grid.periodic, "grid_box holds nine zeros, expected three independent cell vectors");
    require(!cell.periodic || std::equal(rows, rows + 9, box.data<double>()),
            "grid_box is not the box of the periodic frame");
    const int64_t natoms = coord.shaped({-1, 3}).lengths().dim(0);
    const auto call = read_call<T>(coord, coef, radial);
    const double rcut = call.basis.rcut;
    const Bins bins(make_images(coord.data<double>(), static_cast<int32_t>(natoms), cell, rcut), rcut);
    const LatticeBlocks blocks(grid.rows, n, which[0], which[1], rcut);
    double* out = allocate_output<double>(ctx, 0, {blocks.npoints(), call.basis.nchannel});
    sum_over_atoms<false>(call, bins, 0, blocks, out);
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
  return true;
}();

}  // namespace
}  // namespace dd
