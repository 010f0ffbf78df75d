"""Experiments of aiconfigurator (github.com/ai-dynamo/aiconfigurator): YAML, latencies in milliseconds.

Three shapes are read: the flat one (a key is a field of ``Task``), the older one with ``config.worker_config``, and the
``exp_config.yaml`` of a result folder, which is one experiment alone. Keys, defaults and units: aiconfigurator 0.12.0,
``cli/example.yaml``, ``cli/example_v1_deprecated.yaml``, ``sdk/task_v2.py``, ``sdk/task_v1_compat.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from autotuner.errors import InputError
from autotuner.imports.aiconfigurator_parallelism import Candidates, put_parallelism
from autotuner.imports.aiconfigurator_worker import Worker, put_flags, put_quantization
from autotuner.imports.draft import StudyDraft, study_name
from autotuner.imports.record import Recorder

NAME = "aiconfigurator"
WHAT = "experiments of aiconfigurator (YAML), or its result folder"

# aiconfigurator's system → a name in search_spaces/hardware.
SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "a100_sxm": "A100-80GB",
        "a100_pcie": "A100-80GB",
        "h100_sxm": "H100-80GB",
        "h100_pcie": "H100-PCIe-80GB",
        "h200_sxm": "H200-141GB",
        "b200_sxm": "B200-180GB",
        "l40s": "L40S-48GB",
        "l4": "L4-24GB",
    }
)
_ENGINES = ("vllm", "sglang", "trtllm")
_LEVELS = (1, 8, 32, 128)
# What experiments may differ in and still be one study: the engine, and how a prediction is made.
_MAY_DIFFER = frozenset(
    {
        "backend_name",
        "backend_version",
        "database_mode",
        "transfer_policy",
        "engine_step_backend",
        "forward_model",
        "pareto_sweep",
    }
)
_TWO_ROLES = "prefill and decode run in one server, for which the decode worker's settings are taken"
_REASONS = (
    (
        r"(^|\.)(database_mode|transfer_policy|engine_step_backend|forward_model|pareto_sweep)$",
        "measured, not predicted",
    ),
    (r"correction|degradation|nextn_accept", "measured, not predicted"),
    (r"(^|\.)afd_", "attention and experts in servers of their own (AFD) are not started"),
    (r"(^|\.)(encoder_|enable_epd|max_encoder|image_|num_images|enable_encoder_dp)", "requests are text alone"),
    (r"per_replica|_workers?$|(^|\.)replica_config", "one server is tuned; start as many as the load needs"),
    (r"(^|\.)prefill_", _TWO_ROLES),
    (r"max_batch_size", "a bound of the prediction; the engine's own limit holds"),
    (r"backend_version$", "flags are judged by the newest catalogue of the engine"),
    (r"comm_quant_mode$", "no engine has a flag for it"),
    (r"wideep|eplb", "no such setting in a study; give the engine's own flags in engine.args"),
    (r"_(candidates|list)$", "each engine counts degrees in its own way: see the experiment of one engine"),
    (r"(^|\.)mode$", "keys that are left out have the engine's defaults"),
)


def is_experiment(data: Any) -> bool:
    return isinstance(data, Mapping) and "serving_mode" in data


def recognises(data: Any) -> bool:
    return isinstance(data, Mapping) and (is_experiment(data) or any(map(is_experiment, data.values())))


def convert(source: Recorder, draft: StudyDraft, experiment: str | None = None) -> None:
    """One study from the experiment of this name, else from the first that serves in one place (agg).

    Experiments that differ from it in the engine alone become a study over several engines; others are listed.
    Raises InputError for what is no experiment.
    """
    if is_experiment(source.look("serving_mode") and {"serving_mode": source.look("serving_mode")}):
        lead, same, name = source, [source], "exp"
    else:
        name = _chosen(source, experiment)
        lead = source.section(name)
        same = _same_study(source, name)
    draft.put(study_name(f"{_model_of(lead)}-{name}"), "name")
    convert_experiments(lead, same, draft)
    source.leave_the_rest(reason_of)


def reason_of(key: str) -> str | None:
    return next((why for form, why in _REASONS if re.search(form, key)), None)


def convert_experiments(lead: Recorder, same: list[Recorder], draft: StudyDraft) -> None:
    """``same`` are the lead and the experiments that differ from it in the engine alone."""
    worker = Worker(lead, _role(lead))
    engines = list(dict.fromkeys(engine for one in same for engine in _engines(Worker(one, _role(one)))))
    draft.put(engines[0] if len(engines) == 1 else engines, "engine", "name", origin=worker.key("backend_name"))
    draft.put(worker.required_text("model_path"), "model", "id", origin=worker.key("model_path"))
    _hardware(lead, worker, draft)
    _workload(lead, draft)
    _slo(lead, draft)
    draft.put("throughput_per_gpu", "objective")
    total = lead.whole("total_gpus")
    put_parallelism(draft, engines, Candidates.of(worker), total)
    put_quantization(draft, worker, engines)
    put_flags(draft, worker, engines)
    _other_role(lead, worker)


# ── which experiment ──────────────────────────────────────────────────────────────────────────


def _chosen(source: Recorder, wanted: str | None) -> str:
    order = source.get("exps") or []
    names = [name for name in source.names() if is_experiment(source.look(name))]
    if wanted is not None and wanted not in names:
        raise InputError(
            f"experiment: {wanted!r}: one of {', '.join(names)}",
            key="experiment",
            value=wanted,
            rule=f"one of {', '.join(names)}",
        )
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    aggregated = [name for name in names if source.look(name).get("serving_mode") == "agg"]
    return wanted or (aggregated or names)[0]


def _same_study(source: Recorder, lead: str) -> list[Recorder]:
    found = []
    for name in source.names():
        if not is_experiment(source.look(name)):
            continue
        if name == lead or _essence(source.look(name)) == _essence(source.look(lead)):
            same = source.section(name)
            found.append(same)
            if name != lead:
                for key in same.names():
                    if key not in _MAY_DIFFER:
                        same.get(key)  # as the lead has it
        else:
            source.leave(name, "an experiment of its own: import it with --experiment NAME")
    return sorted(found, key=lambda one: one.key() != lead)


def _essence(experiment: Mapping[str, Any]) -> Any:
    """What makes a study; one that names candidates says what they mean on its own engine."""
    own = any(key.endswith("_candidates") for key in experiment) or bool(experiment.get("config"))
    return {key: value for key, value in experiment.items() if key not in _MAY_DIFFER}, own and id(experiment)


def _role(experiment: Recorder) -> str:
    return "decode" if experiment.look("serving_mode") == "disagg" else "agg"


def _model_of(experiment: Recorder) -> str:
    model = experiment.look("model_path") or experiment.look("decode_model_path") or "model"
    return str(model).rpartition("/")[2]


def _engines(worker: Worker) -> list[str]:
    name = worker.text("backend_name") or "trtllm"
    if name in ("auto", "any"):
        return list(_ENGINES)
    if name not in _ENGINES:
        raise worker.wrong("backend_name", name, f"one of {', '.join(_ENGINES)}, auto")
    return [name]


def _other_role(lead: Recorder, worker: Worker) -> None:
    """The prefill worker where it is as the decode worker; what differs is left to be listed."""
    mode = lead.text("serving_mode")
    if mode == "disagg":
        lead.note(("serving_mode",), mode, _TWO_ROLES)
        if lead.look("system_name") == worker.text("system_name"):
            lead.get("system_name")
        for name in lead.names():
            twin = "decode_" + name.removeprefix("prefill_")
            if name.startswith("prefill_") and twin in lead and lead.look(twin) == lead.look(name):
                lead.get(name)
    elif mode != "agg":
        lead.note(("serving_mode",), mode, "one server does all")
    if worker.role == "agg":
        for name in lead.names():
            if re.match(r"(prefill|decode)_", name):
                lead.leave(name, "of experiments with prefill and decode in servers of their own")


# ── hardware, workload, goals ─────────────────────────────────────────────────────────────────


def _hardware(lead: Recorder, worker: Worker, draft: StudyDraft) -> None:
    system = worker.text("system_name")
    if system is None:
        return
    if system in SYSTEMS:
        draft.put([SYSTEMS[system]], "hardware", "accelerators", origin=worker.key("system_name"))
    else:
        rule = f"no accelerator is known by it; name one in hardware.accelerators (known: {', '.join(SYSTEMS)})"
        lead.note_key(worker.key("system_name"), system, rule)


def _workload(lead: Recorder, draft: StudyDraft) -> None:
    tokens = [lead.whole("isl", 4000), lead.whole("osl", 1000)]
    draft.put(f"D({tokens[0]},{tokens[1]})", "workload", "scenario", origin=lead.key("isl"))
    shared = lead.whole("prefix", 0)
    draft.put(shared or None, "workload", "shared_prefix_tokens", origin=lead.key("prefix"))
    if shared:
        draft.put("warm", "workload", "cache")
    for key, plain in (
        ("image_height", 0),
        ("image_width", 0),
        ("num_images_per_request", 1),
        ("enable_encoder_dp", True),
    ):
        if lead.look(key) == plain:
            lead.get(key)  # no images
    draft.put({"concurrency": list(_LEVELS)}, "workload", "load")
    draft.note("workload", "load: these levels are a choice of the import; aiconfigurator searches over batch sizes.")


def _slo(lead: Recorder, draft: StudyDraft) -> None:
    latency_ms = lead.number("request_latency")
    if latency_ms:
        draft.put({"mean": {"threshold_ms": latency_ms}}, "slo", "e2e", origin=lead.key("request_latency"))
    # Without a limit on the whole request these two always hold, by default at 1000 and 50 ms.
    for metric, default_ms in (("ttft", 1000.0), ("tpot", 50.0)):
        limit_ms = lead.number(metric, None if latency_ms else default_ms)
        if limit_ms:
            draft.put({"mean": {"threshold_ms": limit_ms}}, "slo", metric, origin=lead.key(metric))
