#pragma once
// The same view of the C library's headers as CLinux has: Swift refuses two definitions of one structure.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <libmnl/libmnl.h>
