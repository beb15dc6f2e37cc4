// One function, compiled for several instruction sets; the machine chooses when the library loads.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__)
#define DD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DD_CLONES
#endif
