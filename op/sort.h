// Counting sort by many threads, the same whatever their number.
#pragma once

#include <cstdint>
#include <vector>

#include "threads.h"

namespace dd {

struct Sorted {
  std::vector<int64_t> start;  // first place of each bin, and the end
  std::vector<int32_t> order;  // items by bin, within a bin as they came
};

// Sorts the items 0 ... n-1 by bin[item], below nbins.
inline Sorted sorted_by_bin(const std::vector<int32_t>& bin, int64_t nbins) {
  const int64_t n = static_cast<int64_t>(bin.size());
  // A part has counters of its own; they must not outnumber what they count.
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>({num_threads(), n / 16384, n / (nbins + 1)}));
  std::vector<std::vector<int64_t>> place(parts);
  Sorted sorted{std::vector<int64_t>(nbins + 1, 0), std::vector<int32_t>(n)};
  run_tasks(parts, [&](int64_t part) {
    place[part].assign(nbins, 0);
    for (int64_t i = n * part / parts; i < n * (part + 1) / parts; ++i) ++place[part][bin[i]];
  });
  int64_t total = 0;
  for (int64_t b = 0; b < nbins; ++b) {
    sorted.start[b] = total;
    for (auto& counters : place) {
      const int64_t count = counters[b];
      counters[b] = total;
      total += count;
    }
  }
  sorted.start[nbins] = total;
  run_tasks(parts, [&](int64_t part) {
    for (int64_t i = n * part / parts; i < n * (part + 1) / parts; ++i)
      sorted.order[place[part][bin[i]]++] = static_cast<int32_t>(i);
  });
  return sorted;
}

}  // namespace dd
