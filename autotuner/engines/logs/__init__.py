"""Logs of engines: which line is to blame for a failure."""
