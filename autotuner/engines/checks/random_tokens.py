"""Where prompts of random tokens would answer a search wrongly: a dataset or a declared prefix is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.space import SearchSpace
from autotuner.space.quantization import PREFIX
from autotuner.study.model import Study, Workload

_KEY = "workload.scenario"
_EXPERTS = ("ep", "moe_tp", "moe_ep", f"{PREFIX}moe")
# Flags that are about experts by their names: moe-a2a-backend, moe_config.backend, enable-eplb, ep-dispatch-algorithm,
# deepep-mode, n-cpu-moe, expert-placement-strategy, all2all-backend, enable-two-batch-overlap, …
_ABOUT_EXPERTS = re.compile(r"moe|expert|eplb|deepep|all2all|two-batch-overlap|(^|-)ep(-|$)")
_ABOUT_SPECULATION = re.compile(r"^speculative|^spec-|^draft")
_DATASET = "use {dataset: FILE}"
_SPECULATION = "random tokens are not guessed as text is, so speculative decoding looks worse than it is"
_PREFIX = "random prompts share no prefix, so a prefix cache can't help: declare workload.shared_prefix_tokens"
_ROUTING = "random tokens spread over experts as text does not"


def random_token_problems(study: Study, space: SearchSpace, *, is_moe: bool) -> Iterator[Problem]:
    """Warnings, one a kind of search that random prompts falsify. ``is_moe``: whether the model has experts."""
    workload = study.workload
    if not _is_random(workload):
        return
    searched = [parameter.name for parameter in space.parameters if parameter.size != 1]
    speculative, prefix = (_flags_of(study, concept) for concept in ("speculative", "prefix_caching"))
    guessing = [name for name in searched if name in speculative or _ABOUT_SPECULATION.search(_flag(name))]
    yield from _warning(workload, guessing, f"{_SPECULATION}: {_DATASET}")
    if workload.shared_prefix_tokens == 0:
        yield from _warning(workload, [name for name in searched if name in prefix], f"{_PREFIX}, or {_DATASET}")
    if is_moe:
        routed = [name for name in searched if name in _EXPERTS or _ABOUT_EXPERTS.search(_flag(name))]
        yield from _warning(workload, [name for name in routed if name not in guessing], f"{_ROUTING}: {_DATASET}")


def _warning(workload: Workload, names: Sequence[str], rule: str) -> Iterator[Problem]:
    if names:
        verb = "is" if len(names) == 1 else "are"
        yield Problem(_KEY, workload.scenario, f"{', '.join(names)} {verb} searched: {rule}", fatal=False)


def _is_random(workload: Workload) -> bool:
    sources = [workload.scenario, *(part.scenario for part in workload.scenarios)]
    return all(isinstance(source, str) for source in sources if source is not None)


def _flag(name: str) -> str:
    """A parameter's flag without its engine, as words with dashes between them; nothing for a variable."""
    flag = split_prefix(name)[1]
    return "" if flag.startswith("env.") else re.sub(r"[^a-z0-9]+", "-", flag.lower())


def _flags_of(study: Study, concept: str) -> set[str]:
    """The searched names, prefixed or not, that mean ``concept`` in the study's engines."""
    found: set[str] = set()
    for engine in study.engine.names:
        catalogue = load_catalogue(engine, study_of(study, engine).engine.version)
        flag = catalogue.means(concept)
        for parameter in study.space.parameters if flag is not None else ():
            prefix, name = split_prefix(parameter)
            top = name.partition(".")[0]  # of a key inside a flag: speculative_config.max_draft_len
            if prefix in (None, engine) and flag in (catalogue.find(name), catalogue.find(top)):
                found |= {parameter, name}
    return found
