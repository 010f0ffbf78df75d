"""Checks: what engines object to in a study, before anything is started."""
