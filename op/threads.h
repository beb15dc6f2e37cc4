// A static partition of a loop over the cores the process may use.
#pragma once

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

namespace dd {

// Cores of the process's affinity mask, or fewer where TF_NUM_INTRAOP_THREADS says so.
inline int num_threads() {
  static const int count = [] {
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const char* text = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int wanted = text ? std::atoi(text) : 0;
    return std::max(1, wanted > 0 ? std::min(wanted, cores) : cores);
  }();
  return count;
}

// Calls body(begin, end) on contiguous parts of [0, n), at least `grain` long; rethrows the first
// error. What a part computes must not depend on where the parts end.
template <typename Body> void parallel_for(int64_t n, int64_t grain, Body body) {
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(num_threads(), n / grain));
  if (parts == 1) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
  std::vector<std::exception_ptr> errors(parts);
  auto run = [&](int64_t part) {
    try {
      body(n * part / parts, n * (part + 1) / parts);
    } catch (...) {
      errors[part] = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  for (int64_t part = 1; part < parts; ++part) workers.emplace_back(run, part);
  run(0);
  for (auto& worker : workers) worker.join();
  for (auto& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace dd
