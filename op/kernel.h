// Thin RAII layer over TensorFlow's C kernel interface (tensorflow/c/kernels.h).
//
// Only C symbols cross the border, so one build of this library serves every TensorFlow that
// offers the interface, whatever C++ ABI it was built with.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

#include "handles.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

namespace dd {

inline std::string shape_text(const TF_Tensor* t) {
  std::string text = "(";
  for (int d = 0; d < TF_NumDims(t); ++d) {
    if (d) text += ", ";
    text += std::to_string(TF_Dim(t, d));
  }
  return text + ")";
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
  int64_t size() const { return TF_TensorElementCount(tensor_.get()); }
  const std::string& name() const { return name_; }

  // Checks the shape; -1 stands for any length.
  const Input& shaped(std::initializer_list<int64_t> wanted) const {
    bool ok = TF_NumDims(tensor_.get()) == static_cast<int>(wanted.size());
    std::string text = "(";
    int d = 0;
    for (int64_t n : wanted) {
      if (ok && n >= 0 && dim(d) != n) ok = false;
      if (d) text += ", ";
      text += n < 0 ? "any" : std::to_string(n);
      ++d;
    }
    require(ok, name_ + " has shape " + shape_text(tensor_.get()) + ", expected " + text + ")");
    return *this;
  }

  // Checks that a float64 input holds no NaN or infinity.
  const Input& finite() const { return within(std::numeric_limits<double>::max(), " is not finite in row "); }

  // Checks that a float64 input holds lengths (Å) that arithmetic can wrap into a cell.
  const Input& lengths() const { return finite().within(1e9, " is beyond 1e9 Å in row "); }

  double scalar() const {
    shaped({});
    return data<double>()[0];
  }

 private:
  const Input& within(double limit, const char* complaint) const {
    const double* x = data<double>();
    const int64_t n = size();
    for (int64_t i = 0; i < n; ++i) {
      if (!(std::abs(x[i]) <= limit)) {
        const int64_t width = TF_NumDims(tensor_.get()) > 1
                                  ? dim(TF_NumDims(tensor_.get()) - 1) : 1;
        throw InvalidArgument(name_ + complaint + std::to_string(i / width));
      }
    }
    return *this;
  }

  std::string name_;
  Tensor tensor_;
};

template <typename T>
T* allocate_output(TF_OpKernelContext* ctx, int index, std::initializer_list<int64_t> shape) {
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
  require(low <= value && value <= high, std::string(name) + " is " + std::to_string(value) + ", expected " +
                                             std::to_string(low) + " to " + std::to_string(high));
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

inline void register_op(const OpSpec& spec) {
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
