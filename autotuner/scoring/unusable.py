"""What makes a load point's figures none that could be promised, whatever its SLOs."""

from __future__ import annotations

from autotuner.metrics.measurement import Measurement
from autotuner.study.model import Slo

ENOUGH_OUTPUT = 0.9  # a server that answers with less of a forced length did not do the work


def unusable(measurement: Measurement, slo: Slo) -> list[str]:
    """Why: too many errors, answers without tokens or clearly shorter than they were forced to be, or a point that was
    given up as hopeless. Empty where it can be used."""
    reasons = []
    if not measurement.requests:
        reasons.append("no request ended")
    elif measurement.errors == measurement.requests:
        reasons.append("no request succeeded")
    elif measurement.errors / measurement.requests > slo.error_rate:
        rate = measurement.errors / measurement.requests
        reasons.append(f"error_rate is {rate:.1%}, more than {slo.error_rate:.1%}")
    if measurement.metrics.get("output_tokens_mean") == 0:
        reasons.append("the answers have no tokens")
    share = measurement.metrics.get("output_share")
    if share is not None and share < ENOUGH_OUTPUT:
        reasons.append(f"answers have {share:.0%} of the tokens that were asked for, less than {ENOUGH_OUTPUT:.0%}")
    if measurement.stopped_early:
        reasons.append(f"stopped early: {measurement.stopped_early}")
    return reasons
