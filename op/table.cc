// Functions of a distance from a table: piecewise polynomials of degree five.
//
// table[type, interval, k, :] are the coefficients of v^k, v = x - interval * step, for all functions of
// one type. Distances beyond the table take the value at its end.
#include <algorithm>
#include <cstdint>
#include <string>

#include "clones.h"
#include "kernel.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int kTerms = 6;
constexpr int64_t kGrain = 256;

template <typename T> struct Table {
  const T* coef;
  int64_t ntypes, nintervals, nout;
  T step;
};

template <typename T>
inline __attribute__((always_inline)) void evaluate(const Table<T>& table, const T* x, const int32_t* type,
                                                    int64_t n, T* out) {
  const int64_t nout = table.nout;
  for (int64_t i = 0; i < n; ++i) {
    const T place = std::min(std::max(x[i] / table.step, T{0}), static_cast<T>(table.nintervals));
    const int64_t interval = std::min(static_cast<int64_t>(place), table.nintervals - 1);
    const T v = (place - static_cast<T>(interval)) * table.step;
    const T* __restrict c = table.coef + (type[i] * table.nintervals + interval) * kTerms * nout;
    T* __restrict y = out + i * nout;
    for (int64_t k = 0; k < nout; ++k) {
      T value = c[(kTerms - 1) * nout + k];
      for (int term = kTerms - 2; term >= 0; --term) value = value * v + c[term * nout + k];
      y[k] = value;
    }
  }
}

DD_CLONES void evaluate_clones(const Table<float>& table, const float* x, const int32_t* type, int64_t n, float* out) {
  evaluate(table, x, type, n, out);
}
DD_CLONES void evaluate_clones(const Table<double>& table, const double* x, const int32_t* type, int64_t n,
                               double* out) {
  evaluate(table, x, type, n, out);
}

template <typename T> class Tabulated {
 public:
  explicit Tabulated(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input x(ctx, 0, "x"), type(ctx, 1, "type"), coef(ctx, 2, "table"), step(ctx, 3, "step");
    const int64_t n = x.shaped({-1}).dim(0);
    const int32_t* types = type.shaped({n}).data<int32_t>();
    coef.shaped({-1, -1, kTerms, -1});
    const Table<T> table{coef.data<T>(), coef.dim(0), coef.dim(1), coef.dim(3), static_cast<T>(step.scalar())};
    require(table.nintervals > 0 && table.step > 0, "table must have intervals and a positive step");
    for (int64_t i = 0; i < n; ++i) {
      if (types[i] < 0 || types[i] >= table.ntypes)
        throw InvalidArgument("type[" + std::to_string(i) + "] is " + std::to_string(types[i]) + ", expected 0 to " +
                              std::to_string(table.ntypes - 1));
      if (!std::isfinite(x.data<T>()[i])) throw InvalidArgument("x[" + std::to_string(i) + "] is not finite");
    }
    T* out = allocate_output<T>(ctx, 0, {n, table.nout});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      evaluate_clones(table, x.data<T>() + begin, types + begin, end - begin, out + begin * table.nout);
    });
  }
};

const bool registered = [] {
  register_op({"DdTable",
               {"T: {float, double}"},
               {"x: T", "type: int32", "table: T", "step: double"},
               {"values: T"}});
  register_float_kernels<Tabulated>("DdTable");
  return true;
}();

}  // namespace
}  // namespace dd
