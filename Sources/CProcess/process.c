#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include "process.h"

int cp_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

static int release_object(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size, (void)context;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        // What the loader relocates lies in writable segments, even where it is made read-only afterwards.
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void cp_release_unused_pages(void) {
    dl_iterate_phdr(release_object, NULL);
    malloc_trim(0);
}
