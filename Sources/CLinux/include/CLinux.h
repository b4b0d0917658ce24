// Linux declarations that Swift's Glibc module leaves out, and wrappers for variadic or macro-shaped calls.
#pragma once

// One process sees these headers through several Clang modules (this one, Glibc, CJansson), and Clang refuses types that
// differ between them. _GNU_SOURCE would rename the member of fd_set, so only GNU's own declarations are switched on; and
// netinet/in.h comes first because linux/in6.h then leaves its IPv6 types to it.
#include <features.h>
#ifndef __USE_GNU
#define __USE_GNU 1
#endif
#include <netinet/in.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/magic.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/netconf.h>
#include <linux/nsfs.h>
#include <linux/netlink.h>
#include <linux/fib_rules.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/sock_diag.h>
#include <linux/veth.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// The suite's one version number: about lines, the ELF note, `--version`.
#define SWIFTLET_VERSION "0.1.0"

// Of linux/ip.h, whose types the C library has its own of.
enum { SWIFTLET_IPV4_DEVCONF_ARP_NOTIFY = 22, SWIFTLET_IPV4_DEVCONF_ROUTE_LOCALNET = 26 };

/// `open(2)` with a mode (variadic in C).
int swiftlet_open(const char *path, int flags, mode_t mode);
/// `openat(2)` with a mode (variadic in C).
int swiftlet_openat(int directory, const char *path, int flags, mode_t mode);
/// The calling thread's `errno`.
int swiftlet_errno(void);
/// `strerror_l`-like: the C library's text for an errno, never NULL.
const char *swiftlet_strerror(int number);
/// The C name of an errno ("ENOENT"), or NULL.
const char *swiftlet_errno_name(int number);
/// `__environ`, which Swift 6 refuses as a mutable global.
char **swiftlet_environ(void);
/// `WIFEXITED`/`WEXITSTATUS` as one number: exit status, or -signal.
int swiftlet_wait_status(int status);
/// Runs `body(context)` on a fresh thread and joins it. Returns an errno; 0 when the thread ran.
int swiftlet_run_on_thread(void (*body)(void *), void *context);
/// Makes threads of ``swiftlet_run_on_thread`` share the heap of the first: for processes in which one thread always
/// waits for the other. In others all threads would share it, too.
void swiftlet_share_heap(void);
/// Sees to it that the status of children that end is kept for `waitpid(2)`: a parent that ignores SIGCHLD hands that on,
/// and the kernel then forgets them.
void swiftlet_keep_children(void);
/// `signal(SIGPIPE, SIG_IGN)`, whose constant is a cast.
void swiftlet_ignore_broken_pipes(void);
/// `mallopt(3)`: large buffers always go back to the system when they are freed. For a process that lives long.
void swiftlet_return_large_memory(void);
/// `malloc_trim(3)`: gives back what small buffers left, when that is more than `spare` bytes.
void swiftlet_trim_memory(size_t spare);
/// `fcntl(F_DUPFD_CLOEXEC)` (variadic in C). Returns the new descriptor or -1.
int swiftlet_duplicate(int descriptor);
/// The `CLONE_NEW…` kind of an open namespace (`NS_GET_NSTYPE`), -1 when it is no namespace.
int swiftlet_namespace_type(int descriptor);
/// Sets `O_NONBLOCK`. Returns 0 or -1.
int swiftlet_set_nonblocking(int descriptor);
/// Asks the kernel to answer with extended acks, capped acks and strict dump checking. Returns 0 or -1.
int swiftlet_netlink_options(int descriptor);
/// `recvfrom(2)` on a netlink socket with the sender's port id (its address argument is a union in C). A result larger
/// than `size` is the size of a datagram that was cut off and lost.
ssize_t swiftlet_netlink_receive(int descriptor, void *buffer, size_t size, int flags, unsigned *sender);
/// A link's index, MTU and Ethernet address (`SIOCGIFINDEX`, `SIOCGIFMTU`, `SIOCGIFHWADDR`) in the network namespace of any
/// socket. Returns whether it has such an address, or -1.
int swiftlet_link_summary(
    int descriptor, const char *name, int *index, int *mtu, uint8_t mac[6], int *is_running);
/// `socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)`: sends frames, receives none. Returns the descriptor or -1.
int swiftlet_packet_socket(void);
/// `sendto(2)` of a whole Ethernet frame on a packet socket by the link of that index. Returns 0 or -1.
int swiftlet_send_frame(int descriptor, int link, const void *frame, size_t size);
/// `connect(2)` to a Unix socket; `name` is a path or, when `is_abstract`, a name without its leading NUL. Returns 0 or -1.
int swiftlet_connect_unix(int descriptor, const void *name, size_t length, int is_abstract);
/// A `sockaddr_in6`, whose members Swift cannot name: several Clang modules have it. `address` has 16 bytes.
static inline struct sockaddr_in6 swiftlet_sockaddr_in6(const uint8_t *address, uint16_t port, uint32_t scope) {
    struct sockaddr_in6 result = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
    for (int index = 0; index < 16; index++) result.sin6_addr.s6_addr[index] = address[index];
    return result;
}
/// `regcomp(3)` with REG_EXTENDED | REG_NOSUB; `struct re_pattern_buffer` is one that Clang modules disagree on. Returns
/// what `swiftlet_regex_free` takes; or NULL, with the C library's text of at most `size` bytes in `reason`.
void *swiftlet_regex_compile(const char *pattern, char *reason, size_t size);
/// `regexec(3)`: whether the expression matches anywhere in `text`.
int swiftlet_regex_matches(const void *expression, const char *text);
/// `regfree(3)`.
void swiftlet_regex_free(void *expression);
