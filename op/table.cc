// Functions of a distance from a table: piecewise polynomials of degree five.
//
// table[type, interval, k, :] are the coefficients of v^k, v = x - interval * step, for all functions of
// one type. Distances beyond the table take the value at its end.
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
    const Input x(ctx, 0, "x"), type(ctx, 1, "type"), coef(ctx, 2, "table"), step(ctx, 3, "step");
    const int64_t n = x.shaped({-1}).rows();
    const int32_t* types = type.shaped({n}).data<int32_t>();
    coef.shaped({-1, -1, kTableTerms, -1});
    const TableView<T> view{coef.data<T>(), coef.rows(), coef.dim(1, 0, kMaxIntervals), coef.dim(3, 0, kMaxRows),
                            static_cast<T>(step.scalar())};
    require(view.nintervals > 0 && view.step > 0, "table must have intervals and a positive step");
    for (int64_t i = 0; i < n; ++i) {
      require(types[i] >= 0 && types[i] < view.ntypes, "type[", i, "] is ", types[i], ", expected 0 to ",
              view.ntypes - 1);
      require(std::isfinite(x.data<T>()[i]), "x[", i, "] is not finite");
    }
    T* out = allocate_output<T>(ctx, 0, {n, view.nout});
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      kernels_of<T>().table(view, x.data<T>() + begin, types + begin, end - begin, out + begin * view.nout);
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
