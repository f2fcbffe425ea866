#pragma once
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

// GNU functions that Swift's Glibc module does not export, for the load.

// ppoll with the timeout in nanoseconds.
int cb_poll(struct pollfd *list, int count, int64_t nanoseconds);
// memmem.
const void *cb_find(const void *in, size_t n, const void *what, size_t m);
// The length of a response, head and body, by its Content-Length; 0 while the head is incomplete.
size_t cb_response_length(const void *bytes, size_t n);

// Counters of a thread's calls of the allocator and of Swift's reference counting. This target replaces malloc,
// swift_retain and the functions related to them in the binary that it is linked into; each call costs one more increment.

typedef struct {
    // malloc, calloc, realloc, aligned allocation.
    uint64_t allocations;
    uint64_t frees;
    uint64_t retains;
    uint64_t releases;
} cb_counts;

// The counts of all threads with this name so far. Returns 0 if there is no such thread.
int cb_counts_of(const char *thread_name, cb_counts *out);
