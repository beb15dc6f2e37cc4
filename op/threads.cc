#include "threads.h"

#include <sched.h>

#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace dd {
namespace {

std::atomic<int> threads_set{0};

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

// Cores of one group: "quota period" in microseconds, no number for no limit.
double cores_of(const std::string& quota_and_period) {
  std::istringstream text(quota_and_period);
  double quota = 0, period = 0;
  const bool limited = text >> quota >> period && quota > 0 && period > 0;
  return limited ? quota / period : std::numeric_limits<double>::infinity();
}

// The least of a group and those it lies in; the mount may begin at any of them.
template <typename CoresIn> double least_upwards(std::string path, CoresIn cores_in) {
  double least = std::numeric_limits<double>::infinity();
  for (;;) {
    least = std::min(least, cores_in(path));
    if (path.empty()) return least;
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

int affinity() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

int cores() {
  static const int count = [] {
    const int quota = quota_of_cgroup(read_text("/proc/self/cgroup").c_str(), "/sys/fs/cgroup");
    return quota ? std::min(quota, affinity()) : affinity();
  }();
  return count;
}

// One loop. Lives on the stack of the thread that wants it.
struct Job {
  void (*run)(void*, int64_t);
  void* data;
  int64_t ntasks;
  std::atomic<int64_t> next{0};
  int open;         // threads that may still join
  int working = 0;  // threads that did
  int64_t failed = std::numeric_limits<int64_t>::max();
  std::exception_ptr error;
};

class Pool {
 public:
  // Never destroyed: its threads sleep until the process ends.
  static Pool& shared() {
    static Pool& pool = *new Pool;
    return pool;
  }

  void work_on(Job& job) {
    const bool one_helper = job.open == 1;  // others change it once the job is known
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      start_threads(job.open);
      jobs_.push_back(&job);
    }
    if (one_helper) wanted_.notify_one(); else wanted_.notify_all();
    take_part(job);
    std::unique_lock<std::mutex> lock(mutex_);
    withdraw(job);
    done_.wait(lock, [&] { return job.working == 0; });
  }

  void take_part(Job& job) {
    for (int64_t k = job.next.fetch_add(1); k < job.ntasks; k = job.next.fetch_add(1)) {
      try {
        job.run(job.data, k);
      } catch (...) {
        job.next = job.ntasks;  // tasks are given out in order: all below k have begun
        const std::lock_guard<std::mutex> lock(mutex_);
        if (k < job.failed) job.failed = k, job.error = std::current_exception();
      }
    }
  }

 private:
  void start_threads(int wanted) {
    try {
      for (; nthreads_ < wanted; ++nthreads_) std::thread([this] { serve(); }).detach();
    } catch (const std::exception&) {
      // No more threads to be had: those there are, and the one that wants the loop, do the work.
    }
  }

  void withdraw(Job& job) {
    const auto found = std::find(jobs_.begin(), jobs_.end(), &job);
    if (found != jobs_.end()) jobs_.erase(found);
  }

  [[noreturn]] void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wanted_.wait(lock, [&] { return !jobs_.empty(); });
      Job& job = *jobs_.front();
      ++job.working;
      if (--job.open == 0) withdraw(job);
      lock.unlock();
      take_part(job);
      lock.lock();
      withdraw(job);  // its tasks are all given out
      if (--job.working == 0) done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wanted_, done_;
  std::vector<Job*> jobs_;
  int nthreads_ = 0;
};

}  // namespace

int num_threads() {
  static const int from_environment = [] {
    const char* text = std::getenv("TF_NUM_INTRAOP_THREADS");
    return text ? std::atoi(text) : 0;
  }();
  const int set = threads_set.load(std::memory_order_relaxed), wanted = set > 0 ? set : from_environment;
  return wanted > 0 ? std::min(wanted, cores()) : cores();
}

void set_num_threads(int count) { threads_set.store(count, std::memory_order_relaxed); }

int quota_of_cgroup(const char* membership, const char* root) {
  double least = std::numeric_limits<double>::infinity();
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // "0::/path" (version 2) or "4:cpu,cpuacct:/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_upwards(path, [&](const std::string& at) {
                return cores_of(read_text(root + at + "/cpu.max"));
              }));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      const std::string mount = root + ("/" + controllers);
      least = std::min(least, least_upwards(path, [&](const std::string& at) {
                return cores_of(read_text(mount + at + "/cpu.cfs_quota_us") + " " +
                                read_text(mount + at + "/cpu.cfs_period_us"));
              }));
    }
  }
  return std::isinf(least) ? 0 : std::max(1, static_cast<int>(std::min(std::ceil(least), 1e6)));
}

void run_tasks(int64_t ntasks, void (*run)(void* data, int64_t k), void* data) {
  // Operations that run at once share the cores: each has the help of those that no other one has.
  static std::atomic<int> callers{0};
  struct Calling {
    const int others = callers.fetch_add(1);
    ~Calling() { callers.fetch_sub(1); }
  } const calling;
  const int helpers = static_cast<int>(std::min<int64_t>(num_threads() - calling.others, ntasks)) - 1;
  if (helpers < 1) {
    for (int64_t k = 0; k < ntasks; ++k) run(data, k);
    return;
  }
  Job job;
  job.run = run, job.data = data, job.ntasks = ntasks, job.open = helpers;
  Pool::shared().work_on(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace dd
