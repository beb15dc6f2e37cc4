// Row splits: where each frame's rows begin and the last one's end.
#pragma once

#include <cstdint>
#include <string>

#include "kernel.h"

namespace dd {

inline const int32_t* row_splits(const Input& input, int64_t nframes, int64_t total) {
  const int32_t* s = input.shaped({nframes + 1}).data<int32_t>();
  bool ok = s[0] == 0 && s[nframes] == total;
  for (int64_t f = 0; f < nframes; ++f) ok = ok && s[f] <= s[f + 1];
  require(ok, input.name() + " must rise from 0 to " + std::to_string(total));
  return s;
}

}  // namespace dd
