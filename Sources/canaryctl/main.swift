import CommandLineTools

Canaryctl.runProcess()
