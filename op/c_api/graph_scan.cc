// Protocol buffers, read as they lie in memory: tensorflow/core/framework/{graph,node_def,attr_value,tensor,
// tensor_shape}.proto. Stricter than the format: no field twice that is not a list, no groups, so that this reader and
// TensorFlow's cannot see different things.
#include "graph_scan.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dd {
namespace {

constexpr uint64_t kMaxElements = uint64_t(1) << 31;      // of one tensor
constexpr uint64_t kMaxAxes = 8;                          // what TensorFlow's kernels take
constexpr int64_t kMaxInteger = 1 << 20;                  // attributes: counts, axes, masks
constexpr size_t kMaxDepth = 4000;                        // operations in a row: TensorFlow recurses along some
constexpr uint64_t kMaxRepeatedBytes = uint64_t(1) << 26;  // of constants beyond what the file holds

struct Malformed {};

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void demand(bool good) {
  if (!good) throw Malformed();
}

enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field;

// A message, or any run of bytes.
class Bytes {
 public:
  Bytes() = default;
  Bytes(const char* data, size_t size) : at_(reinterpret_cast<const unsigned char*>(data)), end_(at_ + size) {}

  size_t size() const { return static_cast<size_t>(end_ - at_); }
  std::string text() const { return {reinterpret_cast<const char*>(at_), size()}; }

  // The next field of the message; false at its end.
  bool next(Field* field);

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      demand(at_ < end_);
      const uint64_t byte = *at_++;
      value |= shift < 64 ? (byte & 127) << shift : 0;
      if (byte < 128) return value;
    }
    throw Malformed();
  }

 private:
  Bytes take(uint64_t count) {
    demand(count <= size());
    const Bytes taken(reinterpret_cast<const char*>(at_), static_cast<size_t>(count));
    at_ += count;
    return taken;
  }

  const unsigned char *at_ = nullptr, *end_ = nullptr;
};

struct Field {
  uint64_t number = 0;
  uint64_t wire = 0;
  uint64_t value = 0;  // of a varint
  Bytes bytes;         // of all others

  Bytes message() const {
    demand(wire == kBytes);
    return bytes;
  }
  std::string text() const { return message().text(); }
  uint64_t integer() const {
    demand(wire == kVarint);
    return value;
  }
};

bool Bytes::next(Field* field) {
  if (at_ == end_) return false;
  const uint64_t tag = varint();
  demand(tag < (uint64_t(1) << 32) && tag >> 3 != 0);
  field->number = tag >> 3;
  field->wire = tag & 7;
  if (field->wire == kVarint) {
    field->value = varint();
    return true;
  }
  demand(field->wire == kBytes || field->wire == kFixed64 || field->wire == kFixed32);
  field->bytes = take(field->wire == kBytes ? varint() : field->wire == kFixed64 ? 8 : 4);
  return true;
}

// Fields that are no lists: the second of a kind is refused.
class Once {
 public:
  void operator()(uint64_t number) { demand(number < 64 && !(seen_ >> number & 1)), seen_ |= uint64_t(1) << number; }

 private:
  uint64_t seen_ = 0;
};

// Data types that a model may hold: bytes of an element, and the field of TensorProto with its values. Not among them
// are references, resources and variants.
struct DataType {
  uint64_t number, size, field;
};
constexpr DataType kTypes[] = {
    {1, 4, 5},    // float32
    {2, 8, 6},    // float64
    {3, 4, 7},    // int32
    {4, 1, 7},    // uint8
    {5, 2, 7},    // int16
    {6, 1, 7},    // int8
    {7, 24, 8},   // string
    {8, 8, 9},    // complex64
    {9, 8, 10},   // int64
    {10, 1, 11},  // bool
    {14, 2, 13},  // bfloat16
    {17, 2, 7},   // uint16
    {18, 16, 12},  // complex128
    {19, 2, 13},  // float16
    {22, 4, 16},  // uint32
    {23, 8, 17},  // uint64
};
constexpr uint64_t kString = 7, kComplex64 = 8, kComplex128 = 18;
constexpr uint64_t kShapeField = 2, kContentField = 4;

const DataType& data_type(uint64_t number) {
  for (const DataType& type : kTypes)
    if (type.number == number) return type;
  throw Refused("data type " + std::to_string(number));
}

// How many values a field of TensorProto holds, one or many of them packed.
uint64_t count_values(const Field& field, uint64_t number) {
  const bool floats = number == 5 || number == 9, doubles = number == 6 || number == 12;
  if (number == 8) return field.message(), 1;
  if (field.wire != kBytes) {
    demand(field.wire == (floats ? kFixed32 : doubles ? kFixed64 : kVarint));
    return 1;
  }
  Bytes packed = field.bytes;
  if (floats || doubles) {
    demand(packed.size() % (floats ? 4 : 8) == 0);
    return packed.size() / (floats ? 4 : 8);
  }
  uint64_t count = 0;
  for (; packed.size(); ++count) packed.varint();
  return count;
}

// The scan of one graph; knows at which node it is.
class Scan {
 public:
  Scan(const std::function<bool(const std::string&)>& is_known, uint64_t max_bytes)
      : is_known_(is_known), max_bytes_(max_bytes) {}

  void graph(Bytes message);
  std::string verdict() const;

 private:
  void node(Bytes message);
  void attribute(Bytes entry);
  void value(Bytes message);
  void list(Bytes message);
  void message_of(const Field& field);
  void tensor(Bytes message);
  uint64_t shape(Bytes message, bool known);
  void library(Bytes message);
  void integer(uint64_t value);
  size_t depth() const;
  std::string here(const std::string& what) const;

  const std::function<bool(const std::string&)>& is_known_;
  const uint64_t max_bytes_;  // of all constants
  std::vector<std::string> refused_;
  std::set<std::string> unknown_;  // operations
  std::string node_;
  std::unordered_map<std::string, size_t> numbers_;         // of the nodes, by name
  std::vector<std::pair<size_t, std::string>> inputs_;      // (node, name of an operation)
  uint64_t nodes_ = 0, constant_bytes_ = 0;
};

// Names come from the file: as one short line.
std::string quoted(const std::string& name) {
  std::string text = name.substr(0, 80);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) c = '?';
  return "'" + text + (name.size() > 80 ? "..." : "") + "'";
}

// "^name" and "name:0" are inputs from the operation "name".
std::string operation_of(const std::string& input) {
  const size_t begin = !input.empty() && input[0] == '^';
  return input.substr(begin, input.find(':') - begin);
}

std::string Scan::here(const std::string& what) const { return what + " (node " + quoted(node_) + ")"; }

void Scan::graph(Bytes message) {
  for (Field field; message.next(&field);) {
    if (field.number == 1) node(field.message());
    if (field.number == 2) library(field.message());
  }
}

void Scan::node(Bytes message) {
  std::string op;
  std::vector<Bytes> attributes;
  Once once;
  node_.clear();
  for (Field field; message.next(&field);) {
    if (field.number == 1) once(1), node_ = field.text();
    if (field.number == 2) once(2), op = field.text();
    if (field.number == 3) inputs_.emplace_back(nodes_, operation_of(field.text()));
    if (field.number == 5) attributes.push_back(field.message());
  }
  numbers_.emplace(node_, nodes_++);
  if (!is_known_(op) && unknown_.insert(op).second) refused_.push_back(here("operation " + quoted(op)));
  try {
    for (const Bytes& entry : attributes) attribute(entry);
  } catch (const Refused& error) {
    refused_.push_back(here(error.what()));
  }
}

void Scan::attribute(Bytes entry) {
  Once once;
  for (Field field; entry.next(&field);) {
    once(field.number);
    if (field.number == 2) value(field.message());
  }
}

void Scan::value(Bytes message) {
  int kinds = 0;
  for (Field field; message.next(&field);) {
    demand(++kinds == 1);
    switch (field.number) {
      case 1:
        list(field.message());
        break;
      case 3:
        integer(field.integer());
        break;
      case 6:
        data_type(field.integer());
        break;
      case 10:
        throw Refused("a function in an attribute");
      default:
        message_of(field);
    }
  }
}

void Scan::list(Bytes message) {
  for (Field field; message.next(&field);) {
    Bytes packed = field.wire == kBytes ? field.bytes : Bytes();
    const auto each = [&](auto judge) {
      if (field.wire == kVarint) judge(field.value);
      while (packed.size()) judge(packed.varint());
    };
    switch (field.number) {
      case 3:
        each([&](uint64_t value) { integer(value); });
        break;
      case 6:
        each([&](uint64_t value) { data_type(value); });
        break;
      default:
        message_of(field);
    }
  }
}

// What a value and a list of values hold under the same numbers.
void Scan::message_of(const Field& field) {
  switch (field.number) {
    case 7:
      shape(field.message(), false);
      break;
    case 8:
      tensor(field.message());
      break;
    case 9:
      throw Refused("a function in an attribute");
  }
}

void Scan::integer(uint64_t value) {
  const int64_t number = static_cast<int64_t>(value);
  if (number < -kMaxInteger || number > kMaxInteger)
    throw Refused("the number " + std::to_string(number) + " in an attribute");
}

// The number of elements, axes without any left out of the product: a sum over an empty axis has all others.
uint64_t Scan::shape(Bytes message, bool known) {
  uint64_t elements = 1, axes = 0;
  bool empty = false;
  for (Field field; message.next(&field);) {
    if (field.number == 3 && field.integer() && known) throw Refused("a constant of unknown shape");
    if (field.number != 2) continue;
    int64_t size = 0;
    Once once;
    Bytes axis = field.message();
    for (Field part; axis.next(&part);) {
      once(part.number);
      if (part.number == 1) size = static_cast<int64_t>(part.integer());
    }
    if (size < (known ? 0 : -1)) throw Refused("a shape with " + std::to_string(size));
    if (++axes > kMaxAxes) throw Refused("a shape of more than " + std::to_string(kMaxAxes) + " axes");
    empty = empty || size == 0;
    if (size > 0 && __builtin_mul_overflow(elements, static_cast<uint64_t>(size), &elements)) elements = kMaxElements + 1;
    if (elements > kMaxElements) throw Refused("a shape of more than " + std::to_string(kMaxElements) + " elements");
  }
  return empty ? 0 : elements;
}

void Scan::tensor(Bytes message) {
  uint64_t elements = 1, values = 0;
  bool whole = false;
  std::vector<Field> fields;
  const DataType* type = nullptr;
  Once once;
  for (Field field; message.next(&field);) {
    fields.push_back(field);
    if (field.number == 1) once(1), type = &data_type(field.integer());
  }
  if (!type) throw Refused("a constant without data type");
  for (const Field& field : fields) {
    if (field.number == kShapeField) {
      once(kShapeField);
      elements = shape(field.message(), true);
    } else if (field.number == kContentField) {
      once(kContentField);
      whole = field.message().size() > 0;
      if (whole && (type->number == kString || field.bytes.size() % type->size)) throw Refused("a damaged constant");
      if (whole) values += field.bytes.size() / type->size;
    } else if (field.number == type->field) {
      values += count_values(field, type->field);
    } else if (field.number > kContentField) {
      throw Refused("a constant with values of another data type");
    }
  }
  if (!whole && (type->number == kComplex64 || type->number == kComplex128)) values /= 2;
  // Where values are listed, the last one stands for all that follow.
  if (whole ? values != elements : values > elements)
    throw Refused("a constant of " + std::to_string(elements) + " elements with " + std::to_string(values) + " values");
  constant_bytes_ += elements * type->size;
  if (constant_bytes_ > max_bytes_) throw Refused("constants of more than " + std::to_string(max_bytes_) + " bytes");
}

void Scan::library(Bytes message) {
  for (Field field; message.next(&field);) {
    std::string name;
    Bytes function = field.message();
    for (Field part; function.next(&part);) {
      if (field.number != 1 || part.number != 1) continue;
      Bytes signature = part.message();
      for (Field entry; signature.next(&entry);)
        if (entry.number == 1) name = entry.text();
    }
    refused_.push_back("function " + quoted(name));
  }
}

// Operations in the longest row of which each takes what the one before gives; those on a cycle, which TensorFlow
// refuses, count for nothing.
size_t Scan::depth() const {
  std::vector<std::vector<size_t>> takers(nodes_);
  std::vector<size_t> missing(nodes_, 0), depth(nodes_, 1), ready;
  for (const auto& [node, name] : inputs_) {
    const auto giver = numbers_.find(name);
    if (giver == numbers_.end()) continue;
    takers[giver->second].push_back(node);
    ++missing[node];
  }
  for (size_t node = 0; node < nodes_; ++node)
    if (!missing[node]) ready.push_back(node);
  size_t deepest = 0;
  while (!ready.empty()) {
    const size_t node = ready.back();
    ready.pop_back();
    deepest = std::max(deepest, depth[node]);
    for (const size_t taker : takers[node]) {
      depth[taker] = std::max(depth[taker], depth[node] + 1);
      if (--missing[taker] == 0) ready.push_back(taker);
    }
  }
  return deepest;
}

std::string Scan::verdict() const {
  if (nodes_ == 0) return "an empty graph, expected a frozen model";
  if (refused_.empty() && depth() > kMaxDepth)
    return "refused: holds a row of more than " + std::to_string(kMaxDepth) +
           " operations, expected a model frozen by dd-tf freeze";
  if (refused_.empty()) return "";
  const std::string more = refused_.size() > 1 ? " and " + std::to_string(refused_.size() - 1) + " more" : "";
  return "refused: holds " + refused_[0] + more + ", expected a model frozen by dd-tf freeze, which only computes";
}

}  // namespace

std::set<std::string> operation_names(const char* data, size_t size) {
  std::set<std::string> names;
  Bytes list(data, size);
  for (Field field; list.next(&field);) {
    Bytes definition = field.message();
    for (Field part; definition.next(&part);)
      if (part.number == 1) names.insert(part.text());
  }
  return names;
}

std::string graph_fault(const char* data, size_t size, const std::function<bool(const std::string&)>& is_known) {
  try {
    Scan scan(is_known, size + kMaxRepeatedBytes);
    scan.graph(Bytes(data, size));
    return scan.verdict();
  } catch (const Malformed&) {
    return "not a graph or truncated, expected a frozen model";
  }
}

}  // namespace dd
