#include "session.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <sstream>

#include "graph_scan.h"
#include "tensorflow/core/platform/ctstring.h"

namespace dd {
namespace {

constexpr int64_t kMaxFile = (int64_t(1) << 31) - 1;  // what protocol buffers take

constexpr int64_t kMaxElements = int64_t(1) << 31;    // of one tensor, as in graph_scan.cc

using Text = std::unique_ptr<char, decltype(&std::free)>;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// The folder of this library, also where it is reached through a link; ends in /.
std::string library_folder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&library_folder), &info) || !info.dli_fname)
    throw std::runtime_error("cannot find the folder of libdeepdensity_c.so");
  const Text real(realpath(info.dli_fname, nullptr), &std::free);
  const std::string path = real ? real.get() : info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

std::string op_library() { return library_folder() + "libdeepdensity_op.so"; }

// What a function of the loaded op library says (op/library.cc), `otherwise` without it.
int ask_op_library(const char* function, int otherwise) {
  void* handle = dlopen(op_library().c_str(), RTLD_NOW | RTLD_NOLOAD);
  const auto ask = handle ? reinterpret_cast<int (*)()>(dlsym(handle, function)) : nullptr;
  return ask ? ask() : otherwise;
}

// Loads it; the names of its operations.
std::set<std::string> load_op_library() {
  const std::string path = op_library();
  const Status status = new_status();
  TF_Library* library = TF_LoadLibrary(path.c_str(), status.get());
  if (TF_GetCode(status.get()) != TF_OK)
    throw std::runtime_error(path + ": TensorFlow " + TF_Version() + " cannot load the op library (" +
                             first_line(TF_Message(status.get())) + ")");
  const TF_Buffer list = TF_GetOpList(library);
  const std::set<std::string> names = operation_names(static_cast<const char*>(list.data), list.length);
  TF_DeleteLibraryHandle(library);  // the ops stay
  if (ask_op_library("deepdensity_is_second_copy", 0))
    throw std::runtime_error(path + ": another copy of the op library is in this process, expected one; use a "
                             "single installation of deepdensity_tf");
  return names;
}

// A serialized ConfigProto, chosen as in deepdensity_tf/infer/session.py.
std::string config_of(bool pair_net, bool ensemble) {
  std::string config = pair_net ? std::string("R\x04R\x02`\x01")          // meta_optimizer_iterations: ONE
                                : std::string("R\x05R\x03\x98\x01\x01");  // disable_meta_optimizer: true
  if (!ensemble) return config;
  // Else the first session of the process would settle the threads of all TensorFlow in it.
  setenv("TF_OVERRIDE_GLOBAL_THREADPOOL", "1", 0);
  constexpr int kMembers = 4;  // of an ensemble, mostly: each operation gets a share of the cores
  config += '\x10';  // intra_op_parallelism_threads
  config += static_cast<char>(std::clamp(ask_op_library("deepdensity_num_threads", 1) / kMembers, 1, 127));
  return config;
}

// Pipes and devices may have no end, and opening a pipe waits for who writes it.
std::string read_file(const std::string& path) {
  const auto fail = [&](const std::string& reason) -> BadModel {
    return BadModel(path + ": " + reason + ", expected a frozen model");
  };
  const auto unreadable = [&] { return fail(std::string("cannot be read (") + std::strerror(errno) + ")"); };
  const int descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) throw errno == ENOENT ? fail("no such file") : unreadable();
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fdopen(descriptor, "rb"), &std::fclose);
  struct stat facts;
  if (!file || fstat(descriptor, &facts) != 0) throw unreadable();
  if (S_ISDIR(facts.st_mode)) errno = EISDIR;
  if (S_ISDIR(facts.st_mode)) throw unreadable();
  if (!S_ISREG(facts.st_mode)) throw fail("not a regular file");
  if (facts.st_size > kMaxFile) throw fail("of " + std::to_string(facts.st_size) + " bytes, too large for a graph");
  std::string content(static_cast<size_t>(facts.st_size), '\0');
  content.resize(std::fread(&content[0], 1, content.size(), file.get()));
  if (std::ferror(file.get())) throw unreadable();
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

std::string model_file(const std::string& given) {
  if (given.find('/') != std::string::npos || access(given.c_str(), F_OK) == 0) return given;
  const std::string shipped = library_folder() + "../models/" + given + ".pb";
  return access(shipped.c_str(), F_OK) == 0 ? shipped : given;
}

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

std::string fault_of(const char* graph, size_t size) {
  // Operations that compute tensors from tensors and nothing else (deepdensity_tf/utils/known_ops.txt), and our own.
  static const std::set<std::string> known = [] {
    std::set<std::string> names = load_op_library();  // tried again by the next call if it throws
    std::istringstream listed(DD_KNOWN_OPS);
    for (std::string name; listed >> name;) names.insert(name);
    return names;
  }();
  return graph_fault(graph, size, [](const std::string& name) { return known.count(name) > 0; });
}

Session::Session(const std::string& path) : path_(path), graph_(TF_NewGraph()) {
  const std::string content = read_file(path);
  const std::string fault = fault_of(content.data(), content.size());
  if (!fault.empty()) throw BadModel(path + ": " + fault);
  const TF_Buffer buffer = {content.data(), content.size(), nullptr};
  const Status status = new_status();
  const std::unique_ptr<TF_ImportGraphDefOptions, decltype(&TF_DeleteImportGraphDefOptions)> options(
      TF_NewImportGraphDefOptions(), &TF_DeleteImportGraphDefOptions);
  TF_GraphImportGraphDef(graph_.get(), &buffer, options.get(), status.get());
  if (TF_GetCode(status.get()) != TF_OK)
    throw BadModel(path + ": not a usable graph (" + first_line(TF_Message(status.get())) + ")");
  const std::unique_ptr<TF_SessionOptions, decltype(&TF_DeleteSessionOptions)> session_options(
      TF_NewSessionOptions(), &TF_DeleteSessionOptions);
  const std::string config = config_of(has("o_neighbors"), has("o_deviation"));
  TF_SetConfig(session_options.get(), config.data(), config.size(), status.get());
  check(status);
  check_shapes();
  session_.reset(TF_NewSession(graph_.get(), session_options.get(), status.get()));
  check(status);
}

// Shapes that TensorFlow has inferred. A tensor without elements may have any other dimensions, and the process ends
// where an operation is left with these. As in deepdensity_tf/infer/session.py.
void Session::check_shapes() const {
  const Status status = new_status();
  size_t position = 0;
  while (TF_Operation* operation = TF_GraphNextOperation(graph_.get(), &position))
    for (int k = 0; k < TF_OperationNumOutputs(operation); ++k) {
      const TF_Output output = {operation, k};
      const int axes = TF_GraphGetTensorNumDims(graph_.get(), output, status.get());
      check(status);
      if (axes < 0) continue;  // not known before it runs
      std::vector<int64_t> dims(axes);
      TF_GraphGetTensorShape(graph_.get(), output, dims.data(), axes, status.get());
      check(status);
      int64_t elements = 1;
      for (const int64_t n : dims)
        if (__builtin_mul_overflow(elements, std::max<int64_t>(n, 1), &elements) || elements > kMaxElements)
          throw BadModel(path_ + ": refused: makes a shape of more than " + std::to_string(kMaxElements) +
                         " elements (node '" + TF_OperationName(operation) + "')");
    }
}

bool Session::has(const std::string& name) const {
  return TF_GraphOperationByName(graph_.get(), name.c_str()) != nullptr;
}

TF_Output Session::tensor(const std::string& name, TF_DataType type, int axes) const {
  TF_Operation* operation = TF_GraphOperationByName(graph_.get(), name.c_str());
  if (!operation || TF_OperationNumOutputs(operation) < 1 || TF_OperationOutputType({operation, 0}) != type)
    throw BadModel(path_ + ": has no tensor " + name + ", expected a model frozen by dd-tf freeze");
  if (axes < 0) return {operation, 0};
  const Status status = new_status();
  const int found = TF_GraphGetTensorNumDims(graph_.get(), {operation, 0}, status.get());
  check(status);
  if (found >= 0 && found != axes)  // below 0: not known before it runs
    throw BadModel(path_ + ": tensor " + name + " has " + std::to_string(found) + " axes, expected " +
                   std::to_string(axes));
  return {operation, 0};
}

int64_t Session::last_axis(const std::string& name) const {
  const TF_Output output = {TF_GraphOperationByName(graph_.get(), name.c_str()), 0};
  const Status status = new_status();
  const int axes = TF_GraphGetTensorNumDims(graph_.get(), output, status.get());
  check(status);
  std::vector<int64_t> dims(std::max(axes, 0));
  if (axes > 0) TF_GraphGetTensorShape(graph_.get(), output, dims.data(), axes, status.get());
  check(status);
  if (dims.empty() || dims.back() <= 0)
    throw BadModel(path_ + ": tensor " + name + " does not say how many numbers it holds");
  return dims.back();
}

std::vector<TF_Output> Session::tensors_under(const std::string& prefix) const {
  std::vector<TF_Output> found;
  size_t position = 0;
  while (TF_Operation* operation = TF_GraphNextOperation(graph_.get(), &position)) {
    const std::string name = TF_OperationName(operation);
    const bool inside = name.compare(0, prefix.size() + 1, prefix + "/") == 0;
    if (!inside || name.find('/', prefix.size() + 1) != std::string::npos) continue;
    if (TF_OperationNumOutputs(operation) < 1)
      throw BadModel(path_ + ": has no tensor " + name + ", expected a model frozen by dd-tf freeze");
    found.push_back({operation, 0});
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
