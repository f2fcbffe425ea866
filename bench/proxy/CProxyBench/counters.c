#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Threads that are counted; later ones are not.
enum { MAX_THREADS = 64 };

typedef struct {
    pid_t thread;
    cb_counts counts;
} slot;

static slot slots[MAX_THREADS];
static atomic_int used;
static slot spare;
static __thread slot *mine;

static inline cb_counts *counts(void) {
    if (!mine) {
        int i = atomic_fetch_add(&used, 1);
        mine = i < MAX_THREADS ? &slots[i] : &spare;
        mine->thread = gettid();
    }
    return &mine->counts;
}

int cb_counts_of(const char *thread_name, cb_counts *out) {
    memset(out, 0, sizeof *out);
    int found = 0;
    for (int i = 0; i < MAX_THREADS && slots[i].thread; i++) {
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)slots[i].thread);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fgets(name, sizeof name, file)) name[strcspn(name, "\n")] = 0;
        fclose(file);
        if (strcmp(name, thread_name) != 0) continue;
        found = 1;
        out->allocations += slots[i].counts.allocations;
        out->frees += slots[i].counts.frees;
        out->retains += slots[i].counts.retains;
        out->releases += slots[i].counts.releases;
    }
    return found;
}

// glibc's own, under the names that it exports for those who replace them.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *malloc(size_t n) { counts()->allocations++; return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { counts()->allocations++; return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { counts()->allocations++; return __libc_realloc(p, n); }
void *memalign(size_t alignment, size_t n) { counts()->allocations++; return __libc_memalign(alignment, n); }
void *aligned_alloc(size_t alignment, size_t n) { return memalign(alignment, n); }
int posix_memalign(void **out, size_t alignment, size_t n) {
    void *p = memalign(alignment, n);
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}
void free(void *p) { if (p) counts()->frees++; __libc_free(p); }

// The linker puts these in the place of the runtime's (--wrap, see Package.swift). A bridge object's count may be counted
// twice, when the runtime goes on to one of the others.
#define COUNTED(result, name, what, parameters, arguments) \
    extern result __real_##name parameters;                 \
    result __wrap_##name parameters {                       \
        counts()->what++;                                   \
        return __real_##name arguments;                     \
    }

COUNTED(void *, swift_retain, retains, (void *p), (p))
COUNTED(void *, swift_retain_n, retains, (void *p, uint32_t n), (p, n))
COUNTED(void *, swift_bridgeObjectRetain, retains, (void *p), (p))
COUNTED(void *, swift_bridgeObjectRetain_n, retains, (void *p, int n), (p, n))
COUNTED(void, swift_release, releases, (void *p), (p))
COUNTED(void, swift_release_n, releases, (void *p, uint32_t n), (p, n))
COUNTED(void, swift_bridgeObjectRelease, releases, (void *p), (p))
COUNTED(void, swift_bridgeObjectRelease_n, releases, (void *p, int n), (p, n))
