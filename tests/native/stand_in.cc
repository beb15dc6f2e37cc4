#include "stand_in.h"

#include <algorithm>
#include <cstdio>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/ops.h"

using stand_in::Answer;
using stand_in::Array;
using stand_in::Attributes;

struct TSL_Status {  // TF_Status by another name
  TF_Code code = TF_OK;
  std::string message;
};

struct TF_Tensor {
  Array array;
};

struct TF_OpDefinitionBuilder {};

struct TF_KernelBuilder {
  int64_t type = -1;  // any
  void* (*create)(TF_OpKernelConstruction*);
  void (*compute)(void*, TF_OpKernelContext*);
  void (*destroy)(void*);
};

struct TF_OpKernelConstruction {
  const Attributes& attributes;
  TF_Status status;
};

struct TF_OpKernelContext {
  const std::vector<Array>& inputs;
  std::vector<std::unique_ptr<Array>> outputs;
  TF_Status status;
};

namespace {

std::multimap<std::string, TF_KernelBuilder>& registry() {
  static auto& kernels = *new std::multimap<std::string, TF_KernelBuilder>;
  return kernels;
}

size_t size_of(TF_DataType type) { return type == TF_DOUBLE ? 8 : 4; }

void set(TF_Status* status, TF_Code code, const std::string& message) { status->code = code, status->message = message; }

}  // namespace

extern "C" {

TF_Status* TF_NewStatus() { return new TF_Status; }
void TF_DeleteStatus(TF_Status* s) { delete s; }
TF_Code TF_GetCode(const TF_Status* s) { return s->code; }
const char* TF_Message(const TF_Status* s) { return s->message.c_str(); }
void TF_SetStatus(TF_Status* s, TF_Code code, const char* message) { set(s, code, message); }

void TF_DeleteTensor(TF_Tensor* t) { delete t; }
int TF_NumDims(const TF_Tensor* t) { return static_cast<int>(t->array.dims.size()); }
int64_t TF_Dim(const TF_Tensor* t, int d) { return t->array.dims.at(d); }
int64_t TF_TensorElementCount(const TF_Tensor* t) { return t->array.size(); }
void* TF_TensorData(const TF_Tensor* t) { return t->array.data<void>(); }

void TF_DeleteBuffer(TF_Buffer*) {}

TF_OpDefinitionBuilder* TF_NewOpDefinitionBuilder(const char*) { return new TF_OpDefinitionBuilder; }
void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder*, const char*) {}
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder*, const char*) {}
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder*, const char*) {}
void TF_OpDefinitionBuilderSetShapeInferenceFunction(TF_OpDefinitionBuilder*,
                                                     void (*)(TF_ShapeInferenceContext*, TF_Status*)) {}
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder* b, TF_Status*) { delete b; }
void TF_ShapeInferenceContextSetUnknownShape(TF_ShapeInferenceContext*, TF_Status*) {}

TF_KernelBuilder* TF_NewKernelBuilder(const char*, const char*, void* (*create)(TF_OpKernelConstruction*),
                                      void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*)) {
  return new TF_KernelBuilder{-1, create, compute, destroy};
}
void TF_KernelBuilder_TypeConstraint(TF_KernelBuilder* b, const char*, const TF_DataType type, TF_Status*) {
  b->type = type;
}
void TF_RegisterKernelBuilder(const char* op, TF_KernelBuilder* b, TF_Status*) {
  registry().emplace(op, *b);
  delete b;
}

void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction* c, const char* name, int64_t* value, TF_Status* s) {
  const auto found = c->attributes.find(name);
  if (found == c->attributes.end()) return set(s, TF_INTERNAL, "no such attribute");
  *value = found->second;
}
void TF_OpKernelConstruction_GetAttrBool(TF_OpKernelConstruction* c, const char* name, TF_Bool* value, TF_Status* s) {
  int64_t number = 0;
  TF_OpKernelConstruction_GetAttrInt64(c, name, &number, s);
  *value = number != 0;
}
void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction* c, TF_Status* s) { c->status = *s; }

void TF_GetInput(TF_OpKernelContext* c, int i, TF_Tensor** tensor, TF_Status*) {
  *tensor = new TF_Tensor{c->inputs.at(i)};
}
void TF_OpKernelContext_Failure(TF_OpKernelContext* c, TF_Status* s) { c->status = *s; }
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext* c, int index, TF_DataType type, const int64_t* dims, int ndims,
                             size_t bytes, TF_Status* s) {
  // The library has checked what it asks for: what would end the process in TensorFlow does so here.
  int64_t padded = 1, size = static_cast<int64_t>(size_of(type));
  for (int d = 0; d < ndims; ++d) {
    if (dims[d] < 0 || __builtin_mul_overflow(padded, dims[d] ? dims[d] : 1, &padded)) std::abort();
    size *= dims[d];
  }
  if (size != static_cast<int64_t>(bytes)) std::abort();
  if (size > stand_in::kMostBytes) {
    set(s, TF_RESOURCE_EXHAUSTED, "out of memory");
    return nullptr;
  }
  c->outputs.resize(std::max<size_t>(c->outputs.size(), index + 1));
  c->outputs[index].reset(new Array(type, {dims, dims + ndims}));
  return new TF_Tensor{*c->outputs[index]};
}
}

namespace stand_in {

Array::Array(TF_DataType type, std::vector<int64_t> dims) : type(type), dims(std::move(dims)) {
  const size_t bytes = static_cast<size_t>(size()) * size_of(type);
  if (bytes) data_.reset(std::malloc(bytes), &std::free);  // TensorFlow too has no bytes for no elements
}

int64_t Array::size() const {
  int64_t size = 1;
  for (const int64_t n : dims) size = n ? size * n : 0;
  return size;
}

Answer call(const std::string& op, const std::vector<Array>& inputs, const Attributes& attributes) {
  const auto type = attributes.find("T");
  const auto range = registry().equal_range(op);
  for (auto it = range.first; it != range.second; ++it) {
    const TF_KernelBuilder& kernel = it->second;
    if (kernel.type >= 0 && (type == attributes.end() || type->second != kernel.type)) continue;
    TF_OpKernelConstruction construction{attributes, {}};
    void* made = kernel.create(&construction);
    if (!made) return {construction.status.code, construction.status.message, {}};
    TF_OpKernelContext context{inputs, {}, {}};
    kernel.compute(made, &context);
    kernel.destroy(made);
    Answer answer{context.status.code, context.status.message, {}};
    if (answer.code == TF_OK)
      for (const auto& output : context.outputs) answer.outputs.push_back(*output);
    return answer;
  }
  std::fprintf(stderr, "no kernel of %s\n", op.c_str());
  std::abort();
}

}  // namespace stand_in
