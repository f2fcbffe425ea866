#pragma once
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

// A pipe that no other child inherits: pipe2 needs a feature macro that Swift's Glibc module does not set.
int cp_pipe(int ends[2]);

// Asks the kernel to send this process `signal` when its parent's thread ends: prctl is variadic, which Swift cannot call.
static inline int cp_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }
