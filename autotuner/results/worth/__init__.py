"""What each changed setting of the recommended Config is worth."""

from autotuner.results.worth.beliefs import FlagBelief, FlagBeliefs, keep_beliefs, kept_beliefs
from autotuner.results.worth.flags import FlagWorth, Source, find_flag_worths
from autotuner.results.worth.put_back import PutBackTrial, find_put_back

__all__ = [
    "FlagBelief",
    "FlagBeliefs",
    "FlagWorth",
    "PutBackTrial",
    "Source",
    "find_flag_worths",
    "find_put_back",
    "keep_beliefs",
    "kept_beliefs",
]
