"""Surfaces: studies that are replayed from tables, and the programs that recorded or made these."""
