// Loops over the cores the process may use.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
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

// Calls run(part) for every part, each in a thread of its own; rethrows the first error.
template <typename Run> void run_threads(int64_t parts, Run run) {
  std::vector<std::exception_ptr> errors(parts);
  auto guarded = [&](int64_t part) {
    try {
      run(part);
    } catch (...) {
      errors[part] = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  for (int64_t part = 1; part < parts; ++part) workers.emplace_back(guarded, part);
  guarded(0);
  for (auto& worker : workers) worker.join();
  for (auto& error : errors)
    if (error) std::rethrow_exception(error);
}

// Calls body(begin, end) on contiguous parts of [0, n), at least `grain` long.
// What a part computes must not depend on where the parts end.
template <typename Body> void parallel_for(int64_t n, int64_t grain, Body body) {
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(num_threads(), n / grain));
  if (parts == 1) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
  run_threads(parts, [&](int64_t part) { body(n * part / parts, n * (part + 1) / parts); });
}

// Calls body(next) once a thread; next() gives out the tasks 0 ... n-1, then n or more.
// For tasks of uneven cost whose results do not depend on who does them.
template <typename Body> void parallel_dynamic(int64_t n, Body body) {
  std::atomic<int64_t> given{0};
  auto next = [&] { return given.fetch_add(1); };
  run_threads(std::max<int64_t>(1, std::min<int64_t>(num_threads(), n)), [&](int64_t) { body(next); });
}

}  // namespace dd
