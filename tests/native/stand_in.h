// What the op library needs of TensorFlow, in a few lines: its code runs here without TensorFlow, so that
// sanitizers, other compilers and an emulator see it whole and alone.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensorflow/c/kernels.h"

namespace stand_in {

// An array of exactly its bytes: sanitizers see the first one past its end.
class Array {
 public:
  Array(TF_DataType type, std::vector<int64_t> dims);

  TF_DataType type;
  std::vector<int64_t> dims;

  int64_t size() const;
  template <typename T> T* data() const { return static_cast<T*>(data_.get()); }

 private:
  std::shared_ptr<void> data_;
};

// Attributes; "T" is the type that chooses the kernel.
using Attributes = std::map<std::string, int64_t>;

struct Answer {
  TF_Code code = TF_OK;
  std::string message;
  std::vector<Array> outputs;
};

// Makes the kernel of an op and runs it once.
Answer call(const std::string& op, const std::vector<Array>& inputs, const Attributes& attributes = {});

// An output larger than this fails as if the memory were at its end.
constexpr int64_t kMostBytes = int64_t{1} << 28;

}  // namespace stand_in
