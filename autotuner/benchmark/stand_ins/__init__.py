"""Servers with known times and odd habits, to measure ourselves against."""
