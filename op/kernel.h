// Thin RAII layer over TensorFlow's C kernel interface (tensorflow/c/kernels.h).
//
// Only C symbols cross the border, so one build of this library serves every TensorFlow that
// offers the interface, whatever C++ ABI it was built with.
#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "handles.h"
#include "threads.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

namespace dd {

// A shape in words; -1 stands for any length.
template <typename Dims> std::string shape_text(const Dims& dims) {
  std::string text;
  for (const int64_t n : dims) text += (text.empty() ? "" : ", ") + (n < 0 ? "any" : std::to_string(n));
  return "(" + text + ")";
}

// Bounds of what an op takes and makes, so that numbers of rows fit an int32 and arithmetic on sizes an
// int64: the one gate for dimensions.
constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxBytes = int64_t{1} << 50;

// Bytes of an array. Whoever asks for more than any machine has gets what a failed malloc gives.
template <typename T> int64_t checked_bytes(std::initializer_list<int64_t> shape) {
  int64_t bytes = sizeof(T);
  for (const int64_t n : shape)
    // Dimensions of 0 do not hide others: TensorFlow multiplies them one by one and aborts on overflow.
    if (n < 0 || __builtin_mul_overflow(bytes, std::max<int64_t>(n, 1), &bytes) || bytes > kMaxBytes)
      throw std::bad_alloc();
  return bytes;
}

// One input of an op, with the name that error messages use.
class Input {
 public:
  Input(TF_OpKernelContext* ctx, int index, const char* name) : name_(name) {
    auto status = new_status();
    TF_Tensor* raw = nullptr;
    TF_GetInput(ctx, index, &raw, status.get());
    check(status);
    tensor_.reset(raw);
  }

  template <typename T> const T* data() const {
    return static_cast<const T*>(TF_TensorData(tensor_.get()));
  }
  int64_t dim(int d) const { return TF_Dim(tensor_.get(), d); }
  // A dimension that must lie within [low, high], to be safe to cast and to compute with.
  int64_t dim(int d, int64_t low, int64_t high) const {
    require(low <= dim(d) && dim(d) <= high, name_, " has shape ", shape_text(), ", expected ", low, " to ", high,
            " in place ", d);
    return dim(d);
  }
  // Rows: atoms, points, pairs, frames, numbered by int32.
  int64_t rows() const { return dim(0, 0, kMaxRows); }
  int64_t size() const { return TF_TensorElementCount(tensor_.get()); }
  const std::string& name() const { return name_; }

  // Checks the shape; -1 stands for any length.
  const Input& shaped(std::initializer_list<int64_t> wanted) const {
    bool ok = TF_NumDims(tensor_.get()) == static_cast<int>(wanted.size());
    int d = 0;
    for (int64_t n : wanted) {
      if (ok && n >= 0 && dim(d) != n) ok = false;
      ++d;
    }
    if (!ok) throw InvalidArgument(joined(name_, " has shape ", shape_text(), ", expected ", dd::shape_text(wanted)));
    return *this;
  }

  // Checks that a float64 input holds no NaN or infinity.
  const Input& finite() const {
    const double limit = std::numeric_limits<double>::max();
    return all_within(limit) ? *this : within(limit, " is not finite in row ");
  }

  // Checks that a float64 input holds lengths (Å) that arithmetic can wrap into a cell.
  const Input& lengths() const { return all_within(1e9) ? *this : finite().within(1e9, " is beyond 1e9 Å in row "); }

  double scalar() const {
    shaped({});
    return data<double>()[0];
  }

 private:
  std::vector<int64_t> dims() const {
    std::vector<int64_t> all(TF_NumDims(tensor_.get()));
    for (size_t d = 0; d < all.size(); ++d) all[d] = dim(static_cast<int>(d));
    return all;
  }
  std::string shape_text() const { return dd::shape_text(dims()); }

  bool all_within(double limit) const {
    const double* x = data<double>();
    std::atomic<bool> all{true};
    parallel_for(size(), 1 << 16, [&](int64_t begin, int64_t end) {
      bool ok = true;
      for (int64_t i = begin; i < end; ++i) ok &= std::abs(x[i]) <= limit;
      if (!ok) all = false;
    });
    return all;
  }

  // Names the first that is not.
  const Input& within(double limit, const char* complaint) const {
    const double* x = data<double>();
    const int64_t n = size();
    for (int64_t i = 0; i < n; ++i) {
      if (!(std::abs(x[i]) <= limit)) {
        const int64_t width = TF_NumDims(tensor_.get()) > 1
                                  ? dim(TF_NumDims(tensor_.get()) - 1) : 1;
        throw InvalidArgument(joined(name_, complaint, i / width));
      }
    }
    return *this;
  }

  std::string name_;
  Tensor tensor_;
};

template <typename T>
T* allocate_output(TF_OpKernelContext* ctx, int index, std::initializer_list<int64_t> shape) {
  checked_bytes<T>(shape);
  auto status = new_status();
  int64_t size = 1;
  for (int64_t n : shape) size *= n;
  Tensor tensor(TF_AllocateOutput(ctx, index, TypeOf<T>::value, shape.begin(),
                                  static_cast<int>(shape.size()), size * sizeof(T), status.get()));
  if (TF_GetCode(status.get()) == TF_RESOURCE_EXHAUSTED) throw std::bad_alloc();
  check(status);
  return static_cast<T*>(TF_TensorData(tensor.get()));
}

inline int64_t int_attr(TF_OpKernelConstruction* ctx, const char* name) {
  auto status = new_status();
  int64_t value = 0;
  TF_OpKernelConstruction_GetAttrInt64(ctx, name, &value, status.get());
  check(status);
  return value;
}

// An integer attribute that must lie within [low, high].
inline int int_attr(TF_OpKernelConstruction* ctx, const char* name, int64_t low, int64_t high) {
  const int64_t value = int_attr(ctx, name);
  require(low <= value && value <= high, name, " is ", value, ", expected ", low, " to ", high);
  return static_cast<int>(value);
}

inline bool bool_attr(TF_OpKernelConstruction* ctx, const char* name) {
  auto status = new_status();
  TF_Bool value = 0;
  TF_OpKernelConstruction_GetAttrBool(ctx, name, &value, status.get());
  check(status);
  return value != 0;
}

// Adapts a C++ kernel class (constructor from TF_OpKernelConstruction*, method compute) to the
// C interface: no exception passes the border.
template <typename Kernel> struct Adapter {
  static void* create(TF_OpKernelConstruction* ctx) {
    try {
      return new Kernel(ctx);
    } catch (const std::exception& error) {
      auto status = new_status();
      TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, error.what());
      TF_OpKernelConstruction_Failure(ctx, status.get());
      return nullptr;
    }
  }
  static void compute(void* kernel, TF_OpKernelContext* ctx) {
    auto status = new_status();
    try {
      static_cast<Kernel*>(kernel)->compute(ctx);
      return;
    } catch (const InvalidArgument& error) {
      TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, error.what());
    } catch (const std::bad_alloc&) {
      TF_SetStatus(status.get(), TF_RESOURCE_EXHAUSTED, "out of memory");
    } catch (const std::exception& error) {
      TF_SetStatus(status.get(), TF_INTERNAL, error.what());
    }
    TF_OpKernelContext_Failure(ctx, status.get());
  }
  static void destroy(void* kernel) { delete static_cast<Kernel*>(kernel); }
};

struct OpSpec {
  const char* name;
  std::initializer_list<const char*> attrs, inputs, outputs;
};

inline void unknown_shapes(TF_ShapeInferenceContext* ctx, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(ctx, status);
}

// TensorFlow's list of kernels, which lies in a library that those it loads do not see in every version.
inline decltype(&TF_GetRegisteredKernelsForOp) lister_of_kernels() {
  const char* name = "TF_GetRegisteredKernelsForOp";
  void* found = dlsym(RTLD_DEFAULT, name);
  if (void* library = found ? nullptr : dlopen("libtensorflow_cc.so.2", RTLD_LAZY | RTLD_NOLOAD)) {
    found = dlsym(library, name);
    dlclose(library);
  }
  return reinterpret_cast<decltype(&TF_GetRegisteredKernelsForOp)>(found);
}

// A second copy of this library in the process would make every op ambiguous, the first copy's too: it
// registers nothing. Asked for once, before the first registration.
inline bool is_second_copy() {
  static const bool second = [] {
    const auto list = lister_of_kernels();
    if (!list) return false;
    auto status = new_status();
    const std::unique_ptr<TF_Buffer, decltype(&TF_DeleteBuffer)> kernels(list("DdTable", status.get()), &TF_DeleteBuffer);
    return TF_GetCode(status.get()) == TF_OK && kernels && kernels->length > 0;
  }();
  return second;
}

inline void register_op(const OpSpec& spec) {
  if (is_second_copy()) return;
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(spec.name);
  for (const char* text : spec.attrs) TF_OpDefinitionBuilderAddAttr(builder, text);
  for (const char* text : spec.inputs) TF_OpDefinitionBuilderAddInput(builder, text);
  for (const char* text : spec.outputs) TF_OpDefinitionBuilderAddOutput(builder, text);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, unknown_shapes);
  auto status = new_status();
  TF_RegisterOpDefinition(builder, status.get());
  if (TF_GetCode(status.get()) != TF_OK)
    std::fprintf(stderr, "deepdensity: op %s: %s\n", spec.name, TF_Message(status.get()));
}

// Registers a CPU kernel; `type` constrains the attribute T where the op has one.
template <typename Kernel> void register_kernel(const char* op, const TF_DataType* type = nullptr) {
  if (is_second_copy()) return;
  TF_KernelBuilder* builder =
      TF_NewKernelBuilder(op, "CPU", &Adapter<Kernel>::create, &Adapter<Kernel>::compute,
                          &Adapter<Kernel>::destroy);
  auto status = new_status();
  if (type) TF_KernelBuilder_TypeConstraint(builder, "T", *type, status.get());
  TF_RegisterKernelBuilder(op, builder, status.get());
  if (TF_GetCode(status.get()) != TF_OK)
    std::fprintf(stderr, "deepdensity: kernel %s: %s\n", op, TF_Message(status.get()));
}

template <template <typename> class Kernel> void register_float_kernels(const char* op) {
  register_kernel<Kernel<float>>(op, &TypeOf<float>::value);
  register_kernel<Kernel<double>>(op, &TypeOf<double>::value);
}

}  // namespace dd
