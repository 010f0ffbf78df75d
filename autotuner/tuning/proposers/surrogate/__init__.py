"""The searcher `auto`: a surrogate of what Configs are worth, over those that have not been proposed."""

from autotuner.tuning.proposers.surrogate.surrogate import SurrogateProposer

__all__ = ["SurrogateProposer"]
