"""A result folder of aiconfigurator: what it predicts to be best becomes the space that is measured.

``FOLDER/EXPERIMENT/`` has ``exp_config.yaml`` (of several engines: ``ENGINE_exp_config.yaml``),
``best_config_topn.csv``, ``pareto.csv`` and ``topN/`` with deployment files (aiconfigurator 0.12.0,
``cli/report_and_save.py``).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from autotuner.errors import InputError
from autotuner.imports.aiconfigurator import convert_experiments, reason_of
from autotuner.imports.draft import StudyDraft, study_name
from autotuner.imports.record import Recorder
from autotuner.imports.text import parse_text, read_text

WHAT = "a result folder of aiconfigurator"
_CONFIG = "exp_config.yaml"
_BEST = "best_config_topn.csv"
_PREDICTED = "predicted; a study measures"
_DEPLOYMENT = "deployment files of a prediction: autotuner export writes those of measured Configs"


def is_result_folder(folder: Path) -> bool:
    return bool(_experiments(folder))


def read_folder(folder: Path) -> Recorder:
    """Experiment → file → content; a table is a map of its columns."""
    return Recorder({path.name: _experiment(path) for path in _experiments(folder)})


def convert_folder(source: Recorder, draft: StudyDraft, experiment: str | None = None) -> None:
    """The experiment of this name, else the one that serves in one place (agg). Raises InputError."""
    names = source.names()
    if experiment is not None and experiment not in names:
        rule = f"one of {', '.join(names)}"
        raise InputError(f"experiment: {experiment!r}: {rule}", key="experiment", value=experiment, rule=rule)
    name = experiment or ("agg" if "agg" in names else names[0])
    for other in [other for other in names if other != name]:
        source.leave(other, "an experiment of its own: import it with --experiment NAME")
    folder = source.section(name)
    configs = _configs(folder)
    lead = configs[0]
    model = str(lead.look("model_path") or lead.look("decode_model_path") or "model")
    draft.put(study_name(f"{model.rpartition('/')[2]}-{name}"), "name")
    convert_experiments(lead, configs, draft)
    for twin in configs[1:]:
        for key in twin.names():
            if twin.look(key) == lead.look(key):
                twin.get(key)
    if len(configs) == 1:
        _narrow(folder.section(_BEST), draft, "(d)" if lead.look("serving_mode") == "disagg" else "")
    _levels(folder.section(_BEST), draft)
    for file in [file for file in folder.names() if file.endswith(".csv")]:
        folder.section(file).leave_together(f"{_PREDICTED} (these columns)")
    source.leave_the_rest(_reason_of)


def _configs(folder: Recorder) -> list[Recorder]:
    """The experiment of each engine that is among the best, in their order."""
    files = [file for file in folder.names() if file.endswith(_CONFIG)]
    best = folder.section(_BEST)
    engines = dict.fromkeys(best.look("backend") or best.look("(d)backend") or [])
    chosen = [file for engine in engines for file in files if file == f"{engine}_{_CONFIG}"] or files
    for file in [file for file in files if file not in chosen]:
        folder.leave(file, f"none of the rows of {_BEST} is of this engine")
    return [folder.section(file) for file in chosen]


def _narrow(best: Recorder, draft: StudyDraft, prefix: str) -> None:
    """Keeps the degrees that the best predictions have, where they say the same as the experiment's candidates do."""
    known = draft.get("space", "parallelism") or {}
    engine = draft.get("engine", "name")
    tp, dp = _numbers(best, f"{prefix}tp"), _numbers(best, f"{prefix}dp")
    if engine != "vllm" and dp:  # there tp is the whole width
        tp = [a * b for a, b in zip(tp, dp, strict=True)]
        dp = dp if engine == "sglang" else []
    found = {
        "tp": tp,
        "dp": dp,
        "pp": _numbers(best, f"{prefix}pp"),
        ("moe_ep" if engine == "trtllm" else "ep"): _numbers(best, f"{prefix}moe_ep"),
        **({"moe_tp": _numbers(best, f"{prefix}moe_tp")} if engine == "trtllm" else {}),
    }
    for degree, values in found.items():
        kept = [value for value in known.get(degree, []) if value in values]
        if kept:
            draft.put(kept, "space", "parallelism", degree, origin=best.key(f"{prefix}{degree}"))
    if any(found.values()):
        draft.note("space", f"parallelism: the degrees of the rows of {_BEST}.")


def _levels(best: Recorder, draft: StudyDraft) -> None:
    levels = sorted({*_numbers(best, "concurrency")})
    if levels:
        draft.put({"concurrency": levels}, "workload", "load", origin=best.key("concurrency"))
        draft.notes["workload"] = [f"load: the concurrencies of {_BEST}, at which the predictions are made."]


def _numbers(table: Recorder, column: str) -> list[int]:
    return [int(float(value)) for value in table.get(column) or [] if value]


def _reason_of(key: str) -> str | None:
    return _DEPLOYMENT if ".top" in key else reason_of(key)


def _experiments(folder: Path) -> list[Path]:
    """The folders of experiments: those inside, or the folder itself."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and any(path.glob(f"*{_CONFIG}")))
    return inside or ([folder] if any(folder.glob(f"*{_CONFIG}")) else [])


def _experiment(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(folder.glob(f"*{_CONFIG}")):
        found[file.name] = parse_text(read_text(file), str(file))
    for file in sorted(folder.glob("*.csv")):
        found[file.name] = _columns(file)
    for path in sorted(folder.glob("top*")):
        found[path.name] = sorted(file.name for file in path.iterdir()) if path.is_dir() else None
    return found


def _columns(file: Path) -> dict[str, list[str]]:
    rows = list(csv.reader(io.StringIO(read_text(file), newline="")))
    if not rows:
        return {}
    return {name: [row[n] for row in rows[1:] if n < len(row)] for n, name in enumerate(rows[0])}
