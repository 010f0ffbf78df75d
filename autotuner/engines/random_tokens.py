"""Where prompts of random tokens would answer a search wrongly: a dataset or a declared prefix is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.engines.catalogue import load_catalogue
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.space import SearchSpace
from autotuner.space.quantization import PREFIX
from autotuner.study.model import Study, Workload

_KEY = "workload.scenario"
_EXPERTS = ("ep", "moe_tp", "moe_ep", f"{PREFIX}moe")
_DATASET = "use {dataset: FILE}"


def random_token_problems(study: Study, space: SearchSpace, *, is_moe: bool) -> Iterator[Problem]:
    """Warnings, one a search that random prompts falsify. ``is_moe``: whether the model has experts."""
    workload = study.workload
    if not _is_random(workload):
        return
    searched = [parameter.name for parameter in space.parameters if parameter.size != 1]
    speculative, prefix = (_flags_of(study, concept) for concept in ("speculative", "prefix_caching"))
    for name in searched:
        if name in speculative:
            rule = "random tokens are not guessed as text is, so speculative decoding looks worse than it is"
            yield Problem(_KEY, workload.scenario, f"{name} is searched: {rule}: {_DATASET}", fatal=False)
        elif name in prefix and workload.shared_prefix_tokens == 0:
            rule = "random prompts share no prefix, so a prefix cache can't help: declare workload.shared_prefix_tokens"
            yield Problem(_KEY, workload.scenario, f"{name} is searched: {rule}, or {_DATASET}", fatal=False)
        elif is_moe and name in _EXPERTS:
            rule = "random tokens spread over experts as text does not"
            yield Problem(_KEY, workload.scenario, f"{name} is searched: {rule}: {_DATASET}", fatal=False)


def _is_random(workload: Workload) -> bool:
    sources = [workload.scenario, *(part.scenario for part in workload.scenarios)]
    return all(isinstance(source, str) for source in sources if source is not None)


def _flags_of(study: Study, concept: str) -> set[str]:
    """The searched names, prefixed or not, that mean ``concept`` in the study's engines."""
    found: set[str] = set()
    for engine in study.engine.names:
        catalogue = load_catalogue(engine, study_of(study, engine).engine.version)
        flag = catalogue.means(concept)
        names = [] if flag is None else [flag.name, *flag.aliases]
        for parameter in study.space.parameters:
            prefix, name = split_prefix(parameter)
            if prefix in (None, engine) and (name in names or _starts_nested(name, names)):
                found |= {parameter, name}
    return found


def _starts_nested(name: str, flags: list[str]) -> bool:
    """Whether it is a key inside one of the flags: ``speculative_config.max_draft_len``."""
    return any(name.startswith(f"{flag}.") for flag in flags)
