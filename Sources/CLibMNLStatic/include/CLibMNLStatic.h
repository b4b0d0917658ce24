#pragma once
// libmnl.c's functions under the names they have in tests. They have the types libmnl's own header gives them.
#include <features.h>
#ifndef __USE_GNU
#define __USE_GNU 1
#endif
#include <netinet/in.h>

#include <libmnl/libmnl.h>

extern __typeof__(mnl_attr_get_payload) static_mnl_attr_get_payload;
extern __typeof__(mnl_attr_get_payload_len) static_mnl_attr_get_payload_len;
extern __typeof__(mnl_attr_get_str) static_mnl_attr_get_str;
extern __typeof__(mnl_attr_get_type) static_mnl_attr_get_type;
extern __typeof__(mnl_attr_get_u16) static_mnl_attr_get_u16;
extern __typeof__(mnl_attr_get_u32) static_mnl_attr_get_u32;
extern __typeof__(mnl_attr_get_u64) static_mnl_attr_get_u64;
extern __typeof__(mnl_attr_get_u8) static_mnl_attr_get_u8;
extern __typeof__(mnl_attr_nest_end) static_mnl_attr_nest_end;
extern __typeof__(mnl_attr_nest_start) static_mnl_attr_nest_start;
extern __typeof__(mnl_attr_next) static_mnl_attr_next;
extern __typeof__(mnl_attr_ok) static_mnl_attr_ok;
extern __typeof__(mnl_attr_parse) static_mnl_attr_parse;
extern __typeof__(mnl_attr_parse_nested) static_mnl_attr_parse_nested;
extern __typeof__(mnl_attr_put) static_mnl_attr_put;
extern __typeof__(mnl_attr_put_str) static_mnl_attr_put_str;
extern __typeof__(mnl_attr_put_strz) static_mnl_attr_put_strz;
extern __typeof__(mnl_attr_put_u16) static_mnl_attr_put_u16;
extern __typeof__(mnl_attr_put_u32) static_mnl_attr_put_u32;
extern __typeof__(mnl_attr_put_u64) static_mnl_attr_put_u64;
extern __typeof__(mnl_attr_put_u8) static_mnl_attr_put_u8;
extern __typeof__(mnl_attr_type_valid) static_mnl_attr_type_valid;
extern __typeof__(mnl_attr_validate) static_mnl_attr_validate;
extern __typeof__(mnl_nlmsg_get_payload) static_mnl_nlmsg_get_payload;
extern __typeof__(mnl_nlmsg_put_extra_header) static_mnl_nlmsg_put_extra_header;
extern __typeof__(mnl_nlmsg_put_header) static_mnl_nlmsg_put_header;
extern __typeof__(mnl_socket_bind) static_mnl_socket_bind;
extern __typeof__(mnl_socket_close) static_mnl_socket_close;
extern __typeof__(mnl_socket_fdopen) static_mnl_socket_fdopen;
extern __typeof__(mnl_socket_get_portid) static_mnl_socket_get_portid;
extern __typeof__(mnl_socket_sendto) static_mnl_socket_sendto;
