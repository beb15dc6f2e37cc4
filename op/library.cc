// What the library tells its loader; all else goes through TensorFlow's registry.
#include "kernel.h"
#include "kernels.h"
#include "threads.h"

#pragma GCC visibility push(default)
extern "C" {

// 1 where another copy of this library had registered the ops before: this one registered nothing.
int deepdensity_is_second_copy(void) { return dd::is_second_copy() ? 1 : 0; }

int deepdensity_num_threads(void) { return dd::num_threads(); }
void deepdensity_set_num_threads(int count) { dd::set_num_threads(count); }
int deepdensity_quota_of_cgroup(const char* membership, const char* root) {
  return dd::quota_of_cgroup(membership, root);
}

// Name of the kernels in use; null where DEEPDENSITY_ISA names none that run here.
const char* deepdensity_instruction_set(void) {
  try {
    return dd::kernels().name;
  } catch (const std::exception&) {
    return nullptr;
  }
}
}
#pragma GCC visibility pop
