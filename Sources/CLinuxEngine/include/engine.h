#pragma once
// What Glibc's Swift module leaves out: epoll, accept4, socket options, and address conversions that would be a page of
// pointer casts in Swift. Everything on the request path is static inline.

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum {
    CE_READABLE = EPOLLIN,
    CE_WRITABLE = EPOLLOUT,
    CE_PEER_CLOSED = EPOLLRDHUP,
    CE_ERROR = EPOLLERR,
    CE_HANGUP = EPOLLHUP,
};

// Space for one event of ce_wait.
enum { CE_EVENT_SIZE = sizeof(struct epoll_event) };

// All functions that can fail return -errno.

static inline int ce_result(int value) { return value < 0 ? -errno : value; }

static inline int ce_epoll_create(void) { return ce_result(epoll_create1(EPOLL_CLOEXEC)); }

static inline int ce_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return ce_result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

// Wakes only one of the epolls that wait on a shared descriptor.
static inline int ce_epoll_add_exclusive(int epoll, int fd, uint64_t data) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.u64 = data}};
    return ce_result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static inline int ce_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return ce_result(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

static inline int ce_epoll_remove(int epoll, int fd) {
    struct epoll_event event = {0};
    return ce_result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event));
}

static inline int ce_wait(int epoll, void *events, int capacity, int timeout_ms) {
    return ce_result(epoll_wait(epoll, (struct epoll_event *)events, capacity, timeout_ms));
}

static inline uint32_t ce_event_flags(const void *events, int i) { return ((const struct epoll_event *)events)[i].events; }
static inline uint64_t ce_event_data(const void *events, int i) { return ((const struct epoll_event *)events)[i].data.u64; }

static inline int64_t ce_monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline ssize_t ce_receive(int fd, void *to, size_t count) {
    ssize_t n = recv(fd, to, count, 0);
    return n < 0 ? -errno : n;
}

static inline ssize_t ce_send(int fd, const void *from, size_t count, int more) {
    ssize_t n = send(fd, from, count, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    return n < 0 ? -errno : n;
}

// Accepts a connection as a non-blocking, close-on-exec socket.
int ce_accept(int fd);
// An address as 128 bits, IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2), both halves in the order of the host.
typedef struct {
    uint64_t high;
    uint64_t low;
    int is_unix;
} ce_ip;

// The same, with the peer's address as text (nothing for Unix sockets; IPv4 that came in over IPv6 as IPv4) and as bits.
int ce_accept_from(int fd, uint8_t *text, int capacity, int *length, ce_ip *ip);
// True if an idle connection is still open and has no input, neither bytes nor the end of the stream.
int ce_is_quiet(int fd);
// True if bytes wait to be read; the end of the stream does not count.
int ce_has_input(int fd);
static inline int ce_shutdown_write(int fd) { return ce_result(shutdown(fd, SHUT_WR)); }

// Fills a buffer with random bytes from the kernel.
void ce_random(void *out, size_t count);
void ce_name_thread(const char *name);
int ce_eventfd(void);
void ce_eventfd_signal(int fd);
void ce_eventfd_clear(int fd);

// An address as the kernel takes it.
typedef struct {
    struct sockaddr_storage storage;
    socklen_t length;
} ce_address;

// Returns how many addresses were written (at most capacity), or -EAI_… (the resolver's codes, made negative).
int ce_resolve(const char *host, uint16_t port, int passive, ce_address *out, int capacity);
// The same for an address in text form instead of a name; never blocks.
int ce_resolve_literal(const char *host, uint16_t port, ce_address *out);
const char *ce_resolve_error(int code);
// Returns -ENAMETOOLONG if the path does not fit.
int ce_unix_address(const char *path, ce_address *out);
int ce_family(const ce_address *address);
// Opens a stream socket that is non-blocking and close-on-exec.
int ce_socket(int family);
int ce_bind(int fd, const ce_address *address);
int ce_listen(int fd, int backlog);
int ce_connect(int fd, const ce_address *address);
// The pending error of a socket, 0 for none.
int ce_socket_error(int fd);
int ce_set_reuse_address(int fd);
int ce_set_reuse_port(int fd);
int ce_set_no_delay(int fd);
int ce_set_nonblocking(int fd);
// Makes close send a reset and discard the bytes that were not sent.
int ce_set_reset_on_close(int fd);
int ce_set_buffers(int fd, int send, int receive);
int ce_local_address(int fd, ce_address *out);
// Writes the host without brackets, and the port, 0 for Unix sockets. Returns -1 for other families.
int ce_describe(const ce_address *address, char *host, size_t capacity, uint16_t *port);
// The process and user at the other end of a Unix socket.
int ce_peer_credentials(int fd, int32_t *pid, uint32_t *uid);
int ce_is_listening(int fd);

// Characters of HTTP, as bits.
enum {
    CE_TOKEN = 1,    // tchar
    CE_FIELD = 2,    // HTAB, SP, VCHAR, obs-text
    CE_TARGET = 4,   // visible ASCII that may stand in a request target; a question mark ends its path
    CE_ID = 8,       // what a request id may hold: nothing that a line, a list or a query could break on
    CE_HOST = 16,    // reg-name without comma
    CE_DIGIT = 32,
    CE_HEX = 64,
};
extern const uint8_t ce_classes[256];
static inline uint8_t ce_class(uint8_t byte) { return ce_classes[byte]; }

// The index of the first byte that may not stand in a field value (controls but HTAB, DEL), or count. Callers pass whole
// heads, so it nearly always stops at a CR.
static inline size_t ce_field_end(const uint8_t *p, size_t count) {
    size_t i = 0;
    while (i + 8 <= count) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        const uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
        uint64_t low = (w - ones * 0x20) & ~w & high;          // bytes < 0x20
        uint64_t d = w ^ (ones * 0x7f);
        uint64_t del = (d - ones) & ~d & high;                 // bytes == 0x7f
        uint64_t hit = low | del;
        if (hit) {
            // A borrow can only make false hits after a true one: the lowest is right.
            size_t at = i + (size_t)(__builtin_ctzll(hit) >> 3);
            if (p[at] != '\t') return at;
            i = at + 1;
            continue;
        }
        i += 8;
    }
    for (; i < count; i++)
        if (!(ce_classes[p[i]] & CE_FIELD)) return i;
    return count;
}
