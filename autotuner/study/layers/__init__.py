"""Layers: what a study is laid over, and where each value came from."""
