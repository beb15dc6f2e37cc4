// The density as a sum of atom-centred functions over a list of pairs (see basis.h).
#include <algorithm>
#include <vector>

#include "basis.h"
#include "clones.h"
#include "harmonics.h"
#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int kLanes = 16;
constexpr int64_t kGrain = 256;

// Where a pair sits: spline interval, weights of its four splines and their derivatives, soft unit vector.
template <typename T> struct Placed {
  int first;
  T weight[4], dweight[4];
  T u[3];
  T inv_q;
};

template <typename T> inline bool place(const Basis& basis, const double* d, Placed<T>* out) {
  const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
  const double q = std::sqrt(r2 + basis.soft * basis.soft);
  // Rounding must not lead before the first spline.
  const double t = std::max(0.0, (q - basis.soft) * basis.scale);
  if (!(t < basis.nspline)) return false;
  const int first = static_cast<int>(t);
  const T v = static_cast<T>(t - first);
  out->first = first;
  spline_weights(v, out->weight);
  spline_slopes(v, out->dweight);
  out->inv_q = static_cast<T>(1 / q);
  for (int c = 0; c < 3; ++c) out->u[c] = static_cast<T>(d[c] / q);
  return true;
}

// f_lm = sum of the four coefficient rows with the given weights; rows past the last knot are zero.
template <typename T>
inline __attribute__((always_inline)) void mix(const T* __restrict coef, int nlm, int rows, const T* weight,
                                               T* __restrict f) {
  for (int k = 0; k < nlm; ++k) f[k] = weight[0] * coef[k];
  for (int row = 1; row < rows; ++row)
    for (int k = 0; k < nlm; ++k) f[k] += weight[row] * coef[row * nlm + k];
}

// S_lm of a block of placed pairs, lanes innermost.
template <typename T>
inline __attribute__((always_inline)) void block_harmonics(int lmax, const Placed<T>* placed, int count,
                                                           T (*S)[kLanes]) {
  T x[kLanes] = {}, y[kLanes] = {}, z[kLanes] = {};
  for (int w = 0; w < count; ++w) x[w] = placed[w].u[0], y[w] = placed[w].u[1], z[w] = placed[w].u[2];
  harmonics<T, kLanes>(lmax, x, y, z, S);
}

template <typename T> struct Call {
  Basis basis;
  const double* disp;
  const int32_t *point, *atom;
  const T* coef;
  int64_t npairs, natoms;
  int64_t npoints;
};

// Adds the pairs [begin, end) to density (npoints, nchannel).
template <typename T>
inline __attribute__((always_inline)) void sum_pairs(const Call<T>& call, int64_t begin, int64_t end,
                                                     double* density) {
  const Basis& basis = call.basis;
  Placed<T> placed[kLanes];
  int64_t pair[kLanes];
  T S[kMaxNlm][kLanes], f[kMaxNlm];
  for (int64_t p = begin; p < end;) {
    int count = 0;
    for (; p < end && count < kLanes; ++p)
      if (place(basis, call.disp + 3 * p, &placed[count])) pair[count++] = p;
    block_harmonics(basis.lmax, placed, count, S);
    for (int w = 0; w < count; ++w) {
      const T* coef = call.coef + call.atom[pair[w]] * basis.per_atom() + placed[w].first * basis.nlm;
      const int rows = std::min(4, basis.nspline - placed[w].first);
      for (int c = 0; c < basis.nchannel; ++c) {
        mix(coef + c * basis.per_channel(), basis.nlm, rows, placed[w].weight, f);
        T sum = 0;
        for (int k = 0; k < basis.nlm; ++k) sum += f[k] * S[k][w];
        density[int64_t{call.point[pair[w]]} * basis.nchannel + c] += sum;
      }
    }
  }
}

DD_CLONES void sum_pairs_clones(const Call<float>& call, int64_t begin, int64_t end, double* density) {
  sum_pairs(call, begin, end, density);
}
DD_CLONES void sum_pairs_clones(const Call<double>& call, int64_t begin, int64_t end, double* density) {
  sum_pairs(call, begin, end, density);
}

// Adds to grad_coef of one atom the share of its pairs, listed in order.
template <typename T>
inline __attribute__((always_inline)) void coef_gradient(const Call<T>& call, const double* grad,
                                                         const int32_t* pairs, int64_t npairs, T* out) {
  const Basis& basis = call.basis;
  Placed<T> placed[kLanes];
  int64_t pair[kLanes];
  T S[kMaxNlm][kLanes];
  for (int64_t n = 0; n < npairs;) {
    int count = 0;
    for (; n < npairs && count < kLanes; ++n)
      if (place(basis, call.disp + 3 * int64_t{pairs[n]}, &placed[count])) pair[count++] = pairs[n];
    block_harmonics(basis.lmax, placed, count, S);
    for (int w = 0; w < count; ++w) {
      const int rows = std::min(4, basis.nspline - placed[w].first);
      T row_S[kMaxNlm];
      for (int k = 0; k < basis.nlm; ++k) row_S[k] = S[k][w];
      for (int c = 0; c < basis.nchannel; ++c) {
        const T g = static_cast<T>(grad[int64_t{call.point[pair[w]]} * basis.nchannel + c]);
        T* __restrict target = out + c * basis.per_channel() + placed[w].first * basis.nlm;
        for (int row = 0; row < rows; ++row) {
          const T gw = g * placed[w].weight[row];
          for (int k = 0; k < basis.nlm; ++k) target[row * basis.nlm + k] += gw * row_S[k];
        }
      }
    }
  }
}

DD_CLONES void coef_gradient_clones(const Call<float>& call, const double* grad, const int32_t* pairs,
                                    int64_t npairs, float* out) {
  coef_gradient(call, grad, pairs, npairs, out);
}
DD_CLONES void coef_gradient_clones(const Call<double>& call, const double* grad, const int32_t* pairs,
                                    int64_t npairs, double* out) {
  coef_gradient(call, grad, pairs, npairs, out);
}

// dE/d(disp) of one pair.
template <typename T>
void disp_gradient(const Call<T>& call, const double* grad, int64_t p, double* out) {
  const Basis& basis = call.basis;
  out[0] = out[1] = out[2] = 0;
  Placed<T> at;
  if (!place(basis, call.disp + 3 * p, &at)) return;
  T S[kMaxNlm][1], gS[kMaxNlm] = {}, f[kMaxNlm], gu[3] = {0, 0, 0}, gt = 0;
  harmonics<T, 1>(basis.lmax, &at.u[0], &at.u[1], &at.u[2], S);
  const T* coef = call.coef + call.atom[p] * basis.per_atom() + at.first * basis.nlm;
  const int rows = std::min(4, basis.nspline - at.first);
  for (int c = 0; c < basis.nchannel; ++c) {
    const T g = static_cast<T>(grad[int64_t{call.point[p]} * basis.nchannel + c]);
    mix(coef + c * basis.per_channel(), basis.nlm, rows, at.weight, f);
    for (int k = 0; k < basis.nlm; ++k) gS[k] += g * f[k];
    mix(coef + c * basis.per_channel(), basis.nlm, rows, at.dweight, f);
    for (int k = 0; k < basis.nlm; ++k) gt += g * f[k] * S[k][0];
  }
  harmonics_pullback<T>(basis.lmax, at.u, &S[0][0], gS, gu);
  // dt/dd = scale u;  du_a/dd_b = (delta_ab - u_a u_b) / q
  const T along = gu[0] * at.u[0] + gu[1] * at.u[1] + gu[2] * at.u[2];
  for (int b = 0; b < 3; ++b)
    out[b] = gt * basis.scale * at.u[b] + (gu[b] - along * at.u[b]) * at.inv_q;
}

template <typename T> Call<T> read_call(TF_OpKernelContext* ctx, int first, int64_t npoints) {
  static thread_local std::vector<Input> keep;  // the tensors must outlive the call
  keep.clear();
  for (const char* name : {"disp", "pair_point", "pair_atom", "coef", "radial"})
    keep.emplace_back(ctx, first + static_cast<int>(keep.size()), name);
  const Input &disp = keep[0], &point = keep[1], &atom = keep[2], &coef = keep[3], &radial = keep[4];
  Call<T> call;
  call.npairs = disp.shaped({-1, 3}).dim(0);
  call.disp = disp.data<double>();
  call.point = point.shaped({call.npairs}).template data<int32_t>();
  call.atom = atom.shaped({call.npairs}).template data<int32_t>();
  call.coef = coef.shaped({-1, -1, -1, -1}).template data<T>();
  call.natoms = coef.dim(0);
  call.npoints = npoints;
  call.basis = read_basis(coef, radial);
  for (int64_t p = 0; p < call.npairs; ++p) {
    const double* d = call.disp + 3 * p;
    if (!std::isfinite(d[0] + d[1] + d[2]))
      throw InvalidArgument("disp is not finite in row " + std::to_string(p));
    if (call.atom[p] < 0 || call.atom[p] >= call.natoms)
      throw InvalidArgument("pair_atom[" + std::to_string(p) + "] is " + std::to_string(call.atom[p]) +
                            ", expected 0 to " + std::to_string(call.natoms - 1));
    if (call.point[p] < (p ? call.point[p - 1] : 0) || call.point[p] >= npoints)
      throw InvalidArgument("pair_point[" + std::to_string(p) + "] is " + std::to_string(call.point[p]) +
                            ", expected rising numbers below " + std::to_string(npoints));
  }
  return call;
}

template <typename T> class Expansion {
 public:
  explicit Expansion(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const int64_t npoints = Input(ctx, 5, "npoints").shaped({}).template data<int32_t>()[0];
    require(npoints >= 0, "npoints is negative");
    const Call<T> call = read_call<T>(ctx, 0, npoints);
    const int nchannel = call.basis.nchannel;
    double* density = allocate_output<double>(ctx, 0, {npoints, nchannel});
    parallel_for(npoints, kGrain, [&](int64_t begin, int64_t end) {
      std::fill(density + begin * nchannel, density + end * nchannel, 0.0);
      const int32_t* last = call.point + call.npairs;
      const int64_t p0 = std::lower_bound(call.point, last, begin) - call.point;
      const int64_t p1 = std::lower_bound(call.point, last, end) - call.point;
      sum_pairs_clones(call, p0, p1, density);
    });
  }
};

template <typename T> class ExpansionGradCoef {
 public:
  explicit ExpansionGradCoef(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const Call<T> call = read_call<T>(ctx, 1, grad.shaped({-1, -1}).dim(0));
    const Basis& basis = call.basis;
    grad.shaped({-1, basis.nchannel});
    T* out = allocate_output<T>(ctx, 0, {call.natoms, basis.nchannel, basis.nspline, basis.nlm});
    const auto [start, order] = by_atom(call);
    parallel_for(call.natoms, 1, [&, &start = start, &order = order](int64_t begin, int64_t end) {
      std::fill(out + begin * basis.per_atom(), out + end * basis.per_atom(), T{0});
      for (int64_t a = begin; a < end; ++a)
        coef_gradient_clones(call, grad.data<double>(), order.data() + start[a], start[a + 1] - start[a],
                             out + a * basis.per_atom());
    });
  }

 private:
  // Stable counting sort of the pairs by atom: every atom's gradient is one thread's, in one order.
  static std::pair<std::vector<int64_t>, std::vector<int32_t>> by_atom(const Call<T>& call) {
    std::vector<int64_t> start(call.natoms + 1, 0);
    for (int64_t p = 0; p < call.npairs; ++p) ++start[call.atom[p] + 1];
    for (int64_t a = 0; a < call.natoms; ++a) start[a + 1] += start[a];
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    std::vector<int32_t> order(call.npairs);
    for (int64_t p = 0; p < call.npairs; ++p) order[next[call.atom[p]]++] = static_cast<int32_t>(p);
    return {std::move(start), std::move(order)};
  }
};

template <typename T> class ExpansionGradDisp {
 public:
  explicit ExpansionGradDisp(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const Call<T> call = read_call<T>(ctx, 1, grad.shaped({-1, -1}).dim(0));
    grad.shaped({-1, call.basis.nchannel});
    double* out = allocate_output<double>(ctx, 0, {call.npairs, 3});
    parallel_for(call.npairs, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) disp_gradient(call, grad.data<double>(), p, out + 3 * p);
    });
  }
};

const bool registered = [] {
  register_op({"DdExpansion",
               {"T: {float, double}"},
               {"disp: double", "pair_point: int32", "pair_atom: int32", "coef: T", "radial: double",
                "npoints: int32"},
               {"density: double"}});
  register_float_kernels<Expansion>("DdExpansion");
  for (const char* name : {"DdExpansionGradCoef", "DdExpansionGradDisp"}) {
    const bool coef = std::string(name) == "DdExpansionGradCoef";
    register_op({name,
                 {"T: {float, double}"},
                 {"grad: double", "disp: double", "pair_point: int32", "pair_atom: int32", "coef: T",
                  "radial: double"},
                 {coef ? "grad_coef: T" : "grad_disp: double"}});
  }
  register_float_kernels<ExpansionGradCoef>("DdExpansionGradCoef");
  register_float_kernels<ExpansionGradDisp>("DdExpansionGradDisp");
  return true;
}();

}  // namespace
}  // namespace dd
