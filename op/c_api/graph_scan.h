// Judges the bytes of a foreign graph before TensorFlow sees them.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>

namespace dd {

// What speaks against a serialized GraphDef, in one line; "" if nothing does.
//
// A graph is a program. Only operations for which `is_known` holds may be in it, no functions, and no shape whose
// number of elements overflows, on which TensorFlow ends the process: it evaluates constants as it imports them.
std::string graph_fault(const char* data, size_t size, const std::function<bool(const std::string&)>& is_known);

// The names in a serialized OpList, as TensorFlow gives it.
std::set<std::string> operation_names(const char* data, size_t size);

}  // namespace dd
