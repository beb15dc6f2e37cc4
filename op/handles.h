// Owners of TensorFlow's C objects, and its status as exceptions.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "tensorflow/c/tf_datatype.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

namespace dd {

// An argument is malformed: becomes TensorFlow's InvalidArgument in an op, DD_INVALID_ARGUMENT in
// the C library.
struct InvalidArgument : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline const std::string& text_of(const std::string& part) { return part; }
inline const char* text_of(const char* part) { return part; }
template <typename Number, typename = std::enable_if_t<std::is_arithmetic<Number>::value>>
std::string text_of(Number part) {
  return std::to_string(part);
}

// Text and numbers, one after the other.
template <typename... Parts> std::string joined(const Parts&... parts) {
  std::string text;
  (text += ... += text_of(parts));
  return text;
}

// The message is put together only where it is needed: checks stand in loops over atoms and points.
template <typename... Parts> void require(bool ok, const Parts&... message) {
  if (__builtin_expect(!ok, 0)) throw InvalidArgument(joined(message...));
}

struct StatusDeleter {
  void operator()(TF_Status* s) const { TF_DeleteStatus(s); }
};
struct TensorDeleter {
  void operator()(TF_Tensor* t) const { TF_DeleteTensor(t); }
};
using Status = std::unique_ptr<TF_Status, StatusDeleter>;
using Tensor = std::unique_ptr<TF_Tensor, TensorDeleter>;

inline Status new_status() { return Status(TF_NewStatus()); }

inline void check(const Status& status) {
  if (TF_GetCode(status.get()) != TF_OK) throw std::runtime_error(TF_Message(status.get()));
}

template <typename T> struct TypeOf;
template <> struct TypeOf<float> { static constexpr TF_DataType value = TF_FLOAT; };
template <> struct TypeOf<double> { static constexpr TF_DataType value = TF_DOUBLE; };
template <> struct TypeOf<int32_t> { static constexpr TF_DataType value = TF_INT32; };

}  // namespace dd
