// Terms of a product of functions on the sphere (coupling.cc): rows (c, a, b) by c, and the factor of each.
#pragma once

#include <cstdint>

#include "basis.h"
#include "kernel.h"

namespace dd {

constexpr int64_t kMaxTerms = int64_t{kMaxNlm} * kMaxNlm * kMaxNlm;

// Two inputs from number `first` on; rows are below nlm.
template <typename T> class Terms {
 public:
  Terms(TF_OpKernelContext* ctx, int first, int64_t nlm) : term_(ctx, first, "term"), value_(ctx, first + 1, "value") {
    count = term_.dim(0, 0, kMaxTerms);
    term = term_.shaped({count, 3}).template data<int32_t>();
    value = value_.shaped({count}).template data<T>();
    for (int64_t t = 0; t < 3 * count; ++t)
      require(term[t] >= 0 && term[t] < nlm, "term[", t / 3, "] holds ", term[t], ", expected 0 to ", nlm - 1);
    for (int64_t t = 1; t < count; ++t)
      require(term[3 * t] >= term[3 * t - 3], "term[", t, "] makes ", term[3 * t], ", expected terms by what they make");
  }
  int64_t count;
  const int32_t* term;
  const T* value;

 private:
  Input term_, value_;
};

}  // namespace dd
