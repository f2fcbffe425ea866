#define _GNU_SOURCE
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int cb_poll(struct pollfd *list, int count, int64_t nanoseconds) {
    struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return ppoll(list, (nfds_t)count, &timeout, NULL);
}

const void *cb_find(const void *in, size_t n, const void *what, size_t m) { return memmem(in, n, what, m); }

size_t cb_response_length(const void *bytes, size_t n) {
    const char *start = bytes, *end = memmem(bytes, n, "\r\n\r\n", 4);
    if (!end) return 0;
    const char field[] = "\ncontent-length:";
    for (const char *at = start; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        if (!strncasecmp(at, field, sizeof field - 1)) return (size_t)(end - start) + 4 + strtoul(at + sizeof field - 1, NULL, 10);
    return (size_t)(end - start) + 4;
}
