// Counts how many TCP connections can be set up in a row: what address translation costs is paid per connection.
//
//   connections serve PORT                      prints "ready", accepts and closes
//   connections count ADDRESS PORT TIMES        connects and closes TIMES times; prints connections per second
//
// The client closes with a reset, so neither end is left waiting and no port runs out.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "connections: %s: %s\n", what, strerror(errno));
    return 1;
}

static int serve(int port) {
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (server < 0) return fail("socket");
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0) return fail("bind");
    if (listen(server, 1024) < 0) return fail("listen");
    puts("ready");
    fflush(stdout);
    for (;;) {
        int peer = accept(server, NULL, NULL);
        if (peer >= 0) close(peer);
    }
}

static int count(const char *host, int port, long times) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct timespec begin, end;
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return fail(host);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long done = 0; done < times; done++) {
        int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (peer < 0) return fail("socket");
        if (connect(peer, (struct sockaddr *)&address, sizeof address) < 0) return fail("connect");
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(peer);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.0f\n", (double)times / ((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9));
    return 0;
}

int main(int arguments, char **argument) {
    if (arguments == 3 && !strcmp(argument[1], "serve")) return serve(atoi(argument[2]));
    if (arguments == 5 && !strcmp(argument[1], "count"))
        return count(argument[2], atoi(argument[3]), atol(argument[4]));
    fputs("usage: connections serve PORT | connections count ADDRESS PORT TIMES\n", stderr);
    return 2;
}
