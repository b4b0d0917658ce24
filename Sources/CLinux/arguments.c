#ifdef SWIFTLET_STATIC_RUNTIME
// The static runtime finds the command line by reading /proc/self/maps, in an initialiser, in every process. CNI plugins
// have no arguments. With these two the linker has no need of the object that holds that initialiser; glibc hands
// argc and argv to every initialiser, so that CommandLine goes on working.

static int count;
static char **arguments;
static char *none[] = {0};

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
#endif
