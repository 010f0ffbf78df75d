"""What ``run`` and ``resume`` print at the end."""

from __future__ import annotations

import shlex
from pathlib import Path

import autotuner as at
from autotuner.cli.output import note, print_json


def tell_ending(result: at.Result, as_json: bool) -> int:
    if as_json:
        print_json(result.summary)
    else:
        result.print_summary()
    if result.exit_code > 128:  # a signal's
        note(f"interrupted; go on with: autotuner resume {shlex.quote(str(result.path))}")
    if result.not_deployable is not None:
        note(f"not every deployment file could be written: {result.not_deployable} says which, and why")
    _tell_of_rays_copy(result.path)
    return result.exit_code


def _tell_of_rays_copy(path: Path) -> None:
    from autotuner.tuning.on_ray.job_folder import is_rays_copy, own_job_id

    if is_rays_copy(path):
        note(
            f"{path} is in the job's copy of its working directory, which Ray deletes some time after the job: "
            f"bring it to your machine with: autotuner fetch {own_job_id()}"
        )
