"""Flags: an engine's catalogue by version, and how their values are written."""
