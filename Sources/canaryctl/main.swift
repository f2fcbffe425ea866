import CommandLineTools
import Glibc

signal(SIGPIPE, SIG_IGN)
exit(Canaryctl.run(Array(CommandLine.arguments.dropFirst())))
