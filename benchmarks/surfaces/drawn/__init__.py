"""Surfaces drawn at random from wide families: a guard against tuning a search to those that can be seen."""

from benchmarks.surfaces.drawn.draw import Drawn, draw
from benchmarks.surfaces.drawn.files import write_surface

__all__ = ["Drawn", "draw", "write_surface"]
