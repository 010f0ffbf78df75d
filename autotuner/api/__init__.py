"""The Python interface, one module a verb. Use it as ``import autotuner as at``; the command line does too."""
