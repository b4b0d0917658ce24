// Stands in for two parts of Swift's static runtime, which do their work before main in every process:
//
// - the crash reporter looks through the file system for its helper program, which nobody installs beside plugins;
// - CommandLine reads /proc/self/maps to find the arguments; glibc hands them to every initialiser, and a plugin has none.
//
// The linker takes those parts from the runtime's archive only for names that are not there already. They are the names
// of Swift 6.3's runtime; were another's different, both would be linked again, or the linker would name what is double.
#ifdef SWIFTLET_STATIC_START
#include <stdbool.h>
#include <stddef.h>

static int count;
static char **arguments;
static char *none[] = {NULL};

__attribute__((constructor)) static void keep_arguments(int argc, char **argv) {
    count = argc;
    arguments = argv;
}

char **_swift_stdlib_getUnsafeArgvArgc(int *result) {
    *result = arguments ? count : 0;
    return arguments ? arguments : none;
}

void _swift_stdlib_overrideUnsafeArgvArgc(char **argv, int argc) {
    count = argc;
    arguments = argv;
}

bool _swift_backtrace_isThunkFunction(const char *mangled) {
    (void)mangled;
    return false;
}

// The crash reporter's settings: all off.
struct {
    char everything[1024];
} _swift_backtraceSettings;
#endif
