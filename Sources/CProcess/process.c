#define _GNU_SOURCE
#include <fcntl.h>
#include "process.h"

int cp_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }
