// Times CNI plugins as a runtime runs them: posix_spawn with environment and stdin, wait4 for status and peak memory.
// Suites are interleaved round by round, so drift of the machine hits all alike. State lives where the caller's
// namespaces put it: run it under scripts/lib/private.sh. Prints tab separated rows:
//   what  suite  median_us  p95_us  peak_rss_kib  runs  failures
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SUITES = 16 };

struct suite {
    const char *label, *directory;
};

struct samples {
    double *microseconds;
    long count, capacity, failures, peak_kib;
};

struct run {
    double microseconds;
    long peak_kib;
    int status;
};

static struct suite suites[MAX_SUITES];
static int suite_count;
static int null_fd;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("harness: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void record(struct samples *samples, struct run run) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 64;
        samples->microseconds = realloc(samples->microseconds, (size_t)samples->capacity * sizeof(double));
        if (!samples->microseconds) die("out of memory");
    }
    samples->microseconds[samples->count++] = run.microseconds;
    if (run.peak_kib > samples->peak_kib) samples->peak_kib = run.peak_kib;
    if (run.status != 0) samples->failures++;
}

static void print_row(const char *what, const char *label, struct samples *samples) {
    if (samples->count == 0) return;
    qsort(samples->microseconds, (size_t)samples->count, sizeof(double), compare);
    printf("%s\t%s\t%.0f\t%.0f\t%ld\t%ld\t%ld\n", what, label, samples->microseconds[samples->count / 2],
           samples->microseconds[samples->count * 95 / 100], samples->peak_kib, samples->count, samples->failures);
    fflush(stdout);
}

static int memory_file(const char *text) {
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0) die("memfd_create: %s", strerror(errno));
    size_t length = strlen(text);
    if (write(fd, text, length) != (ssize_t)length) die("write: %s", strerror(errno));
    return fd;
}

struct call {
    pid_t pid;
    double start;
    int input, output;
    int must_print;
    const char *program;
};

// Starts one plugin call. The input gets its own open file description: offsets must not be shared between calls.
static struct call start(const char *program, const char *command, const char *id, const char *netns,
                         const char *interface, const char *directory, const char *input) {
    char variables[6][512];
    snprintf(variables[0], sizeof variables[0], "CNI_COMMAND=%s", command);
    snprintf(variables[1], sizeof variables[1], "CNI_CONTAINERID=%s", id);
    snprintf(variables[2], sizeof variables[2], "CNI_NETNS=%s", netns);
    snprintf(variables[3], sizeof variables[3], "CNI_IFNAME=%s", interface);
    snprintf(variables[4], sizeof variables[4], "CNI_PATH=%s", directory);
    snprintf(variables[5], sizeof variables[5], "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    char *environment[7];
    for (int index = 0; index < 6; index++) environment[index] = variables[index];
    environment[6] = NULL;
    char *arguments[] = {(char *)program, NULL};

    struct call call = {.program = program, .must_print = strcmp(command, "DEL") != 0};
    call.input = memory_file(input);
    lseek(call.input, 0, SEEK_SET);
    call.output = memory_file("");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, call.input, 0);
    posix_spawn_file_actions_adddup2(&actions, call.output, 1);
    posix_spawn_file_actions_adddup2(&actions, null_fd, 2);
    call.start = now_us();
    int error = posix_spawn(&call.pid, program, &actions, NULL, arguments, environment);
    if (error != 0) die("%s: %s", program, strerror(error));
    posix_spawn_file_actions_destroy(&actions);
    return call;
}

static struct run finish(struct call call, int status, const struct rusage *usage, int expect_success) {
    struct run run = {.microseconds = now_us() - call.start, .peak_kib = usage->ru_maxrss, .status = status};
    // A result is a document: an ADD that prints nothing has not done its work.
    if (status == 0 && call.must_print && lseek(call.output, 0, SEEK_END) < 2) status = run.status = -1;
    static int reported;
    if (expect_success && status != 0 && reported < 5) {
        char text[512] = "";
        ssize_t length = pread(call.output, text, sizeof text - 1, 0);
        fprintf(stderr, "harness: %s failed (wait status %d): %.*s\n", call.program, status, (int)length, text);
        reported++;
    }
    close(call.input);
    close(call.output);
    return run;
}

static struct run run(const char *program, const char *command, const char *id, const char *netns,
                      const char *interface, const char *directory, const char *input) {
    struct call call = start(program, command, id, netns, interface, directory, input);
    int status;
    struct rusage usage;
    while (wait4(call.pid, &status, 0, &usage) < 0)
        if (errno != EINTR) die("wait4: %s", strerror(errno));
    return finish(call, status, &usage, 1);
}

static int own_namespace = -1;

static void make_namespace(const char *path) {
    if (own_namespace < 0) own_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);
    if (fd < 0) die("%s: %s", path, strerror(errno));
    close(fd);
    if (unshare(CLONE_NEWNET) < 0) die("unshare: %s", strerror(errno));
    if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0) die("mount %s: %s", path, strerror(errno));
    if (setns(own_namespace, CLONE_NEWNET) < 0) die("setns: %s", strerror(errno));
}

static void remove_namespace(const char *path) {
    umount2(path, MNT_DETACH);
    unlink(path);
}

static char *read_text(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die("%s: %s", path, strerror(errno));
    char *text = calloc(1, 65536);
    if (!text) die("out of memory");
    if (fread(text, 1, 65535, file) == 0) die("%s: empty", path);
    fclose(file);
    return text;
}

// The input with @SUITE@ and @INDEX@ replaced: suites must not share a store, a bridge or a subnet.
static char *input_for(const char *text, int suite) {
    char *result = calloc(1, 131072);
    if (!result) die("out of memory");
    size_t used = 0;
    while (*text && used < 131000) {
        if (!strncmp(text, "@SUITE@", 7)) {
            used += (size_t)sprintf(result + used, "%.60s", suites[suite].label);
            text += 7;
        } else if (!strncmp(text, "@INDEX@", 7)) {
            used += (size_t)sprintf(result + used, "%d", suite);
            text += 7;
        } else {
            result[used++] = *text++;
        }
    }
    return result;
}

// Who goes first alternates, so that nobody always runs in the wake of the other.
static int turn(long round, int position) { return round & 1 ? suite_count - 1 - position : position; }

static void program_path(char *buffer, size_t size, int suite, const char *plugin) {
    if ((size_t)snprintf(buffer, size, "%s/%s", suites[suite].directory, plugin) >= size) die("path too long");
}

// `version`: the start-up cost alone.
static void measure_version(const char *plugin, long rounds) {
    struct samples samples[MAX_SUITES] = {0};
    for (long round = -10; round < rounds; round++)
        for (int position = 0; position < suite_count; position++) {
            int suite = turn(round, position);
            char program[512];
            program_path(program, sizeof program, suite, plugin);
            struct run result = run(program, "VERSION", "", "dummy", "dummy", "dummy", "{\"cniVersion\":\"1.0.0\"}");
            if (round >= 0) record(&samples[suite], result);
        }
    char what[128];
    snprintf(what, sizeof what, "%s VERSION", plugin);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &samples[suite]);
}

// `attach`: ADD and DEL of a main plugin, each container in a fresh namespace, one after the other.
static void measure_attach(const char *plugin, const char *input, long rounds) {
    struct samples add[MAX_SUITES] = {0}, del[MAX_SUITES] = {0};
    char path[256], id[64], program[512];
    for (long round = -3; round < rounds; round++)
        for (int position = 0; position < suite_count; position++) {
            int suite = turn(round, position);
            snprintf(path, sizeof path, "/run/netns/bench-%d", suite);
            snprintf(id, sizeof id, "bench-%ld-%d", round + 3, suite);
            program_path(program, sizeof program, suite, plugin);
            char *text = input_for(input, suite);
            make_namespace(path);
            struct run added = run(program, "ADD", id, path, "eth0", suites[suite].directory, text);
            struct run deleted = run(program, "DEL", id, path, "eth0", suites[suite].directory, text);
            remove_namespace(path);
            free(text);
            if (round < 0) continue;
            record(&add[suite], added);
            record(&del[suite], deleted);
        }
    char what[128];
    snprintf(what, sizeof what, "%s ADD", plugin);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &add[suite]);
    snprintf(what, sizeof what, "%s DEL", plugin);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &del[suite]);
}

// `ipam`: ADD and DEL of an IPAM plugin, which touches no namespace.
static void measure_ipam(const char *plugin, const char *input, long rounds) {
    struct samples add[MAX_SUITES] = {0}, del[MAX_SUITES] = {0};
    char id[64], program[512];
    for (long round = -3; round < rounds; round++)
        for (int position = 0; position < suite_count; position++) {
            int suite = turn(round, position);
            snprintf(id, sizeof id, "bench-%ld-%d", round + 3, suite);
            program_path(program, sizeof program, suite, plugin);
            char *text = input_for(input, suite);
            struct run added = run(program, "ADD", id, "/run/none", "eth0", suites[suite].directory, text);
            struct run deleted = run(program, "DEL", id, "/run/none", "eth0", suites[suite].directory, text);
            free(text);
            if (round < 0) continue;
            record(&add[suite], added);
            record(&del[suite], deleted);
        }
    char what[128];
    snprintf(what, sizeof what, "%s ADD", plugin);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &add[suite]);
    snprintf(what, sizeof what, "%s DEL", plugin);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &del[suite]);
}

// One batch of `count` calls with `workers` in flight. Returns the wall time of the whole batch.
static double batch(int suite, const char *plugin, const char *command, const char *input, long count, int workers,
                    struct samples *latencies) {
    struct call calls[64];
    char path[256], id[64], program[512];
    program_path(program, sizeof program, suite, plugin);
    for (int slot = 0; slot < workers; slot++) calls[slot].pid = 0;
    double begin = now_us();
    long started = 0, running = 0;
    while (started < count || running > 0) {
        for (int slot = 0; slot < workers && started < count; slot++) {
            if (calls[slot].pid != 0) continue;
            snprintf(path, sizeof path, "/run/netns/par-%ld", started);
            snprintf(id, sizeof id, "par-%ld", started);
            calls[slot] = start(program, command, id, path, "eth0", suites[suite].directory, input);
            started++;
            running++;
        }
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, 0, &usage);
        if (pid < 0) continue;
        for (int slot = 0; slot < workers; slot++) {
            if (calls[slot].pid != pid) continue;
            record(latencies, finish(calls[slot], status, &usage, 1));
            calls[slot].pid = 0;
            running--;
        }
    }
    return now_us() - begin;
}

// `parallel`: ADDs per second with 1, 4, … in flight. The rate row has thousandths of an ADD per second in place of
// the median.
static void measure_parallel(const char *plugin, const char *input, long count, int workers, long rounds) {
    char path[256];
    double wall[MAX_SUITES] = {0};
    struct samples add[MAX_SUITES] = {0}, del[MAX_SUITES] = {0};
    if (workers > 64) die("at most 64 workers");
    for (long round = 0; round < rounds; round++)
        for (int position = 0; position < suite_count; position++) {
            int suite = turn(round, position);
            for (long index = 0; index < count; index++) {
                snprintf(path, sizeof path, "/run/netns/par-%ld", index);
                make_namespace(path);
            }
            char *text = input_for(input, suite);
            wall[suite] += batch(suite, plugin, "ADD", text, count, workers, &add[suite]);
            batch(suite, plugin, "DEL", text, count, workers, &del[suite]);
            free(text);
            for (long index = 0; index < count; index++) {
                snprintf(path, sizeof path, "/run/netns/par-%ld", index);
                remove_namespace(path);
            }
        }
    char what[128];
    snprintf(what, sizeof what, "%s rate %d", plugin, workers);
    for (int suite = 0; suite < suite_count; suite++)
        printf("%s\t%s\t%.0f\t%.0f\t%ld\t%ld\t%ld\n", what, suites[suite].label,
               (double)add[suite].count * 1e9 / wall[suite], 0.0, add[suite].peak_kib, add[suite].count,
               add[suite].failures);
    snprintf(what, sizeof what, "%s latency %d", plugin, workers);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &add[suite]);
}

static void usage(void) {
    fputs("usage: harness version PLUGIN ROUNDS LABEL=DIR...\n"
          "       harness attach PLUGIN CONF ROUNDS LABEL=DIR...\n"
          "       harness ipam PLUGIN CONF ROUNDS LABEL=DIR...\n"
          "       harness parallel PLUGIN CONF COUNT WORKERS ROUNDS LABEL=DIR...\n",
          stderr);
    exit(2);
}

int main(int count, char **arguments) {
    if (count < 5) usage();
    const char *mode = arguments[1], *plugin = arguments[2];
    int first = !strcmp(mode, "version") ? 4 : !strcmp(mode, "parallel") ? 7 : 5;
    if (count <= first) usage();
    for (int index = first; index < count && suite_count < MAX_SUITES; index++) {
        char *equals = strchr(arguments[index], '=');
        if (!equals) usage();
        *equals = 0;
        suites[suite_count++] = (struct suite){arguments[index], equals + 1};
    }
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) die("/dev/null: %s", strerror(errno));
    if (!strcmp(mode, "version")) {
        measure_version(plugin, atol(arguments[3]));
    } else if (!strcmp(mode, "attach")) {
        mkdir("/run/netns", 0755);
        measure_attach(plugin, read_text(arguments[3]), atol(arguments[4]));
    } else if (!strcmp(mode, "ipam")) {
        measure_ipam(plugin, read_text(arguments[3]), atol(arguments[4]));
    } else if (!strcmp(mode, "parallel")) {
        mkdir("/run/netns", 0755);
        measure_parallel(plugin, read_text(arguments[3]), atol(arguments[4]), atoi(arguments[5]), atol(arguments[6]));
    } else {
        usage();
    }
    return 0;
}
