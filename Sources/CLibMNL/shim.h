#pragma once
// The same view of the C library's headers as CLinux has: Clang refuses two definitions of one type. See CLinux.h.
#include <features.h>
#ifndef __USE_GNU
#define __USE_GNU 1
#endif
#include <netinet/in.h>

#include <libmnl/libmnl.h>
