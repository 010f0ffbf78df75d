"""The study file: data, loading, writing."""

from autotuner.strict.paths import absolute_path
from autotuner.strict.yaml_text import yaml_scalar
from autotuner.study.dump import dump_study, study_id, study_schema
from autotuner.study.layers.origins import Explanation, Origin
from autotuner.study.layers.space_files import shipped_space_names
from autotuner.study.loader import (
    LoadedStudy,
    load_slo,
    load_slos,
    load_study,
    load_study_text,
    parse_kept_study,
    parse_study,
    read_workload,
)
from autotuner.study.model import Study
from autotuner.study.quick_slo import read_slos
from autotuner.study.slo_doubts import doubtful_limits

__all__ = [
    "Explanation",
    "LoadedStudy",
    "Origin",
    "Study",
    "absolute_path",
    "doubtful_limits",
    "dump_study",
    "load_slo",
    "load_slos",
    "load_study",
    "load_study_text",
    "parse_kept_study",
    "parse_study",
    "read_slos",
    "read_workload",
    "shipped_space_names",
    "study_id",
    "study_schema",
    "yaml_scalar",
]
