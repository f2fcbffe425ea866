#define _GNU_SOURCE
#include "engine.h"

#include <endian.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/un.h>
#include <pthread.h>

int ce_accept(int fd) { return ce_result(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)); }

static void bits_of(const uint8_t bytes[16], ce_ip *ip) {
    uint64_t halves[2];
    memcpy(halves, bytes, sizeof halves);
    ip->high = be64toh(halves[0]);
    ip->low = be64toh(halves[1]);
}

static void mapped(const void *v4, uint8_t bytes[16]) {
    memset(bytes, 0, 10);
    memset(bytes + 10, 0xff, 2);
    memcpy(bytes + 12, v4, 4);
}

static void describe_peer(ce_address *peer, ce_ip *ip) {
    uint8_t bytes[16] = {0};
    memset(ip, 0, sizeof *ip);
    if (peer->storage.ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&peer->storage)->sin6_addr;
        memcpy(bytes, v6, 16);
        if (IN6_IS_ADDR_V4MAPPED(v6)) {
            struct sockaddr_in *v4 = (struct sockaddr_in *)&peer->storage;
            in_port_t port = ((const struct sockaddr_in6 *)&peer->storage)->sin6_port;
            memset(v4, 0, sizeof *v4);
            v4->sin_family = AF_INET;
            v4->sin_port = port;
            memcpy(&v4->sin_addr, bytes + 12, 4);
        }
    } else if (peer->storage.ss_family == AF_INET) {
        mapped(&((const struct sockaddr_in *)&peer->storage)->sin_addr, bytes);
    } else {
        ip->is_unix = 1;
    }
    bits_of(bytes, ip);
}

int ce_accept_from(int fd, uint8_t *text, int capacity, int *length, ce_ip *ip) {
    ce_address peer = {.length = sizeof peer.storage};
    *length = 0;
    int status = accept4(fd, (struct sockaddr *)&peer.storage, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (status < 0) return -errno;
    describe_peer(&peer, ip);
    uint16_t port;
    if (peer.storage.ss_family != AF_UNIX && ce_describe(&peer, (char *)text, (size_t)capacity, &port) == 0)
        *length = (int)strlen((const char *)text);
    return status;
}

int ce_is_quiet(int fd) {
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

int ce_has_input(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void ce_random(void *out, size_t count) {
    size_t filled = 0;
    while (filled < count) {
        ssize_t n = getrandom((char *)out + filled, count - filled, 0);
        if (n > 0) filled += (size_t)n;
    }
}

void ce_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int ce_eventfd(void) { return ce_result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

void ce_eventfd_signal(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;  // full means that a wake-up is pending already
}

void ce_eventfd_clear(int fd) {
    uint64_t value;
    ssize_t n = read(fd, &value, sizeof value);
    (void)n;
}

static int resolve(const char *host, uint16_t port, int flags, ce_address *out, int capacity) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) return code < 0 ? code : -code;
    int count = 0;
    for (struct addrinfo *a = list; a && count < capacity; a = a->ai_next) {
        memset(&out[count], 0, sizeof out[count]);
        memcpy(&out[count].storage, a->ai_addr, a->ai_addrlen);
        out[count++].length = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return count;
}

int ce_resolve(const char *host, uint16_t port, int passive, ce_address *out, int capacity) {
    return resolve(host, port, passive ? AI_PASSIVE : 0, out, capacity);
}

int ce_resolve_literal(const char *host, uint16_t port, ce_address *out) {
    return resolve(host, port, AI_NUMERICHOST, out, 1);
}

const char *ce_resolve_error(int code) { return gai_strerror(code); }

int ce_unix_address(const char *path, ce_address *out) {
    struct sockaddr_un *address = (struct sockaddr_un *)&out->storage;
    size_t length = strlen(path);
    memset(out, 0, sizeof *out);
    if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

int ce_family(const ce_address *address) { return address->storage.ss_family; }

int ce_socket(int family) { return ce_result(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }
int ce_bind(int fd, const ce_address *address) {
    return ce_result(bind(fd, (const struct sockaddr *)&address->storage, address->length));
}
int ce_listen(int fd, int backlog) { return ce_result(listen(fd, backlog)); }
int ce_connect(int fd, const ce_address *address) {
    return ce_result(connect(fd, (const struct sockaddr *)&address->storage, address->length));
}

static int set(int fd, int level, int option, int value) {
    return ce_result(setsockopt(fd, level, option, &value, sizeof value));
}

int ce_socket_error(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length) < 0) return errno;
    return value;
}

int ce_set_reuse_address(int fd) { return set(fd, SOL_SOCKET, SO_REUSEADDR, 1); }
int ce_set_reuse_port(int fd) { return set(fd, SOL_SOCKET, SO_REUSEPORT, 1); }
int ce_set_no_delay(int fd) { return set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }
int ce_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return ce_result(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}
int ce_set_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return ce_result(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}
int ce_set_buffers(int fd, int send, int receive) {
    int first = set(fd, SOL_SOCKET, SO_SNDBUF, send);
    int second = set(fd, SOL_SOCKET, SO_RCVBUF, receive);
    return first < 0 ? first : second;
}

int ce_local_address(int fd, ce_address *out) {
    out->length = sizeof out->storage;
    return ce_result(getsockname(fd, (struct sockaddr *)&out->storage, &out->length));
}

int ce_describe(const ce_address *address, char *host, size_t capacity, uint16_t *port) {
    *port = 0;
    host[0] = 0;
    switch (address->storage.ss_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
        *port = ntohs(in->sin_port);
        return inet_ntop(AF_INET, &in->sin_addr, host, (socklen_t)capacity) ? 0 : -errno;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&address->storage;
        *port = ntohs(in->sin6_port);
        return inet_ntop(AF_INET6, &in->sin6_addr, host, (socklen_t)capacity) ? 0 : -errno;
    }
    case AF_UNIX: {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
        if (address->length > offsetof(struct sockaddr_un, sun_path)) snprintf(host, capacity, "%s", un->sun_path);
        return 0;
    }
    default: return -1;
    }
}

int ce_peer_credentials(int fd, int32_t *pid, uint32_t *uid) {
    struct ucred who;
    socklen_t length = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0) return -errno;
    *pid = who.pid;
    *uid = who.uid;
    return 0;
}

int ce_is_listening(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0) return 0;
    return value;
}

#define T CE_TOKEN
#define F CE_FIELD
#define P CE_TARGET
#define I CE_ID
#define H CE_HOST
#define D CE_DIGIT
#define X CE_HEX

// Targets may hold every visible character but the one that begins a fragment. RFC 3986 wants `"<>\^`{|}` escaped, but
// clients send them as they are, and no peer reads them as anything else.
const uint8_t ce_classes[256] = {
    ['\t'] = F,
    [' '] = F,
    ['!'] = T | F | P | I | H,
    ['"'] = F | P,
    ['#'] = T | F,
    ['$'] = T | F | P | I | H,
    ['%'] = T | F | P | I | H,
    ['&'] = T | F | P | I | H,
    ['\''] = T | F | P | I | H,
    ['('] = F | P | I | H,
    [')'] = F | P | I | H,
    ['*'] = T | F | P | I | H,
    ['+'] = T | F | P | I | H,
    [','] = F | P,
    ['-'] = T | F | P | I | H,
    ['.'] = T | F | P | I | H,
    ['/'] = F | P | I,
    ['0' ... '9'] = T | F | P | I | H | D | X,
    [':'] = F | P | I,
    [';'] = F | P | I | H,
    ['<'] = F | P,
    ['='] = F | P | I | H,
    ['>'] = F | P,
    ['?'] = F | P | I,
    ['@'] = F | P | I,
    ['A' ... 'F'] = T | F | P | I | H | X,
    ['G' ... 'Z'] = T | F | P | I | H,
    ['['] = F | P | I,
    ['\\'] = F | P,
    [']'] = F | P | I,
    ['^'] = T | F | P | I,
    ['_'] = T | F | P | I | H,
    ['`'] = T | F | P | I,
    ['a' ... 'f'] = T | F | P | I | H | X,
    ['g' ... 'z'] = T | F | P | I | H,
    ['{'] = F | P | I,
    ['|'] = T | F | P | I,
    ['}'] = F | P | I,
    ['~'] = T | F | P | I | H,
    [128 ... 255] = F,
};
