"""What a trial starts in place of servers that had no GPU memory to start."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.engines.deployment import Deployment
from autotuner.engines.less_memory import with_less_memory
from autotuner.errors import Failure, InputError, LaunchError
from autotuner.results.records import changes_text
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.capacity import deployment_of


@dataclass(frozen=True)
class LessMemory:
    """``told``: what is changed, in words."""

    config: Config
    deployment: Deployment
    told: str


def less_memory(study: Study, config: Config, error: LaunchError) -> LessMemory | None:
    """``None`` where the start failed for another reason, the study does not want it, or less memory can't help.

    What starts no servers (an endpoint, recorded measurements) can't be started otherwise.
    """
    wanted = study.engine.retry_oom and study.launcher.starts_servers
    if not wanted or error.failure is not Failure.OUT_OF_MEMORY_AT_START:
        return None
    less = with_less_memory(study, config, error.message)
    if less is None:
        return None
    try:
        return LessMemory(less, deployment_of(study, less), changes_text(config.values, less.values))
    except InputError:  # a rule of the engine's is broken by it
        return None
