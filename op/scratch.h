// Memory that a kernel works in, laid out for a block of points.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"

namespace dd {

// Gives out pieces of one buffer, each aligned to a cache line; grown only between uses.
class Arena {
 public:
  void reset() {
    if (used_ > buffer_.size()) buffer_.resize(used_);
    used_ = kAlign;  // the buffer's own begin may be unaligned
  }
  // Null where the buffer is still too small: what is wanted is counted.
  template <typename T> T* take(int64_t n) {
    const size_t at = used_;
    used_ += (static_cast<size_t>(n) * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    if (used_ > buffer_.size()) return nullptr;
    const size_t begin = reinterpret_cast<size_t>(buffer_.data());
    return reinterpret_cast<T*>(begin / kAlign * kAlign + at);
  }
  bool full() const { return used_ > buffer_.size(); }

 private:
  static constexpr size_t kAlign = 64;
  std::vector<char> buffer_;
  size_t used_ = 0;
};

// Scratch of one thread: a block's view for the kernels, and what the view points to.
template <typename T> class Scratch {
 public:
  BlockView<T> view;
  Groups<T> groups;
  double* position[3];

  // Room for a block of points and the images within reach; sums are zero.
  void lay_out(int64_t npoints, int64_t nimages, int width) {
    do {
      arena_.reset();
      take_all(npoints, nimages, width);
    } while (arena_.full());
    std::fill_n(view.sum, (npoints + 1) * width, 0.0);
  }
  double* image(int axis) { return image_[axis]; }
  int32_t* atom() { return atom_; }

 private:
  void take_all(int64_t npoints, int64_t nimages, int width) {
    const int64_t nchunks = (npoints + kChunk - 1) / kChunk, padded = nchunks * kChunk;
    const int64_t nspline = view.basis.nspline, nlanes = padded + (nspline + 1) * kWidth<T>;
    groups.npoints = npoints, groups.nchunks = nchunks, view.nimages = nimages;
    for (int c = 0; c < 3; ++c) {
      view.position[c] = position[c] = arena_.take<double>(npoints);
      view.image[c] = image_[c] = arena_.take<double>(nimages);
      groups.x[c] = arena_.take<T>(padded);
      groups.low[c] = arena_.take<T>(nchunks), groups.high[c] = arena_.take<T>(nchunks);
      groups.lanes.u[c] = arena_.take<T>(nlanes), groups.lanes.value[c] = arena_.take<T>(nlanes);
    }
    view.atom = atom_ = arena_.take<int32_t>(nimages);
    view.sum = arena_.take<double>((npoints + 1) * width);
    groups.record = arena_.take<Record<T>>(padded);
    groups.near = arena_.take<T>(nchunks);
    groups.chunk = arena_.take<int32_t>(nchunks + 1);
    groups.interval = arena_.take<int32_t>(padded);
    for (auto& next : groups.next) next = arena_.take<int32_t>(nspline + 1);
    groups.start = arena_.take<int32_t>(nspline + 1);
    groups.grouped = arena_.take<Record<T>>(nlanes);
    groups.lanes.t = arena_.take<T>(nlanes);
    groups.lanes.point = arena_.take<int32_t>(nlanes);
    groups.padded_coef = arena_.take<T>(4 * view.basis.nlm);
  }

  Arena arena_;
  double* image_[3];
  int32_t* atom_;
};

}  // namespace dd
