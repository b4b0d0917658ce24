// Times CNI plugins as a runtime runs them: posix_spawn with environment and stdin, wait4 for status and peak memory.
// Suites are interleaved round by round, so drift of the machine hits all alike. State lives where the caller's
// namespaces put it: run it under scripts/lib/private.sh. Prints tab separated rows:
//   what  suite  median_us  p95_us  peak_rss_kib  runs  failures
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

// The namespace calls are made from: the one this was started in, or the host of the suite whose turn it is.
static int own_namespace = -1, hosts[MAX_SUITES];

static void make_namespace(const char *path) {
    if (own_namespace < 0) own_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);
    if (fd < 0) die("%s: %s", path, strerror(errno));
    close(fd);
    if (unshare(CLONE_NEWNET) < 0) die("unshare: %s", strerror(errno));
    if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0) die("mount %s: %s", path, strerror(errno));
    if (setns(own_namespace, CLONE_NEWNET) < 0) die("setns: %s", strerror(errno));
}

// No namespace is removed while something is being measured: the kernel cleans one up in the background with the very
// locks and RCU barriers that a DEL waits for, for tens of milliseconds, so that the suite with the shorter ADD paid for
// the namespace of the one before. All go with the caller's mount namespace. What it costs to come right after a clean-up
// is asked for with CLEANUP=1 in the environment.
static void leave_namespace(const char *path) {
    static int cleans = -1;
    if (cleans < 0) cleans = getenv("CLEANUP") != NULL;
    if (!cleans) return;
    umount2(path, MNT_DETACH);
    unlink(path);
}

// A host for each suite: one's links and packet filter are not in the other's way, as they would not be in life.
static void make_hosts(void) {
    for (int suite = 0; suite < suite_count; suite++) {
        struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        if (unshare(CLONE_NEWNET) < 0) die("unshare: %s", strerror(errno));
        hosts[suite] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        int file = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
        if (hosts[suite] < 0 || file < 0 || write(file, "1", 1) != 1) die("host: %s", strerror(errno));
        close(file);
        int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (any < 0 || ioctl(any, SIOCSIFFLAGS, &loopback) < 0) die("lo: %s", strerror(errno));
        close(any);
    }
}

static void enter_host(int suite) {
    own_namespace = hosts[suite];
    if (setns(own_namespace, CLONE_NEWNET) < 0) die("setns: %s", strerror(errno));
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
            snprintf(path, sizeof path, "/run/netns/bench-%ld-%d", round + 3, suite);
            snprintf(id, sizeof id, "bench-%ld-%d", round + 3, suite);
            program_path(program, sizeof program, suite, plugin);
            char *text = input_for(input, suite);
            make_namespace(path);
            struct run added = run(program, "ADD", id, path, "eth0", suites[suite].directory, text);
            struct run deleted = run(program, "DEL", id, path, "eth0", suites[suite].directory, text);
            leave_namespace(path);
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
static double batch(long round, int suite, const char *plugin, const char *command, const char *input, long count,
                    int workers, struct samples *latencies) {
    struct call calls[64];
    char path[256], id[64], program[512];
    program_path(program, sizeof program, suite, plugin);
    for (int slot = 0; slot < workers; slot++) calls[slot].pid = 0;
    double begin = now_us();
    long started = 0, running = 0;
    while (started < count || running > 0) {
        for (int slot = 0; slot < workers && started < count; slot++) {
            if (calls[slot].pid != 0) continue;
            snprintf(path, sizeof path, "/run/netns/par-%ld-%ld-%d", round, started, suite);
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
                snprintf(path, sizeof path, "/run/netns/par-%ld-%ld-%d", round, index, suite);
                make_namespace(path);
            }
            char *text = input_for(input, suite);
            wall[suite] += batch(round, suite, plugin, "ADD", text, count, workers, &add[suite]);
            batch(round, suite, plugin, "DEL", text, count, workers, &del[suite]);
            free(text);
            for (long index = 0; index < count; index++) {
                snprintf(path, sizeof path, "/run/netns/par-%ld-%ld-%d", round, index, suite);
                leave_namespace(path);
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

// A chain: the plugins of a list in order, each with its own input. In an input @SUITE@ and @INDEX@ stand as elsewhere,
// @PORT@ for a host port of the container's own, @PREVIOUS@ for `,"prevResult":` and the result of the plugin before (of
// the last one for DEL), or for nothing where there is none.
enum { MAX_PLUGINS = 8, RESULT_SIZE = 16384 };

struct chain {
    int count;
    char plugins[MAX_PLUGINS][64];
    char *inputs[MAX_PLUGINS];
};

struct chain_times {
    struct samples whole, each[MAX_PLUGINS];
};

// Reads DIRECTORY/0-TYPE.json, DIRECTORY/1-TYPE.json, …
static struct chain read_chain(const char *directory) {
    struct chain chain = {0};
    for (int index = 0; index < MAX_PLUGINS; index++) {
        char pattern[512];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s/%d-*.json", directory, index);
        if (glob(pattern, 0, NULL, &found) != 0) break;
        const char *name = strrchr(found.gl_pathv[0], '/') + 3;
        snprintf(chain.plugins[index], sizeof chain.plugins[index], "%.*s", (int)strcspn(name, "."), name);
        chain.inputs[index] = read_text(found.gl_pathv[0]);
        globfree(&found);
        chain.count++;
    }
    if (chain.count == 0) die("%s: no chain", directory);
    return chain;
}

static char *replaced(const char *text, const char *word, const char *with) {
    size_t size = strlen(text) + strlen(with) * 4 + 64, used = 0;
    char *result = malloc(size);
    if (!result) die("out of memory");
    while (*text) {
        const char *next = strstr(text, word);
        size_t length = next ? (size_t)(next - text) : strlen(text);
        if (used + length + strlen(with) + 1 > size) die("an input names %s too often", word);
        memcpy(result + used, text, length);
        used += length;
        if (!next) break;
        memcpy(result + used, with, strlen(with));
        used += strlen(with);
        text = next + strlen(word);
    }
    result[used] = 0;
    return result;
}

static char *chain_input(const struct chain *chain, int plugin, int suite, int port, const char *previous) {
    char number[16], *member = malloc(strlen(previous) + 32);
    if (!member) die("out of memory");
    snprintf(number, sizeof number, "%d", port);
    sprintf(member, "%s%s", *previous ? ",\"prevResult\":" : "", previous);
    char *text = input_for(chain->inputs[plugin], suite);
    char *with_port = replaced(text, "@PORT@", number);
    char *whole = replaced(with_port, "@PREVIOUS@", member);
    free(text);
    free(with_port);
    free(member);
    return whole;
}

// One command through the whole chain. `result` is what the last ADD printed, and stays for the DEL.
static void run_chain(const struct chain *chain, int suite, const char *command, const char *id, const char *path,
                      int port, char *result, struct chain_times *times) {
    int adding = !strcmp(command, "ADD");
    struct run whole = {0};
    if (adding) result[0] = 0;
    for (int step = 0; step < chain->count; step++) {
        int plugin = adding ? step : chain->count - 1 - step;
        char program[512];
        program_path(program, sizeof program, suite, chain->plugins[plugin]);
        char *input = chain_input(chain, plugin, suite, port, result);
        struct call call = start(program, command, id, path, "eth0", suites[suite].directory, input);
        int status, output = dup(call.output);
        struct rusage usage;
        while (wait4(call.pid, &status, 0, &usage) < 0)
            if (errno != EINTR) die("wait4: %s", strerror(errno));
        struct run one = finish(call, status, &usage, 1);
        if (adding && one.status == 0) {
            ssize_t length = pread(output, result, RESULT_SIZE - 1, 0);
            result[length > 0 ? length : 0] = 0;
        }
        close(output);
        free(input);
        whole.microseconds += one.microseconds;
        if (one.peak_kib > whole.peak_kib) whole.peak_kib = one.peak_kib;
        if (one.status != 0) whole.status = one.status;
        if (times) record(&times->each[plugin], one);
    }
    if (times) record(&times->whole, whole);
}

static void print_chain(const char *command, const struct chain *chain, struct chain_times *times) {
    char what[160];
    snprintf(what, sizeof what, "chain %s", command);
    for (int suite = 0; suite < suite_count; suite++) print_row(what, suites[suite].label, &times[suite].whole);
    if (chain->count == 1) return;
    for (int plugin = 0; plugin < chain->count; plugin++) {
        snprintf(what, sizeof what, "chain %s, %s", command, chain->plugins[plugin]);
        for (int suite = 0; suite < suite_count; suite++)
            print_row(what, suites[suite].label, &times[suite].each[plugin]);
    }
}

// `chain`: ADD and DEL of a chain beside containers that are there already, one after the other.
static void measure_chain(const struct chain *chain, long live, long rounds) {
    static struct chain_times add[MAX_SUITES], del[MAX_SUITES];
    char path[256], id[64], result[RESULT_SIZE];
    char(*kept)[RESULT_SIZE] = calloc((size_t)(live * suite_count + 1), RESULT_SIZE);
    if (!kept) die("out of memory");
    make_hosts();
    for (long number = 0; number < live; number++)
        for (int suite = 0; suite < suite_count; suite++) {
            enter_host(suite);
            snprintf(path, sizeof path, "/run/netns/live-%ld-%d", number, suite);
            snprintf(id, sizeof id, "live-%ld-%d", number, suite);
            make_namespace(path);
            run_chain(chain, suite, "ADD", id, path, (int)(20000 + number * MAX_SUITES + suite),
                      kept[number * suite_count + suite], NULL);
        }
    for (long round = -3; round < rounds; round++)
        for (int position = 0; position < suite_count; position++) {
            int suite = turn(round, position);
            enter_host(suite);
            struct chain_times *added = round < 0 ? NULL : &add[suite], *deleted = round < 0 ? NULL : &del[suite];
            snprintf(path, sizeof path, "/run/netns/bench-%ld-%d", round + 3, suite);
            snprintf(id, sizeof id, "bench-%ld-%d", round + 3, suite);
            make_namespace(path);
            run_chain(chain, suite, "ADD", id, path, 10000 + suite, result, added);
            run_chain(chain, suite, "DEL", id, path, 10000 + suite, result, deleted);
            leave_namespace(path);
        }
    print_chain("ADD", chain, add);
    print_chain("DEL", chain, del);
    // The caller's namespaces end with it, and the live containers with them.
    free(kept);
}

// `fill`: ADDs of a chain, each in a namespace of its own, which all stay; stops early when the time is up. Prints how many.
static void fill(const struct chain *chain, long count, double seconds) {
    double end = now_us() + seconds * 1e6;
    long number = 0;
    char path[256], id[64], result[RESULT_SIZE];
    for (; number < count && now_us() < end; number++) {
        struct chain_times times = {0};
        snprintf(path, sizeof path, "/run/netns/fill-%s-%ld", suites[0].label, number);
        snprintf(id, sizeof id, "fill-%ld", number);
        make_namespace(path);
        run_chain(chain, 0, "ADD", id, path, (int)(20000 + number), result, &times);
        if (times.whole.failures) die("filling stopped at %ld", number);
        for (int plugin = 0; plugin < chain->count; plugin++) free(times.each[plugin].microseconds);
        free(times.whole.microseconds);
    }
    printf("%ld\n", number);
}

// `chain-parallel`: whole chains per second with many in flight; each worker is a process that runs one after the other.
static void measure_chain_parallel(const struct chain *chain, long count, int workers, long rounds) {
    struct shared {
        long next, failures;
    } *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("mmap: %s", strerror(errno));
    double wall[MAX_SUITES] = {0};
    long failures[MAX_SUITES] = {0};
    char path[256];
    make_hosts();
    for (long round = 0; round < rounds; round++)
        for (int position = 0; position < suite_count; position++) {
            int suite = turn(round, position);
            enter_host(suite);
            for (long number = 0; number < count; number++) {
                snprintf(path, sizeof path, "/run/netns/par-%ld-%ld-%d", round, number, suite);
                make_namespace(path);
            }
            shared->next = shared->failures = 0;
            char(*results)[RESULT_SIZE] = mmap(NULL, (size_t)count * RESULT_SIZE, PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (results == MAP_FAILED) die("mmap: %s", strerror(errno));
            for (int phase = 0; phase < 2; phase++) {
                shared->next = 0;
                double begin = now_us();
                for (int worker = 0; worker < workers; worker++) {
                    if (fork() != 0) continue;
                    for (long number; (number = __atomic_fetch_add(&shared->next, 1, __ATOMIC_SEQ_CST)) < count;) {
                        char id[64];
                        struct chain_times times = {0};
                        snprintf(path, sizeof path, "/run/netns/par-%ld-%ld-%d", round, number, suite);
                        snprintf(id, sizeof id, "par-%ld", number);
                        run_chain(chain, suite, phase ? "DEL" : "ADD", id, path,
                                  (int)(11000 + number * MAX_SUITES + suite), results[number], &times);
                        if (times.whole.failures) __atomic_fetch_add(&shared->failures, 1, __ATOMIC_SEQ_CST);
                    }
                    _exit(0);
                }
                while (wait(NULL) > 0 || errno == EINTR) continue;
                if (phase == 0) wall[suite] += now_us() - begin;
            }
            munmap(results, (size_t)count * RESULT_SIZE);
            failures[suite] += shared->failures;
            for (long number = 0; number < count; number++) {
                snprintf(path, sizeof path, "/run/netns/par-%ld-%ld-%d", round, number, suite);
                leave_namespace(path);
            }
        }
    for (int suite = 0; suite < suite_count; suite++)
        printf("chain rate %d\t%s\t%.0f\t0\t0\t%ld\t%ld\n", workers, suites[suite].label,
               (double)(count * rounds) * 1e9 / wall[suite], count * rounds, failures[suite]);
}

static void usage(void) {
    fputs("usage: harness version PLUGIN ROUNDS LABEL=DIR...\n"
          "       harness attach PLUGIN CONF ROUNDS LABEL=DIR...\n"
          "       harness ipam PLUGIN CONF ROUNDS LABEL=DIR...\n"
          "       harness parallel PLUGIN CONF COUNT WORKERS ROUNDS LABEL=DIR...\n"
          "       harness chain DIRECTORY LIVE ROUNDS LABEL=DIR...\n"
          "       harness chain-parallel DIRECTORY COUNT WORKERS ROUNDS LABEL=DIR...\n"
          "       harness fill DIRECTORY COUNT SECONDS LABEL=DIR\n",
          stderr);
    exit(2);
}

int main(int count, char **arguments) {
    if (count < 5) usage();
    const char *mode = arguments[1], *plugin = arguments[2];
    int first = 5;
    if (!strcmp(mode, "version")) first = 4;
    if (!strcmp(mode, "chain-parallel")) first = 6;
    if (!strcmp(mode, "parallel")) first = 7;
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
    } else if (!strcmp(mode, "chain")) {
        mkdir("/run/netns", 0755);
        struct chain chain = read_chain(plugin);
        measure_chain(&chain, atol(arguments[3]), atol(arguments[4]));
    } else if (!strcmp(mode, "fill")) {
        mkdir("/run/netns", 0755);
        struct chain chain = read_chain(plugin);
        fill(&chain, atol(arguments[3]), atof(arguments[4]));
    } else if (!strcmp(mode, "chain-parallel")) {
        mkdir("/run/netns", 0755);
        struct chain chain = read_chain(plugin);
        measure_chain_parallel(&chain, atol(arguments[3]), atoi(arguments[4]), atol(arguments[5]));
    } else {
        usage();
    }
    return 0;
}
