// Environment matrix of Deep Potential, smooth edition, extended to higher angular momentum:
// row of a neighbour at displacement d = s(|d|) * S_lm(d / |d|), l = 0 ... lmax.
// With lmax = 1 it is (s, s x/r, s y/r, s z/r).
#include <algorithm>

#include "harmonics.h"
#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int kLanes = 8;
constexpr int64_t kGrain = 512;

// s(r) = 1/r below rcut_smth, times a quintic switch with two continuous derivatives up to rcut.
struct Switch {
  double rcut_smth, rcut;
  void eval(double r, double* s, double* ds) const {
    const double inv = 1 / r;
    if (r >= rcut) {
      *s = *ds = 0;
    } else if (r <= rcut_smth) {
      *s = inv;
      *ds = -inv * inv;
    } else {
      const double u = (r - rcut_smth) / (rcut - rcut_smth);
      const double w = 1 + u * u * u * (-10 + u * (15 - 6 * u));
      const double dw = -30 * u * u * (1 - u) * (1 - u) / (rcut - rcut_smth);
      *s = w * inv;
      *ds = (dw - w * inv) * inv;
    }
  }
};

Switch read_switch(const Input& smth, const Input& rcut) {
  const Switch s{smth.scalar(), rcut.scalar()};
  require(s.rcut_smth > 0 && s.rcut > s.rcut_smth,
          "rcut_smth and rcut must satisfy 0 < rcut_smth < rcut, found ", s.rcut_smth, " and ", s.rcut);
  return s;
}

double length(const double* d) { return std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]); }

void check_lengths(const double* disp, int64_t n) {
  for (int64_t p = 0; p < n; ++p) {
    const double r = length(disp + 3 * p);
    if (!(r > 1e-6 && std::isfinite(r)))
      throw InvalidArgument(joined("displacement of pair ", p, " has length ", r, ": two atoms at one place"));
  }
}

class EnvMat {
 public:
  explicit EnvMat(TF_OpKernelConstruction* ctx) : lmax_(int_attr(ctx, "lmax", 0, kMaxL)) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input disp(ctx, 0, "disp");
    const Switch sw = read_switch(Input(ctx, 1, "rcut_smth"), Input(ctx, 2, "rcut"));
    const int64_t n = disp.shaped({-1, 3}).rows();
    const int nlm = (lmax_ + 1) * (lmax_ + 1);
    const double* d = disp.data<double>();
    check_lengths(d, n);
    double* rows = allocate_output<double>(ctx, 0, {n, nlm});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; p += kLanes)
        block(sw, d + 3 * p, static_cast<int>(std::min<int64_t>(kLanes, end - p)), rows + p * nlm);
    });
  }

 private:
  void block(const Switch& sw, const double* d, int count, double* rows) const {
    double x[kLanes] = {}, y[kLanes] = {}, z[kLanes] = {}, s[kLanes] = {};
    double S[(kMaxL + 1) * (kMaxL + 1)][kLanes];
    for (int w = 0; w < count; ++w) {
      const double r = length(d + 3 * w);
      double ds;
      sw.eval(r, &s[w], &ds);
      x[w] = d[3 * w] / r;
      y[w] = d[3 * w + 1] / r;
      z[w] = d[3 * w + 2] / r;
    }
    harmonics<double, kLanes>(lmax_, x, y, z, S);
    const int nlm = (lmax_ + 1) * (lmax_ + 1);
    for (int w = 0; w < count; ++w)
      for (int k = 0; k < nlm; ++k) rows[w * nlm + k] = s[w] * S[k][w];
  }
  int lmax_;
};

// dE/d(disp) from dE/d(rows).
class EnvMatGrad {
 public:
  explicit EnvMatGrad(TF_OpKernelConstruction* ctx) : lmax_(int_attr(ctx, "lmax", 0, kMaxL)) {}
  void compute(TF_OpKernelContext* ctx) {
    const int nlm = (lmax_ + 1) * (lmax_ + 1);
    const Input grad(ctx, 0, "grad"), disp(ctx, 1, "disp");
    const Switch sw = read_switch(Input(ctx, 2, "rcut_smth"), Input(ctx, 3, "rcut"));
    const int64_t n = disp.shaped({-1, 3}).rows();
    grad.shaped({n, nlm});
    const double* d = disp.data<double>();
    const double* g = grad.data<double>();
    check_lengths(d, n);
    double* out = allocate_output<double>(ctx, 0, {n, 3});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) one(sw, d + 3 * p, g + p * nlm, out + 3 * p);
    });
  }

 private:
  void one(const Switch& sw, const double* d, const double* g, double* out) const {
    const int nlm = (lmax_ + 1) * (lmax_ + 1);
    const double r = length(d);
    double s, ds;
    sw.eval(r, &s, &ds);
    const double u[3] = {d[0] / r, d[1] / r, d[2] / r};
    double S[(kMaxL + 1) * (kMaxL + 1)][1], gS[(kMaxL + 1) * (kMaxL + 1)], gu[3] = {0, 0, 0};
    harmonics<double, 1>(lmax_, &u[0], &u[1], &u[2], S);
    double radial = 0;
    for (int k = 0; k < nlm; ++k) {
      radial += g[k] * S[k][0];
      gS[k] = g[k] * s;
    }
    harmonics_pullback<double>(lmax_, u, &S[0][0], gS, gu);
    const double along = gu[0] * u[0] + gu[1] * u[1] + gu[2] * u[2];
    for (int k = 0; k < 3; ++k) out[k] = radial * ds * u[k] + (gu[k] - along * u[k]) / r;
  }
  int lmax_;
};

const bool registered = [] {
  register_op({"DdEnvMat",
               {"lmax: int >= 0"},
               {"disp: double", "rcut_smth: double", "rcut: double"},
               {"rows: double"}});
  register_kernel<EnvMat>("DdEnvMat");
  register_op({"DdEnvMatGrad",
               {"lmax: int >= 0"},
               {"grad: double", "disp: double", "rcut_smth: double", "rcut: double"},
               {"grad_disp: double"}});
  register_kernel<EnvMatGrad>("DdEnvMatGrad");
  return true;
}();

}  // namespace
}  // namespace dd
