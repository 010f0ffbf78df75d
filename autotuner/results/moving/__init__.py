"""Folders that move: snapshots of running studies, archives, and what is taken in."""
