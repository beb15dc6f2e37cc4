// Functions of a distance from a table: piecewise polynomials of degree five.
//
// table[interval, k, :] are the coefficients of v^k, v = x - interval * step, for all functions.
// Distances beyond the table take the value at its end. Models compressed by version 0.1.0 ask for it.
#include "kernel.h"
#include "kernels.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kGrain = 256;
constexpr int64_t kMaxIntervals = 1 << 24;  // exact in single precision

template <typename T> class Tabulated {
 public:
  explicit Tabulated(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input x(ctx, 0, "x"), coef(ctx, 1, "table"), step(ctx, 2, "step");
    const int64_t n = x.shaped({-1}).rows();
    coef.shaped({-1, kTableTerms, -1});
    const TableView<T> view{coef.data<T>(), coef.dim(0, 0, kMaxIntervals), coef.dim(2, 0, kMaxRows),
                            static_cast<T>(step.scalar())};
    require(view.nintervals > 0 && view.step > 0, "table must have intervals and a positive step");
    for (int64_t i = 0; i < n; ++i) {
      require(std::isfinite(x.data<T>()[i]), "x[", i, "] is not finite");
    }
    T* out = allocate_output<T>(ctx, 0, {n, view.nout});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      kernels_of<T>().table(view, x.data<T>() + begin, end - begin, out + begin * view.nout);
    });
  }
};

const bool registered = [] {
  register_op({"DdTable",
               {"T: {float, double}"},
               {"x: T", "table: T", "step: double"},
               {"values: T"}});
  register_float_kernels<Tabulated>("DdTable");
  return true;
}();

}  // namespace
}  // namespace dd
