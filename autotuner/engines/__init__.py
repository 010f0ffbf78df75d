"""Engines: what each inference server's flags mean. Config → Deployment, pure."""

from autotuner.engines.blame import under_written_key
from autotuner.engines.checks.installed import (
    EngineAnswer,
    catalogued_for,
    engines_to_ask,
    flags_in,
    installed_problems,
    judged_by,
)
from autotuner.engines.checks.model_fit import model_constraints
from autotuner.engines.checks.random_tokens import random_token_problems
from autotuner.engines.checks.requantization import requantization_problems
from autotuner.engines.checks.study_problems import study_problems
from autotuner.engines.deployment import (
    Address,
    Deployment,
    HttpCall,
    Mount,
    Probe,
    Rank,
    SecretEnv,
    ServerGroup,
    VersionProbe,
    literal,
)
from autotuner.engines.engine import Engine, EngineRule, FailureReport, ModelFormat, QuantValue, RequestFeatures
from autotuner.engines.flags.catalogue import Catalogue, catalogue_versions, load_catalogue
from autotuner.engines.flags.flag import Flag, FlagType
from autotuner.engines.one_engine import one_engine, split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import engine_names, get_engine
from autotuner.engines.server_metrics import Counter, Gauge, MetricSource, Ratio, ServerMetric, Share
from autotuner.engines.study_space import build_space

__all__ = [
    "Address",
    "Catalogue",
    "Counter",
    "Deployment",
    "Engine",
    "EngineAnswer",
    "EngineRule",
    "FailureReport",
    "Flag",
    "FlagType",
    "Gauge",
    "HttpCall",
    "MetricSource",
    "ModelFormat",
    "Mount",
    "Probe",
    "Problem",
    "QuantValue",
    "Rank",
    "Ratio",
    "RequestFeatures",
    "SecretEnv",
    "ServerGroup",
    "ServerMetric",
    "Share",
    "VersionProbe",
    "build_space",
    "catalogue_versions",
    "catalogued_for",
    "engine_names",
    "engines_to_ask",
    "flags_in",
    "get_engine",
    "installed_problems",
    "judged_by",
    "literal",
    "load_catalogue",
    "model_constraints",
    "one_engine",
    "random_token_problems",
    "requantization_problems",
    "split_prefix",
    "study_of",
    "study_problems",
    "under_written_key",
]
