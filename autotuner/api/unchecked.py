"""What ``check`` can't judge of a study's models, because too little is known of them here: told, never refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autotuner.engines import ModelFormat, Problem, get_engine
from autotuner.models.facts import ModelFacts
from autotuner.models.registered import nearest_registered
from autotuner.space.memory import weight_bytes
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study


def unchecked_models(study: Study, models: KnownModels) -> Iterator[Problem]:
    """One for each checkpoint of which heads, size or context are not known."""
    engines = [get_engine(name) for name in study.engine.names]
    if not study.launcher.starts_servers or all(engine.model_format is ModelFormat.GGUF for engine in engines):
        return
    yield from _unchecked("model.id", study.model.id, models.facts)
    for name, model_id in study.model.variants.items():
        yield from _unchecked(f"model.variants.{name}", model_id, models.variants.get(name))


def _unchecked(key: str, model_id: str, facts: ModelFacts | None) -> Iterator[Problem]:
    if facts is None:
        yield _unknown(key, model_id)
        return
    open_points = {
        "heads": facts.attention_heads is None,
        "memory": weight_bytes(facts) is None,
        "context": facts.positions is None,
    }
    missing = [name for name, is_open in open_points.items() if is_open]
    if missing:
        where = "its config.json does not tell enough" if facts.stated_by is None else "public sources do not tell"
        yield Problem(key, model_id, f"{where}: {_listed(missing)}", fatal=False)


def _unknown(key: str, model_id: str) -> Problem:
    what = _listed(["heads", "memory", "context"])
    if Path(model_id).is_absolute():
        return Problem(key, model_id, f"no config.json is there: {what}", fatal=False)
    nearest = nearest_registered(model_id)
    hint = f"; the nearest that is known is {nearest!r}" if nearest else ""
    rule = (
        f"its files are not on this machine, and it is none of the models that are known by their ids: {what}"
        f"{hint}; its config.json alone is enough: hf download {model_id} config.json"
    )
    return Problem(key, model_id, rule, nearest, fatal=False)


def _listed(names: list[str]) -> str:
    told = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{told} {'is' if len(names) == 1 else 'are'} unchecked"
