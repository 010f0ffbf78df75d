"""The MeasureContext of a trial."""

from __future__ import annotations

from autotuner.metrics.goodput import goodput_limits
from autotuner.metrics.measurement import MeasureContext
from autotuner.study.model import Study


def measure_context(study: Study, *, gpus: int, cpus: int, replicas: int, accelerator: str = "") -> MeasureContext:
    """What ``measure`` needs to know of a trial that holds so many GPUs and CPU cores."""
    hardware = study.hardware
    prices = ((hardware.gpu_price(accelerator), gpus), (hardware.cost_per_cpu_hour, cpus))
    known = [price * count for price, count in prices if price is not None]
    return MeasureContext(
        gpus=gpus,
        replicas=replicas,
        request_timeout_s=study.timeouts.request_s,
        cost_per_hour=sum(known) if known else None,
        limits_ms=goodput_limits(study.slo),
    )
