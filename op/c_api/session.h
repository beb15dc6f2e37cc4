// A frozen graph in a TensorFlow session, on TensorFlow's C interface (tensorflow/c/c_api.h); in Python
// deepdensity_tf/infer/session.py.
#pragma once

#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../handles.h"
#include "tensorflow/c/c_api.h"

namespace dd {

// The file is no frozen model of a known version.
struct BadModel : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct GraphDeleter {
  void operator()(TF_Graph* g) const { TF_DeleteGraph(g); }
};
struct SessionDeleter {
  void operator()(TF_Session* s) const {
    TF_CloseSession(s, new_status().get());
    TF_DeleteSession(s, new_status().get());
  }
};

// Tensors by the graph's names: what a run is fed with.
struct Feeds {
  std::vector<TF_Output> names;
  std::vector<TF_Tensor*> values;  // owned elsewhere

  void add(TF_Output name, const Tensor& value) {
    names.push_back(name);
    values.push_back(value.get());
  }
};

Tensor new_tensor(TF_DataType type, std::initializer_list<int64_t> shape);

template <typename T> Tensor copied_tensor(const T* data, std::initializer_list<int64_t> shape);

// What speaks against the bytes of a foreign graph; "" if nothing does. Loads the op library (once a process).
std::string fault_of(const char* graph, size_t size);

// The file of a model: the one given, or that of a shipped model of this name where no such file exists; as
// deepdensity_tf/utils/shipped.py.
std::string model_file(const std::string& given);

class Session {
 public:
  // The graph of a file, judged first. Throws BadModel.
  explicit Session(const std::string& path);

  // The first output of an operation; throws BadModel if there is none of this type, or one known to have another
  // number of axes.
  TF_Output tensor(const std::string& name, TF_DataType type, int axes = -1) const;
  bool has(const std::string& name) const;
  // Length of the last axis of a tensor's first output; throws BadModel where the graph does not say.
  int64_t last_axis(const std::string& name) const;
  // The first outputs of the operations PREFIX/NAME; throws BadModel where one has none.
  std::vector<TF_Output> tensors_under(const std::string& prefix) const;

  // Safe to call from several threads at a time.
  std::vector<Tensor> run(const std::vector<TF_Output>& fetches, const Feeds& feeds) const;

  // Constants of the graph, numbers above 0. Throw BadModel if missing or not one value of the type.
  std::string text(const std::string& name) const;
  double number(const std::string& name) const;
  int32_t integer(const std::string& name) const;

 private:
  template <typename T> T positive(const std::string& name, T value) const;
  Tensor scalar(const std::string& name, TF_DataType type) const;
  void check_shapes() const;

  std::string path_;
  std::unique_ptr<TF_Graph, GraphDeleter> graph_;
  std::unique_ptr<TF_Session, SessionDeleter> session_;
};

}  // namespace dd
