// What ops on pairs of atoms share: the lists of pairs they are given, and how work on them is divided.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace dd {

constexpr int64_t kGrainAtoms = 4;
constexpr int64_t kGrainPairs = 64;
constexpr int64_t kMaxPairChannels = 1 << 16;

// Two inputs from number `first` on: the atoms that gather and those that send.
class AtomPairs {
 public:
  AtomPairs(TF_OpKernelContext* ctx, int first) : center_(ctx, first, "center"), atom_(ctx, first + 1, "atom") {
    count = center_.shaped({-1}).rows();
    center = center_.data<int32_t>();
    atom = atom_.shaped({count}).data<int32_t>();
  }
  // All atoms are there; where the order counts, center rises.
  void check(int64_t natoms, bool rising) const {
    for (int64_t p = 0; p < count; ++p) {
      require(center[p] >= 0 && center[p] < natoms && atom[p] >= 0 && atom[p] < natoms, "pair ", p,
              " names an atom that is not there");
      require(!rising || !p || center[p] >= center[p - 1], "center does not rise at pair ", p);
    }
  }
  int64_t count;
  const int32_t *center, *atom;

 private:
  Input center_, atom_;
};

}  // namespace dd
