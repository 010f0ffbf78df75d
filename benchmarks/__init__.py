"""Measurements of Autotuner itself: `python -m benchmarks.NAME [--json]`, a table each."""
