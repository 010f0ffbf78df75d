"""One module an engine. It is found by its name: adding one touches no other file."""
