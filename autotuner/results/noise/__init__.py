"""By how much runs of one Config differ: from run to run, and over the time of a study. Pure."""

from autotuner.results.noise.metric_noise import MetricNoise, find_noise, watched_columns

__all__ = ["MetricNoise", "find_noise", "watched_columns"]
