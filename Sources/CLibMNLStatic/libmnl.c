// libmnl's API (libmnl/libmnl.h) for static executables, where the distribution has no libmnl.a: as much of it as libnftnl
// and the Netlink room call. Written from that header, netlink(7) and linux/netlink.h. scripts/build.sh compiles it into
// an archive. Tests compare every function with the shared libmnl's; for them the functions have other names.
#ifdef SWIFTLET_OTHER_NAMES
#include "names.h"
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <libmnl/libmnl.h>

// MARK: Attributes read

static int refuse(int reason) {
    errno = reason;
    return -1;
}

uint16_t mnl_attr_get_type(const struct nlattr *attr) { return attr->nla_type & NLA_TYPE_MASK; }

uint16_t mnl_attr_get_payload_len(const struct nlattr *attr) { return (uint16_t)(attr->nla_len - MNL_ATTR_HDRLEN); }

void *mnl_attr_get_payload(const struct nlattr *attr) { return (char *)attr + MNL_ATTR_HDRLEN; }

const char *mnl_attr_get_str(const struct nlattr *attr) { return mnl_attr_get_payload(attr); }

uint8_t mnl_attr_get_u8(const struct nlattr *attr) { return *(uint8_t *)mnl_attr_get_payload(attr); }

uint16_t mnl_attr_get_u16(const struct nlattr *attr) { return *(uint16_t *)mnl_attr_get_payload(attr); }

uint32_t mnl_attr_get_u32(const struct nlattr *attr) { return *(uint32_t *)mnl_attr_get_payload(attr); }

uint64_t mnl_attr_get_u64(const struct nlattr *attr) {
    uint64_t value;
    // Netlink aligns to four bytes.
    memcpy(&value, mnl_attr_get_payload(attr), sizeof value);
    return value;
}

bool mnl_attr_ok(const struct nlattr *attr, int len) {
    return len >= (int)sizeof *attr && attr->nla_len >= sizeof *attr && (int)attr->nla_len <= len;
}

struct nlattr *mnl_attr_next(const struct nlattr *attr) {
    return (struct nlattr *)((char *)attr + MNL_ALIGN(attr->nla_len));
}

int mnl_attr_type_valid(const struct nlattr *attr, uint16_t maxtype) {
    return mnl_attr_get_type(attr) <= maxtype ? 1 : refuse(EOPNOTSUPP);
}

// 0 when the payload can be of the type; -1 with ERANGE when its size is not the type's, EINVAL when a text has no NUL.
int mnl_attr_validate(const struct nlattr *attr, enum mnl_attr_data_type type) {
    static const uint8_t sizes[MNL_TYPE_MAX] = {
        [MNL_TYPE_U8] = sizeof(uint8_t),   [MNL_TYPE_U16] = sizeof(uint16_t),   [MNL_TYPE_U32] = sizeof(uint32_t),
        [MNL_TYPE_U64] = sizeof(uint64_t), [MNL_TYPE_MSECS] = sizeof(uint64_t),
    };
    uint16_t length = mnl_attr_get_payload_len(attr);
    const char *payload = mnl_attr_get_payload(attr);
    if ((unsigned)type >= MNL_TYPE_MAX) return refuse(EINVAL);
    switch (type) {
    case MNL_TYPE_FLAG: return length == 0 ? 0 : refuse(ERANGE);
    case MNL_TYPE_STRING: return length > 0 ? 0 : refuse(ERANGE);
    case MNL_TYPE_NUL_STRING:
        if (length == 0) return refuse(ERANGE);
        return payload[length - 1] == 0 ? 0 : refuse(EINVAL);
    // A nest is empty or begins with a whole attribute header.
    case MNL_TYPE_NESTED: return length == 0 || length >= MNL_ATTR_HDRLEN ? 0 : refuse(ERANGE);
    default: return sizes[type] == 0 || length == sizes[type] ? 0 : refuse(ERANGE);
    }
}

static int parse(const struct nlattr *attr, const char *end, mnl_attr_cb_t cb, void *data) {
    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        int result = cb(attr, data);
        if (result <= MNL_CB_STOP) return result;
    }
    return MNL_CB_OK;
}

int mnl_attr_parse_nested(const struct nlattr *attr, mnl_attr_cb_t cb, void *data) {
    const char *payload = mnl_attr_get_payload(attr);
    return parse((const struct nlattr *)payload, payload + mnl_attr_get_payload_len(attr), cb, data);
}

int mnl_attr_parse(const struct nlmsghdr *nlh, unsigned int offset, mnl_attr_cb_t cb, void *data) {
    const char *payload = mnl_nlmsg_get_payload(nlh);
    return parse((const struct nlattr *)(payload + MNL_ALIGN(offset)), (const char *)nlh + MNL_ALIGN(nlh->nlmsg_len), cb,
                 data);
}

// MARK: Messages and attributes written

void *mnl_nlmsg_get_payload(const struct nlmsghdr *nlh) { return (char *)nlh + MNL_NLMSG_HDRLEN; }

struct nlmsghdr *mnl_nlmsg_put_header(void *buf) {
    struct nlmsghdr *header = buf;
    memset(header, 0, MNL_NLMSG_HDRLEN);
    header->nlmsg_len = MNL_NLMSG_HDRLEN;
    return header;
}

static void *tail(const struct nlmsghdr *nlh) { return (char *)nlh + MNL_ALIGN(nlh->nlmsg_len); }

void *mnl_nlmsg_put_extra_header(struct nlmsghdr *nlh, size_t size) {
    char *header = (char *)nlh + nlh->nlmsg_len;
    memset(header, 0, MNL_ALIGN(size));
    nlh->nlmsg_len += (uint32_t)MNL_ALIGN(size);
    return header;
}

static struct nlattr *begin(struct nlmsghdr *nlh, uint16_t type, size_t payload) {
    struct nlattr *attr = tail(nlh);
    attr->nla_type = type;
    attr->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + payload);
    nlh->nlmsg_len += (uint32_t)MNL_ALIGN(MNL_ATTR_HDRLEN + payload);
    return attr;
}

void mnl_attr_put(struct nlmsghdr *nlh, uint16_t type, size_t len, const void *data) {
    char *payload = mnl_attr_get_payload(begin(nlh, type, len));
    if (len) memcpy(payload, data, len);
    // The shared libmnl leaves the padding as it was, and so sends what the heap held before.
    memset(payload + len, 0, MNL_ALIGN(len) - len);
}

void mnl_attr_put_u8(struct nlmsghdr *nlh, uint16_t type, uint8_t data) { mnl_attr_put(nlh, type, sizeof data, &data); }

void mnl_attr_put_u16(struct nlmsghdr *nlh, uint16_t type, uint16_t data) {
    mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t data) {
    mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u64(struct nlmsghdr *nlh, uint16_t type, uint64_t data) {
    mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_str(struct nlmsghdr *nlh, uint16_t type, const char *data) {
    mnl_attr_put(nlh, type, strlen(data), data);
}

void mnl_attr_put_strz(struct nlmsghdr *nlh, uint16_t type, const char *data) {
    mnl_attr_put(nlh, type, strlen(data) + 1, data);
}

struct nlattr *mnl_attr_nest_start(struct nlmsghdr *nlh, uint16_t type) {
    return begin(nlh, NLA_F_NESTED | type, 0);
}

void mnl_attr_nest_end(struct nlmsghdr *nlh, struct nlattr *start) {
    start->nla_len = (uint16_t)((char *)tail(nlh) - (char *)start);
}

// MARK: Sockets

struct mnl_socket {
    int descriptor;
    struct sockaddr_nl address;
};

struct mnl_socket *mnl_socket_fdopen(int fd) {
    struct mnl_socket *socket = calloc(1, sizeof *socket);
    struct sockaddr_nl address = {0};
    socklen_t length = sizeof address;
    if (!socket) return NULL;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        free(socket);
        return NULL;
    }
    socket->descriptor = fd;
    // A socket that is bound already keeps its address; any other has none yet.
    if (address.nl_family == AF_NETLINK) socket->address = address;
    return socket;
}

int mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid) {
    socklen_t length = sizeof nl->address;
    nl->address = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_groups = groups, .nl_pid = (uint32_t)pid};
    if (bind(nl->descriptor, (struct sockaddr *)&nl->address, length) < 0) return -1;
    // The kernel chose the port when none was asked for.
    if (getsockname(nl->descriptor, (struct sockaddr *)&nl->address, &length) < 0) return -1;
    return length == sizeof nl->address && nl->address.nl_family == AF_NETLINK ? 0 : refuse(EINVAL);
}

unsigned int mnl_socket_get_portid(const struct mnl_socket *nl) { return nl->address.nl_pid; }

ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *req, size_t siz) {
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(nl->descriptor, req, siz, 0, (const struct sockaddr *)&kernel, sizeof kernel);
}

int mnl_socket_close(struct mnl_socket *nl) {
    int result = close(nl->descriptor);
    free(nl);
    return result;
}
