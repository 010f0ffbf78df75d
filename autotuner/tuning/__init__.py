"""Which trial next, and its life. Import its modules directly: Ray is slow to load.

Rooms, one way: on_ray, study_run, trial, decisions, proposers.
"""
