#include "CLinux.h"

#include <linux/if_packet.h>
#include <linux/ip.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <regex.h>

_Static_assert(SWIFTLET_IPV4_DEVCONF_ARP_NOTIFY == IPV4_DEVCONF_ARP_NOTIFY, "linux/ip.h");
_Static_assert(SWIFTLET_IPV4_DEVCONF_ROUTE_LOCALNET == IPV4_DEVCONF_ROUTE_LOCALNET, "linux/ip.h");

int swiftlet_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

int swiftlet_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags, mode);
}

int swiftlet_errno(void) { return errno; }

const char *swiftlet_strerror(int number) {
    const char *text = strerrordesc_np(number);
    return text ? text : "unknown error";
}

const char *swiftlet_errno_name(int number) { return strerrorname_np(number); }

char **swiftlet_environ(void) { return environ; }

int swiftlet_wait_status(int status) {
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : -255;
}

struct thread_call {
    void (*body)(void *);
    void *context;
};

static void *thread_entry(void *argument) {
    struct thread_call *call = argument;
    call->body(call->context);
    return NULL;
}

static int shares_heap;

void swiftlet_share_heap(void) { shares_heap = 1; }

void swiftlet_keep_children(void) {
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) != 0) return;
    if (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT)) (void)signal(SIGCHLD, SIG_DFL);
}

int swiftlet_run_on_thread(void (*body)(void *), void *context) {
    struct thread_call call = {body, context};
    pthread_t thread;
    // One thread waits for the other: a heap of its own for the second would be mapped, split and torn for nothing.
    if (shares_heap) (void)mallopt(M_ARENA_MAX, 1);
    int error = pthread_create(&thread, NULL, thread_entry, &call);
    if (error != 0) return error;
    return pthread_join(thread, NULL);
}

void swiftlet_return_large_memory(void) {
    // glibc raises the threshold to the largest buffer that was ever freed, up to 32 MiB; from then on such buffers are cut
    // from heaps, which small ones among them keep. A fixed one, the usual at the start, is left alone.
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

void swiftlet_trim_memory(size_t spare) {
    if (mallinfo2().fordblks > spare) (void)malloc_trim(spare / 4);
}

void swiftlet_ignore_broken_pipes(void) { (void)signal(SIGPIPE, SIG_IGN); }

int swiftlet_duplicate(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 0); }

int swiftlet_namespace_type(int descriptor) { return ioctl(descriptor, NS_GET_NSTYPE); }

int swiftlet_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int swiftlet_netlink_options(int descriptor) {
    int on = 1;
    int level = 270;  // SOL_NETLINK, linux/socket.h
    // Extended acks carry the kernel's own words; without them errors are only a number, so an old kernel is no failure.
    (void)setsockopt(descriptor, level, NETLINK_EXT_ACK, &on, sizeof on);
    (void)setsockopt(descriptor, level, NETLINK_CAP_ACK, &on, sizeof on);
    (void)setsockopt(descriptor, level, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    return 0;
}

ssize_t swiftlet_netlink_receive(int descriptor, void *buffer, size_t size, int flags, unsigned *sender) {
    struct sockaddr_nl address = {0};
    socklen_t length = sizeof address;
    ssize_t received = recvfrom(descriptor, buffer, size, flags | MSG_TRUNC, (struct sockaddr *)&address, &length);
    *sender = address.nl_pid;
    return received;
}

int swiftlet_connect_unix(int descriptor, const void *name, size_t length, int is_abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    // One byte is for the NUL: before an abstract name, behind a path.
    if (length >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (length == 0 || (!is_abstract && memchr(name, 0, length))) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path + (is_abstract ? 1 : 0), name, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    return connect(descriptor, (struct sockaddr *)&address, size);
}

void *swiftlet_regex_compile(const char *pattern, char *reason, size_t size) {
    regex_t *expression = calloc(1, sizeof *expression);
    if (expression == NULL) {
        snprintf(reason, size, "out of memory");
        return NULL;
    }
    int error = regcomp(expression, pattern, REG_EXTENDED | REG_NOSUB);
    if (error == 0) return expression;
    (void)regerror(error, expression, reason, size);
    free(expression);
    return NULL;
}

int swiftlet_regex_matches(const void *expression, const char *text) {
    return regexec(expression, text, 0, NULL, 0) == 0;
}

void swiftlet_regex_free(void *expression) {
    regfree(expression);
    free(expression);
}

int swiftlet_link_summary(
    int descriptor, const char *name, int *index, int *mtu, uint8_t mac[6], int *is_running) {
    struct ifreq request = {0};
    size_t length = strlen(name);
    if (length >= sizeof request.ifr_name) {
        errno = ENODEV;
        return -1;
    }
    memcpy(request.ifr_name, name, length);
    if (ioctl(descriptor, SIOCGIFINDEX, &request) < 0) return -1;
    *index = request.ifr_ifindex;
    if (ioctl(descriptor, SIOCGIFMTU, &request) < 0) return -1;
    *mtu = request.ifr_mtu;
    if (ioctl(descriptor, SIOCGIFFLAGS, &request) < 0) return -1;
    *is_running = (request.ifr_flags & IFF_RUNNING) != 0;
    if (ioctl(descriptor, SIOCGIFHWADDR, &request) < 0) return -1;
    if (request.ifr_hwaddr.sa_family != 1 /* ARPHRD_ETHER */) return 0;
    memcpy(mac, request.ifr_hwaddr.sa_data, 6);
    return 1;
}

int swiftlet_packet_socket(void) { return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); }

int swiftlet_send_frame(int descriptor, int link, const void *frame, size_t size) {
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = link, .sll_halen = ETH_ALEN};
    if (size < ETH_HLEN) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sll_addr, frame, ETH_ALEN);
    return sendto(descriptor, frame, size, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : 0;
}
