"""Engines: what each inference server's flags mean. Config → Deployment, pure."""

from autotuner.engines.catalogue import Catalogue, Flag, FlagType, catalogue_versions, load_catalogue
from autotuner.engines.deployment import (
    Address,
    Deployment,
    Mount,
    Probe,
    Rank,
    SecretEnv,
    ServerGroup,
    VersionProbe,
    literal,
)
from autotuner.engines.engine import Engine, FailureReport, Problem, RequestFeatures
from autotuner.engines.registry import engine_names, get_engine

__all__ = [
    "Address",
    "Catalogue",
    "Deployment",
    "Engine",
    "FailureReport",
    "Flag",
    "FlagType",
    "Mount",
    "Probe",
    "Problem",
    "Rank",
    "RequestFeatures",
    "SecretEnv",
    "ServerGroup",
    "VersionProbe",
    "catalogue_versions",
    "engine_names",
    "get_engine",
    "literal",
    "load_catalogue",
]
