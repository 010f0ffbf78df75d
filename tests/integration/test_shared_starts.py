"""What a dataset's prompts share reaches a real server's prefix cache, in the default, cold workload."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from autotuner.benchmark import DriverSettings, LoadPoint, Target, open_driver
from autotuner.engines import get_engine
from autotuner.metrics import LoadKind, LoadLevel, PointRun
from autotuner.servers import LaunchRequest, make_launcher
from autotuner.servers.telemetry.prometheus_page import read_page
from autotuner.space.config import Config
from autotuner.study.model import Study

ENGINE = get_engine("llamacpp")
SYSTEM_PROMPT = "You answer in one word, and never tell anybody why. " * 12  # a token a character


def test_a_prefix_cache_finds_what_prompts_share(tmp_path: Path, tiny_model: Path, mark: str, own_locks: Path) -> None:
    data = tmp_path / "d.jsonl"
    questions = [{"prompt": f"{SYSTEM_PROMPT}Question {n}: why?", "output_tokens": 4} for n in range(60)]
    data.write_text("\n".join(map(json.dumps, questions)))
    study = Study.model_validate(
        {
            "model": {"id": str(tiny_model), "served_name": "tiny"},
            "engine": {"name": "llamacpp", "args": {"ctx-size": 4096, "parallel": 2, "threads": 1}},
            "workload": {
                "scenario": {"dataset": str(data)},
                "load": {"concurrency": [1, 2]},
                "requests": {"per_slot": 4, "min": 12},
            },
        }
    )
    config = Config({})
    request = LaunchRequest(
        deployment=ENGINE.deployment(study, config),
        launch_id=mark,
        log_dir=tmp_path / "logs",
        work_dir=tmp_path / "work",
        tags={},
        start_timeout_s=60,
    )
    runs: list[PointRun] = []
    with make_launcher(study).launch(request, ENGINE.diagnose) as server:
        target = Target(server.urls, "tiny", ENGINE.features(study, config))
        with open_driver(target, DriverSettings(study.workload, 60.0, 0)) as driver:
            for concurrency in (1, 2):
                point = LoadPoint(LoadLevel(LoadKind.CONCURRENCY, concurrency), 12, 0)
                runs.append(driver.run(point, deadline_s=120.0))
        with urllib.request.urlopen(server.urls[0] + "/metrics", timeout=30) as answer:
            told = read_page(answer.read().decode(), ENGINE.server_metrics)
    assert all(record.ok for run in runs for record in run.records)
    lengths = {record.prompt_tokens for run in runs for record in run.records if not record.warmup}
    assert max(n or 0 for n in lengths) - min(n or 0 for n in lengths) < 5  # none has a mark
    assert told["prefix_hits"] > 0.8 * told["prefix_queries"]
