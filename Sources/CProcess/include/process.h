#pragma once
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

// A pipe that no other child inherits: pipe2 needs a feature macro that Swift's Glibc module does not set.
int cp_pipe(int ends[2]);

// Asks the kernel to send this process `signal` when its parent's thread ends: prctl is variadic, which Swift cannot call.
static inline int cp_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

// Drops the pages of code and constants that this process has mapped from its files, its libraries' included, and gives free
// heap back. What is needed again comes back from the page cache, some microseconds a page; nothing is lost, because only
// segments are dropped that nobody can write.
void cp_release_unused_pages(void);
