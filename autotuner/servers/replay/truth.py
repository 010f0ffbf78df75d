"""What a table knows that no search does: the true score of each Config, over all its repeats, and what it costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.benchmark import LoadPoint, full_requests
from autotuner.benchmark.load_search import searchable_levels
from autotuner.metrics import PointRun, measure, measure_context
from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring import Score, parse_objectives, score_rung, with_max_load
from autotuner.servers.replay.clock import VirtualClock
from autotuner.servers.replay.launcher import ReplayDriver, ReplayedServer
from autotuner.servers.replay.recorded import RecordedLaunch
from autotuner.study.model import FindMaxLoad, Study


@dataclass(frozen=True)
class Truth:
    """Of one Config at full fidelity. ``cost_s``: what one trial of it reserves, start-up included; times ``gpus``,
    where there are any, GPU-seconds."""

    score: Score
    cost_s: float
    gpus: int

    @property
    def gpu_s(self) -> float:
        """Without GPUs a server counts as one."""
        return self.cost_s * max(1, self.gpus)


def true_score(study: Study, launches: Sequence[RecordedLaunch], accelerator: str = "") -> Truth:
    """Requests of all repeats together, at each level the study's full number of them. ``accelerator`` sets a price.

    Of a load search every recorded level counts, and costs: no search asks for all of them.
    """
    runs: dict[LoadLevel, list[PointRun]] = defaultdict(list)
    failed: set[LoadLevel] = set()
    costs = []
    is_search = isinstance(study.workload.load, FindMaxLoad)
    recorded = {level for launch in launches for level in launch.levels} if is_search else None
    wanted = searchable_levels(study.workload, recorded)
    for launch in launches:
        clock = VirtualClock(0.0)
        clock.sleep(launch.startup_s)
        if launch.failure is None:
            driver = ReplayDriver(ReplayedServer.of(launch), clock)
            for level in wanted:
                run = driver.run(LoadPoint(level, full_requests(study.workload, level), 0), deadline_s=float("inf"))
                if run.replayed is not None and run.replayed.failure is not None:
                    failed.add(level)
                else:
                    runs[level].append(run)
        costs.append(clock.epoch_s())
    gpus = launches[0].gpus
    context = measure_context(study, gpus=gpus, cpus=0, replicas=1, accelerator=accelerator)
    measurements = [measure(level, runs[level], context) for level in sorted(runs) if level not in failed]
    measured = {measurement.level for measurement in measurements}
    if is_search:
        measurements = [*with_max_load(measurements, study.slo, context)]
    unmeasured = [level for level in wanted if level not in measured]
    score = score_rung(measurements, unmeasured, study.slo, parse_objectives(study.objectives), study.search.select)
    return Truth(score, statistics.fmean(costs), gpus)
