"""The command line: parsing and printing only, over the Python interface."""
