"""What each changed setting of the recommended Config is worth."""

from autotuner.results.worth.beliefs import FlagBelief, FlagBeliefs, keep_beliefs, kept_beliefs
from autotuner.results.worth.flags import FlagWorth, Source, find_flag_worths

__all__ = [
    "FlagBelief",
    "FlagBeliefs",
    "FlagWorth",
    "Source",
    "find_flag_worths",
    "keep_beliefs",
    "kept_beliefs",
]
