"""This node: its cores, ports, GPUs, executables and locks."""
