// Which of the compiled kernels runs: chosen once, when the first op needs them.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "handles.h"
#include "kernels.h"

namespace dd {

extern const Kernels kernels_baseline;
#ifdef DD_X86_KERNELS
extern const Kernels kernels_avx2, kernels_avx512;
#endif

namespace {

// Those that run on this machine, best first. What is asked of it is what build.py lets the compiler use.
std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> found;
#ifdef DD_X86_KERNELS
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512) found.push_back(&kernels_avx512);
  if (avx2) found.push_back(&kernels_avx2);
#endif
  found.push_back(&kernels_baseline);
  return found;
}

const Kernels& choose() {
  const auto found = usable();
  const char* wanted = std::getenv("DEEPDENSITY_ISA");
  if (!wanted || !*wanted) return *found.front();
  std::string names;
  for (const Kernels* each : found) {
    if (std::strcmp(each->name, wanted) == 0) return *each;
    names += std::string(names.empty() ? "" : ", ") + each->name;
  }
  throw InvalidArgument(joined("DEEPDENSITY_ISA is ", wanted, ", this machine has ", names));
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace dd
