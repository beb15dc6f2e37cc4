#include "session.h"

#include <dlfcn.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "tensorflow/core/platform/ctstring.h"

namespace dd {
namespace {

using Text = std::unique_ptr<char, decltype(&std::free)>;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// The op library lies beside this one, also where this one is reached through a link.
std::string op_library_path() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&op_library_path), &info) || !info.dli_fname)
    throw std::runtime_error("cannot find the folder of libdeepdensity_c.so");
  const Text real(realpath(info.dli_fname, nullptr), &std::free);
  const std::string path = real ? real.get() : info.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + "libdeepdensity_op.so";
}

bool load_op_library() {
  const std::string path = op_library_path();
  const Status status = new_status();
  TF_Library* library = TF_LoadLibrary(path.c_str(), status.get());
  if (TF_GetCode(status.get()) != TF_OK)
    throw std::runtime_error(path + ": TensorFlow " + TF_Version() + " cannot load the op library (" +
                             first_line(TF_Message(status.get())) + ")");
  TF_DeleteLibraryHandle(library);  // the ops stay
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  const auto second = handle ? reinterpret_cast<int (*)()>(dlsym(handle, "deepdensity_is_second_copy")) : nullptr;
  if (second && second())
    throw std::runtime_error(path + ": another copy of the op library is in this process, expected one; use a "
                             "single installation of deepdensity_tf");
  return true;
}

// Operations that compute tensors from tensors and nothing else (deepdensity_tf/utils/known_ops.txt),
// and those of the op library.
bool is_known(const std::string& type) {
  static const std::string known = " " DD_KNOWN_OPS " ";
  return type.compare(0, 2, "Dd") == 0 || known.find(" " + type + " ") != std::string::npos;
}

std::string read_file(const std::string& path) {
  errno = 0;
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  std::string content;
  char block[1 << 16];
  while (file) {
    const size_t size = std::fread(block, 1, sizeof block, file.get());
    if (size == 0) break;
    content.append(block, size);
  }
  if (errno == ENOENT) throw BadModel(path + ": no such file, expected a frozen model");
  if (!file || std::ferror(file.get()))
    throw BadModel(path + ": cannot be read (" + std::strerror(errno) + "), expected a frozen model");
  return content;
}

// The op's own line of an error, without TensorFlow's account of where it arose.
std::string own_message(const std::string& message) {
  const size_t several = message.find("\n  (0) ");  // "2 root error(s) found."
  if (several == std::string::npos) return first_line(message);
  const std::string line = first_line(message.substr(several + 7));
  const size_t code = line.find(": ");
  return code == std::string::npos ? line : line.substr(code + 2);
}

void check_run(const Status& status) {
  const TF_Code code = TF_GetCode(status.get());
  if (code == TF_OK) return;
  if (code == TF_RESOURCE_EXHAUSTED) throw std::bad_alloc();
  const std::string message = own_message(TF_Message(status.get()));
  if (code == TF_INVALID_ARGUMENT) throw InvalidArgument(message);
  throw std::runtime_error(message);
}

}  // namespace

Tensor new_tensor(TF_DataType type, std::initializer_list<int64_t> shape) {
  size_t bytes = TF_DataTypeSize(type);
  for (int64_t n : shape) bytes *= static_cast<size_t>(n);
  Tensor tensor(TF_AllocateTensor(type, shape.begin(), static_cast<int>(shape.size()), bytes));
  if (!tensor) throw std::bad_alloc();
  return tensor;
}

template <typename T> Tensor copied_tensor(const T* data, std::initializer_list<int64_t> shape) {
  Tensor tensor = new_tensor(TypeOf<T>::value, shape);
  const size_t bytes = TF_TensorByteSize(tensor.get());
  if (bytes) std::memcpy(TF_TensorData(tensor.get()), data, bytes);
  return tensor;
}
template Tensor copied_tensor(const double*, std::initializer_list<int64_t>);
template Tensor copied_tensor(const int32_t*, std::initializer_list<int64_t>);

Session::Session(const std::string& path) : path_(path), graph_(TF_NewGraph()) {
  static const bool loaded = load_op_library();  // tried again by the next model if it throws
  static_cast<void>(loaded);
  const std::string content = read_file(path);
  const TF_Buffer buffer = {content.data(), content.size(), nullptr};
  const Status status = new_status();
  const std::unique_ptr<TF_ImportGraphDefOptions, decltype(&TF_DeleteImportGraphDefOptions)> options(
      TF_NewImportGraphDefOptions(), &TF_DeleteImportGraphDefOptions);
  TF_GraphImportGraphDef(graph_.get(), &buffer, options.get(), status.get());
  if (TF_GetCode(status.get()) != TF_OK) {
    const std::string reason = first_line(TF_Message(status.get()));
    // TensorFlow's words for bytes that are no GraphDef.
    if (reason.find("Invalid GraphDef") != std::string::npos)
      throw BadModel(path + ": not a graph or truncated, expected a frozen model");
    throw BadModel(path + ": not a usable graph (" + reason + ")");
  }
  check_operations();
  const std::unique_ptr<TF_SessionOptions, decltype(&TF_DeleteSessionOptions)> session_options(
      TF_NewSessionOptions(), &TF_DeleteSessionOptions);
  session_.reset(TF_NewSession(graph_.get(), session_options.get(), status.get()));
  check(status);
}

// A graph is a program: whatever does more than compute is refused before it can run.
void Session::check_operations() const {
  std::vector<std::string> refused;
  size_t position = 0, count = 0;
  while (TF_Operation* operation = TF_GraphNextOperation(graph_.get(), &position)) {
    ++count;
    const std::string type = TF_OperationOpType(operation);
    if (!is_known(type)) refused.push_back("operation '" + type + "' (node '" + TF_OperationName(operation) + "')");
  }
  if (count == 0) throw BadModel(path_ + ": an empty graph, expected a frozen model");
  if (TF_GraphNumFunctions(graph_.get()) > 0) refused.push_back("functions");
  if (refused.empty()) return;
  const std::string more = refused.size() > 1 ? " and " + std::to_string(refused.size() - 1) + " more" : "";
  throw BadModel(path_ + ": refused: holds " + refused[0] + more +
                 ", expected a model frozen by dd-tf freeze, which only computes");
}

bool Session::has(const std::string& name) const {
  return TF_GraphOperationByName(graph_.get(), name.c_str()) != nullptr;
}

TF_Output Session::tensor(const std::string& name, TF_DataType type) const {
  TF_Operation* operation = TF_GraphOperationByName(graph_.get(), name.c_str());
  if (!operation || TF_OperationNumOutputs(operation) < 1 || TF_OperationOutputType({operation, 0}) != type)
    throw BadModel(path_ + ": has no tensor " + name + ", expected a model frozen by dd-tf freeze");
  return {operation, 0};
}

std::vector<TF_Output> Session::tensors_under(const std::string& prefix) const {
  std::vector<TF_Output> found;
  size_t position = 0;
  while (TF_Operation* operation = TF_GraphNextOperation(graph_.get(), &position)) {
    const std::string name = TF_OperationName(operation);
    const bool inside = name.compare(0, prefix.size() + 1, prefix + "/") == 0;
    if (inside && name.find('/', prefix.size() + 1) == std::string::npos) found.push_back({operation, 0});
  }
  return found;
}

std::vector<Tensor> Session::run(const std::vector<TF_Output>& fetches, const Feeds& feeds) const {
  const Status status = new_status();
  std::vector<TF_Tensor*> raw(fetches.size(), nullptr);
  std::vector<Tensor> values(fetches.size());
  TF_SessionRun(session_.get(), nullptr, feeds.names.data(), feeds.values.data(),
                static_cast<int>(feeds.names.size()), fetches.data(), raw.data(),
                static_cast<int>(fetches.size()), nullptr, 0, nullptr, status.get());
  for (size_t i = 0; i < raw.size(); ++i) values[i].reset(raw[i]);
  check_run(status);
  return values;
}

Tensor Session::scalar(const std::string& name, TF_DataType type) const {
  Tensor value = std::move(run({tensor(name, type)}, {})[0]);
  if (TF_TensorElementCount(value.get()) != 1)
    throw BadModel(path_ + ": tensor " + name + " is not one value, expected a model frozen by dd-tf freeze");
  return value;
}

std::string Session::text(const std::string& name) const {
  const Tensor value = scalar(name, TF_STRING);
  const auto* string = static_cast<const TF_TString*>(TF_TensorData(value.get()));
  return {TF_TString_GetDataPointer(string), TF_TString_GetSize(string)};
}

double Session::number(const std::string& name) const {
  return positive(name, *static_cast<const double*>(TF_TensorData(scalar(name, TF_DOUBLE).get())));
}

int32_t Session::integer(const std::string& name) const {
  return positive(name, *static_cast<const int32_t*>(TF_TensorData(scalar(name, TF_INT32).get())));
}

template <typename T> T Session::positive(const std::string& name, T value) const {
  if (value > 0 && std::isfinite(static_cast<double>(value))) return value;
  throw BadModel(path_ + ": " + name + " is " + std::to_string(value) + ", expected a positive number");
}

}  // namespace dd
