"""engine.version: auto, as far as it can be told on this machine."""

from __future__ import annotations

import os

from autotuner.engines import (
    Problem,
    catalogue_versions,
    engines_to_ask,
    get_engine,
    installed_problems,
    judged_by,
    study_of,
)
from autotuner.servers import ask_version
from autotuner.study.model import Study


def with_installed_versions(study: Study, address: str | None) -> tuple[Study, list[Problem]]:
    """The study judged by the engines of this machine, and what is to be told of them.

    Where trials run elsewhere (``address``, or ``RAY_ADDRESS``), or an engine is not here, ``auto`` stays, which is
    judged by the newest catalogue until a trial's own node is asked.
    """
    if not study.launcher.starts_servers:
        return study, []
    told: list[Problem] = []
    runs_here = address is None and not os.environ.get("RAY_ADDRESS")
    for name in engines_to_ask(study):
        # What fetches gigabytes of an image is its first trial.
        answer = ask_version(get_engine(name), study_of(study, name), may_pull=False) if runs_here else None
        if answer is None:
            told.append(_not_known(name, runs_here=runs_here))
        else:
            told += installed_problems(study, name, answer)
            study = judged_by(study, name, answer)
    return study, told


def _not_known(engine: str, *, runs_here: bool) -> Problem:
    newest = catalogue_versions(engine)[-1]
    why = f"no {engine} on this machine tells its version" if runs_here else "each node is asked before its first trial"
    return Problem("engine.version", "auto", f"{why}: judged by the newest flags, of {engine} {newest}", fatal=False)
