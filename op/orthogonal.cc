// Matrices with the singular vectors of those given and all singular values near one (newton_schulz.h).
#include <vector>

#include "kernel.h"
#include "kernels.h"
#include "threads.h"

namespace dd {
namespace {

constexpr int64_t kMaxSide = 1 << 14;

template <typename T> class Orthogonal {
 public:
  explicit Orthogonal(TF_OpKernelConstruction*) {}
  void compute(TF_OpKernelContext* ctx) {
    const Input x(ctx, 0, "x");
    const int64_t n = x.shaped({-1, -1, -1}).rows();
    const SquaringView<T> shape{x.dim(1, 0, kMaxSide), x.dim(2, 0, kMaxSide), nullptr};
    T* out = allocate_output<T>(ctx, 0, {n, shape.rows, shape.columns});
    const int64_t size = shape.rows * shape.columns;
    if (size == 0) return;
    parallel_dynamic(n, [&](auto next) {
      std::vector<T> scratch(shape.scratch_size());
      const SquaringView<T> view{shape.rows, shape.columns, scratch.data()};
      for (int64_t k = next(); k < n; k = next())
        kernels_of<T>().newton_schulz(view, x.data<T>() + k * size, out + k * size);
    });
  }
};

const bool registered = [] {
  register_op({"DdOrthogonal", {"T: {float, double}"}, {"x: T"}, {"y: T"}});
  register_float_kernels<Orthogonal>("DdOrthogonal");
  return true;
}();

}  // namespace
}  // namespace dd
