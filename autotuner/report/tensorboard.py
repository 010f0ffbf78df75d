"""TensorBoard events: scalars a rung and hparams a trial, under one folder a trial."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autotuner.results.records import TrialState
from autotuner.tuning.events import Event, RungEnded, TrialEnded, TrialStarted

_log = logging.getLogger(__name__)


class TensorBoardObserver:
    """Writes ``root/<trial id>/events…``: ``score`` and every metric of each load point
    (``concurrency 8/ttft_p90_ms``), with the rung as step, and the Config as hparams.

    A value that TensorBoard has no type for (``None``, a list, a map) is written as JSON text, not dropped.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writers: dict[str, Any] = {}

    def on_event(self, event: Event) -> None:
        try:
            self._see(event)
        except OSError as error:  # a full disk costs the curves, not the study
            _log.warning("TensorBoard events can't be written: %s", error)

    def _see(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self._start(event)
        elif isinstance(event, RungEnded):
            self._rung(event)
        elif isinstance(event, TrialEnded):
            self._end(event)

    def close(self) -> None:
        """Flushes what is left; a trial that was cut off keeps its scalars."""
        while self._writers:
            with contextlib.suppress(OSError):
                self._writers.popitem()[1].close()

    def _start(self, event: TrialStarted) -> None:
        from tensorboard.plugins.hparams import summary_v2

        config = {name: hparam_value(value) for name, value in event.config.items()}
        hparams = {"phase": event.phase.value, **config}
        self._write(event.trial_id, summary_v2.hparams_pb(hparams, trial_id=event.trial_id))

    def _rung(self, event: RungEnded) -> None:
        values = {"score": event.score.score, "feasible": float(event.score.feasible)}
        for level, metrics in event.metrics.items():
            values |= {f"{level}/{column}": value for column, value in metrics.items()}
        self._write(event.trial_id, _scalars(values), step=event.rung)

    def _end(self, event: TrialEnded) -> None:
        self._write(event.trial_id, _session_end(failed=event.state is TrialState.FAILED))
        self._writers.pop(event.trial_id).close()

    def _write(self, trial_id: str, summary: Any, step: int = 0) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if trial_id not in self._writers:
            self._writers[trial_id] = EventFileWriter(str(self._root / trial_id))
        self._writers[trial_id].add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))


def hparam_value(value: Any) -> bool | float | str:
    """What TensorBoard can hold of a Config's value."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    return json.dumps(value, sort_keys=True, default=str)


def _session_end(*, failed: bool) -> Any:
    """What tensorboard's own ``session_end_pb`` makes, which wants TensorFlow for it."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    data = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    value = summary_pb2.Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=data)
    value.tensor.CopyFrom(metadata.NULL_TENSOR)
    return summary_pb2.Summary(value=[value])


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto import summary_pb2

    found = [summary_pb2.Summary.Value(tag=k, simple_value=v) for k, v in values.items() if math.isfinite(v)]
    return summary_pb2.Summary(value=found)
