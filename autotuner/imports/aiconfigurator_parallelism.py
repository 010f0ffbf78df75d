"""aiconfigurator's parallelism in a study's terms.

There a worker has tp · pp · dp GPUs on every engine, dp copies of the attention and moe_tp · moe_ep = tp · dp
(``sdk/task_v2.py``, ``generator/module_bridge.py``). Engines count differently, and so does a study:

- vLLM: the same GPUs; experts are spread over all tp · dp of them or over none.
- SGLang: tp is the whole width, in which dp copies of the attention share; ep divides tp.
- TensorRT-LLM: tp is the whole width; with attention DP every GPU of it has a copy of the attention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.imports.aiconfigurator_worker import Worker
from autotuner.imports.draft import StudyDraft
from autotuner.imports.flags import put_degrees

_DEFAULT_TP = (1, 2, 4, 8)


@dataclass(frozen=True)
class Candidates:
    """Degrees to choose from; ``None`` where an experiment leaves them to aiconfigurator."""

    worker: Worker
    gpus: list[int] | None
    tp: list[int] | None
    pp: list[int] | None
    dp: list[int] | None
    moe_tp: list[int] | None
    moe_ep: list[int] | None
    cp: list[int] | None

    @classmethod
    def of(cls, worker: Worker) -> Candidates:
        names = ("num_gpu", "tp", "pp", "dp", "moe_tp", "moe_ep", "cp")
        return cls(worker, *(worker.wholes(f"{name}_candidates") for name in names))

    @property
    def given(self) -> bool:
        return any((self.tp, self.pp, self.dp, self.moe_tp, self.moe_ep, self.cp))

    def note_all(self, reason: str) -> None:
        for name in ("tp", "pp", "dp", "moe_tp", "moe_ep", "cp"):
            if getattr(self, name) is not None:
                self.worker.note(f"{name}_candidates", getattr(self, name), reason)

    def key(self, name: str) -> str:
        return self.worker.key(f"{name}_candidates")


def put_parallelism(draft: StudyDraft, engines: Sequence[str], wanted: Candidates, total: int | None) -> None:
    """``total`` is the number of GPUs of the whole deployment, which one server can't exceed."""
    if total:
        draft.constrain(f"gpus <= {total}", wanted.worker.experiment.key("total_gpus"))
    if wanted.gpus:
        draft.constrain(f"gpus in [{', '.join(map(str, wanted.gpus))}]", wanted.key("num_gpu"))
    if not wanted.given or len(engines) > 1:
        most = min(total or max(_DEFAULT_TP), max(wanted.gpus or _DEFAULT_TP))
        _put(draft, "tp", [degree for degree in _DEFAULT_TP if degree <= most] or [1], wanted.key("tp"))
        draft.note("space", "parallelism: a choice of the import, where aiconfigurator takes what its data covers.")
        wanted.note_all("each engine counts degrees in its own way: name one in a study of one engine")
        return
    match engines[0]:
        case "vllm":
            _vllm(draft, wanted)
        case "sglang":
            _sglang(draft, wanted)
        case _:
            _trtllm(draft, wanted)
    _put(draft, "pp", wanted.pp or [1], wanted.key("pp"))


def _vllm(draft: StudyDraft, wanted: Candidates) -> None:
    _put(draft, "tp", wanted.tp or _widths(wanted, wanted.dp or [1]), wanted.key("tp"))
    _put(draft, "dp", wanted.dp or [1], wanted.key("dp"))
    _put(draft, "ep", wanted.moe_ep or [1], wanted.key("moe_ep"))
    if wanted.moe_tp and wanted.moe_tp != [1]:
        wanted.worker.note("moe_tp_candidates", wanted.moe_tp, "vLLM splits experts over tp · dp GPUs where ep is 1")
    _no_context(wanted, "vLLM")


def _sglang(draft: StudyDraft, wanted: Candidates) -> None:
    attention_tp, dp = wanted.tp or _widths(wanted, wanted.dp or [1]), wanted.dp or [1]
    widths = [width for width in _products(attention_tp, dp) if _may_have(wanted, width)]
    _put(draft, "tp", widths, wanted.key("tp"))
    _put(draft, "dp", dp, wanted.key("dp"))
    _put(draft, "ep", wanted.moe_ep or [1], wanted.key("moe_ep"))
    if len(widths) > 1 or len(dp) > 1:
        draft.constrain(f"tp / dp in [{', '.join(map(str, attention_tp))}]", wanted.key("tp"))
    if wanted.moe_tp and (wanted.moe_tp != [1] or wanted.moe_ep not in (None, [1])):
        draft.constrain(
            f"tp / {_name(wanted.moe_ep, 'ep')} in [{', '.join(map(str, wanted.moe_tp))}]", wanted.key("moe_tp")
        )
    _no_context(wanted, "SGLang")


def _trtllm(draft: StudyDraft, wanted: Candidates) -> None:
    tp, dp = wanted.tp or [1], wanted.dp or [1]
    plain = [width for width in (tp if 1 in dp else []) if _may_have(wanted, width)]
    copied = [width for width in (dp if 1 in tp else []) if width > 1 and _may_have(wanted, width)]
    mixed = sorted({t * d for t in tp for d in dp if t > 1 and d > 1})
    if mixed:
        wanted.worker.note(
            "dp_candidates",
            dp,
            "TensorRT-LLM's attention DP takes the whole width: with it tp is 1 in aiconfigurator's terms",
        )
    _put(draft, "tp", sorted({*plain, *copied}) or [1], wanted.key("tp"))
    if copied and plain:
        draft.put([False, True], "space", "parameters", "enable_attention_dp", origin=wanted.key("dp"))
        draft.constrain(
            f"not enable_attention_dp and tp in [{', '.join(map(str, plain))}]"
            f" or enable_attention_dp and tp in [{', '.join(map(str, copied))}]",
            wanted.key("dp"),
        )
    elif copied:
        draft.put(True, "engine", "args", "enable_attention_dp", origin=wanted.key("dp"))
    moe_tp, moe_ep = wanted.moe_tp or [1], wanted.moe_ep or [1]
    if (moe_tp, moe_ep) != ([1], [1]):
        put_degrees(draft, "moe_tp", moe_tp, wanted.key("moe_tp"))
        put_degrees(draft, "moe_ep", moe_ep, wanted.key("moe_ep"))
        draft.constrain("moe_tp * moe_ep == tp", wanted.key("moe_ep"))
    _put(draft, "cp", [] if wanted.cp in (None, [1]) else wanted.cp, wanted.key("cp"))


def _no_context(wanted: Candidates, engine: str) -> None:
    if wanted.cp not in (None, [1]):
        wanted.worker.note("cp_candidates", wanted.cp, f"a study has no prefill context parallelism for {engine}")


def _widths(wanted: Candidates, dp: list[int]) -> list[int]:
    """Attention's tensor parallelism where only the other degrees are given: what the numbers of GPUs leave for it."""
    return sorted({gpus // d for gpus in wanted.gpus or [] for d in dp if gpus % d == 0}) or [1]


def _may_have(wanted: Candidates, width: int) -> bool:
    return wanted.gpus is None or any(width * pp in wanted.gpus for pp in wanted.pp or [1])


def _products(one: list[int], other: list[int]) -> list[int]:
    return sorted({math.prod(pair) for pair in ((a, b) for a in one for b in other)})


def _name(values: list[int] | None, name: str) -> str:
    return name if values and values != [1] else "1"


def _put(draft: StudyDraft, degree: str, values: Sequence[int] | None, origin: str) -> None:
    """Degrees of which 1 is the only one are left out."""
    if values and (list(values) != [1] or degree == "tp"):
        put_degrees(draft, degree, values, origin)
