"""Which Configs there are: parameters, conditions, constraints."""

from autotuner.space._nodes import Value
from autotuner.space.build import read_space
from autotuner.space.config import Config
from autotuner.space.count import Count
from autotuner.space.expression import Constraint, Expression
from autotuner.space.parameters import Choice, FloatRange, IntRange, Parameter, Rule
from autotuner.space.search_space import Rng, SearchSpace, values_to_check

__all__ = [
    "Choice",
    "Config",
    "Constraint",
    "Count",
    "Expression",
    "FloatRange",
    "IntRange",
    "Parameter",
    "Rng",
    "Rule",
    "SearchSpace",
    "Value",
    "read_space",
    "values_to_check",
]
