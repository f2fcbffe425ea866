#pragma once
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

// Load: GNU functions that Swift's Glibc module does not show.

// ppoll; the timeout in nanoseconds.
int cb_poll(struct pollfd *list, int count, int64_t nanoseconds);
const void *cb_find(const void *in, size_t n, const void *what, size_t m);
// Bytes of a reply with its body by Content-Length; 0 while its head is not whole.
size_t cb_reply_length(const void *bytes, size_t n);

// Counters of what a thread asks of the allocator and of Swift's reference counts. This target replaces malloc and its kin
// and swift_retain and its kin in the binary that it is linked into; each call costs one more increment.

typedef struct {
    // malloc, calloc, realloc, aligned allocation.
    uint64_t allocations;
    uint64_t frees;
    uint64_t retains;
    uint64_t releases;
} cb_counts;

// What the threads of this name have done so far; 0 where there is none.
int cb_counts_of(const char *thread_name, cb_counts *out);
