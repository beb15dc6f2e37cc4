// The density as a sum of atom-centred functions over a list of pairs (see basis.h).
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "kernel.h"
#include "kernels.h"
#include "pair_sums.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 256;

// dE/d(disp) of one pair.
template <typename T>
void disp_gradient(const PairsView<T>& view, const double* grad, int64_t p, double* out) {
  const Basis& basis = view.basis;
  out[0] = out[1] = out[2] = 0;
  Placed<T> at;
  if (!place(basis, view.disp + 3 * p, &at)) return;
  T S[kMaxNlm][1], gS[kMaxNlm] = {}, f[kMaxNlm], gu[3] = {0, 0, 0}, gt = 0;
  harmonics<T, 1>(basis.lmax, &at.u[0], &at.u[1], &at.u[2], S);
  const T* coef = view.coef + view.atom[p] * basis.per_atom() + at.first * basis.nlm;
  const int rows = rows_from(basis, at.first);
  for (int c = 0; c < basis.nchannel; ++c) {
    const T g = static_cast<T>(grad[int64_t{view.point[p]} * basis.nchannel + c]);
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

// The inputs disp, pair_point, pair_atom, coef, radial, from number `first` on, and a view of them.
template <typename T> class Call {
 public:
  Call(TF_OpKernelContext* ctx, int first, int64_t npoints)
      : disp_(ctx, first, "disp"),
        point_(ctx, first + 1, "pair_point"),
        atom_(ctx, first + 2, "pair_atom"),
        coef_(ctx, first + 3, "coef"),
        view(read(Input(ctx, first + 4, "radial"), npoints)) {
    parallel_for(view.npairs, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) check(p);
    });
  }

 private:
  Input disp_, point_, atom_, coef_;

  PairsView<T> read(const Input& radial, int64_t npoints) const {
    const Basis basis = read_basis(coef_, radial);
    const int64_t npairs = disp_.shaped({-1, 3}).rows();
    return {basis, disp_.data<double>(), point_.shaped({npairs}).template data<int32_t>(),
            atom_.shaped({npairs}).template data<int32_t>(), coef_.data<T>(), npairs, coef_.rows(), npoints};
  }
  void check(int64_t p) const {
    const double* d = view.disp + 3 * p;
    require(std::isfinite(d[0] + d[1] + d[2]), "disp is not finite in row ", p);
    require(view.atom[p] >= 0 && view.atom[p] < view.natoms, "pair_atom[", p, "] is ", view.atom[p],
            ", expected 0 to ", view.natoms - 1);
    require(view.point[p] >= (p ? view.point[p - 1] : 0) && view.point[p] < view.npoints, "pair_point[", p, "] is ",
            view.point[p], ", expected rising numbers below ", view.npoints);
  }

 public:
  const PairsView<T> view;
};

template <typename T> class Expansion {
 public:
  explicit Expansion(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const int64_t npoints = Input(ctx, 5, "npoints").shaped({}).template data<int32_t>()[0];
    require(npoints >= 0, "npoints is negative");
    const Call<T> call(ctx, 0, npoints);
    const PairsView<T>& view = call.view;
    const int nchannel = view.basis.nchannel;
    double* density = allocate_output<double>(ctx, 0, {npoints, nchannel});
    parallel_for(npoints, kGrain, [&](int64_t begin, int64_t end) {
      std::fill(density + begin * nchannel, density + end * nchannel, 0.0);
      const int32_t* last = view.point + view.npairs;
      const int64_t p0 = std::lower_bound(view.point, last, begin) - view.point;
      const int64_t p1 = std::lower_bound(view.point, last, end) - view.point;
      kernels_of<T>().sum_pairs(view, p0, p1, density);
    });
  }
};

template <typename T> class ExpansionGradCoef {
 public:
  explicit ExpansionGradCoef(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const Call<T> call(ctx, 1, grad.shaped({-1, -1}).rows());
    const PairsView<T>& view = call.view;
    const Basis& basis = view.basis;
    grad.shaped({-1, basis.nchannel});
    T* out = allocate_output<T>(ctx, 0, {view.natoms, basis.nchannel, basis.nspline, basis.nlm});
    const auto [start, order] = by_atom(view);
    parallel_for(view.natoms, 1, [&, &start = start, &order = order](int64_t begin, int64_t end) {
      std::fill(out + begin * basis.per_atom(), out + end * basis.per_atom(), T{0});
      for (int64_t a = begin; a < end; ++a)
        kernels_of<T>().coef_gradient(view, grad.data<double>(), order.data() + start[a], start[a + 1] - start[a],
                             out + a * basis.per_atom());
    });
  }

 private:
  // Stable counting sort of the pairs by atom: every atom's gradient is one thread's, in one order.
  static std::pair<std::vector<int64_t>, std::vector<int32_t>> by_atom(const PairsView<T>& view) {
    std::vector<int64_t> start(view.natoms + 1, 0);
    for (int64_t p = 0; p < view.npairs; ++p) ++start[view.atom[p] + 1];
    for (int64_t a = 0; a < view.natoms; ++a) start[a + 1] += start[a];
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    std::vector<int32_t> order(view.npairs);
    for (int64_t p = 0; p < view.npairs; ++p) order[next[view.atom[p]]++] = static_cast<int32_t>(p);
    return {std::move(start), std::move(order)};
  }
};

template <typename T> class ExpansionGradDisp {
 public:
  explicit ExpansionGradDisp(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input grad(ctx, 0, "grad");
    const Call<T> call(ctx, 1, grad.shaped({-1, -1}).rows());
    const PairsView<T>& view = call.view;
    grad.shaped({-1, view.basis.nchannel});
    double* out = allocate_output<double>(ctx, 0, {view.npairs, 3});
    parallel_for(view.npairs, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) disp_gradient(view, grad.data<double>(), p, out + 3 * p);
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
