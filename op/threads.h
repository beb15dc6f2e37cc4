// Loops over the cores the process may use, in one pool of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace dd {

// Threads that work on one loop: the least of the process's affinity mask, its control group's quota of
// processor time, and what was set: by set_num_threads or else TF_NUM_INTRAOP_THREADS.
int num_threads();
void set_num_threads(int count);  // below 1: not set

// Cores that the quotas of a control group leave, 0 where there is none. `membership` is the text of
// /proc/self/cgroup, `root` where the hierarchies are mounted.
int quota_of_cgroup(const char* membership, const char* root);

// Calls run(data, k) for k = 0 ... ntasks-1 in this thread and idle ones of the pool; rethrows the error of
// the lowest k. A thread that cannot be started is done without.
void run_tasks(int64_t ntasks, void (*run)(void* data, int64_t k), void* data);

template <typename Run> void run_tasks(int64_t ntasks, Run run) {
  run_tasks(ntasks, [](void* data, int64_t k) { (*static_cast<Run*>(data))(k); }, &run);
}

// Calls body(begin, end) on contiguous parts of [0, n), at least `grain` long.
// What a part computes must not depend on where the parts end.
template <typename Body> void parallel_for(int64_t n, int64_t grain, Body body) {
  if (n <= 0) return;
  // More parts than threads: some threads come late, or are slower.
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(num_threads() > 1 ? 4 * num_threads() : 1, n / grain));
  run_tasks(parts, [&](int64_t part) { body(n * part / parts, n * (part + 1) / parts); });
}

// Calls body(next) once a thread; next() gives out the tasks 0 ... n-1, then n or more.
// For tasks of uneven cost whose results do not depend on who does them.
template <typename Body> void parallel_dynamic(int64_t n, Body body) {
  std::atomic<int64_t> given{0};
  auto next = [&] { return given.fetch_add(1); };
  run_tasks(std::max<int64_t>(1, std::min<int64_t>(num_threads(), n)), [&](int64_t) { body(next); });
}

}  // namespace dd
