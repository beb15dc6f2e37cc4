// Functions that leave no symbol of their own: code that is compiled for several instruction sets must
// not be shared by the linker.
#pragma once

#define DD_INLINE inline __attribute__((always_inline))
