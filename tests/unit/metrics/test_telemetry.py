"""What telemetry samples come to, on values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.metrics import (
    LoadKind,
    LoadLevel,
    MeasureContext,
    PointRun,
    RequestRecord,
    Telemetry,
    TelemetrySample,
    measure,
)

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)
CONTEXT = MeasureContext(gpus=2, replicas=1, request_timeout_s=60)


def request(index: int, sent_s: float, *, warmup: bool = False, tokens: int = 10) -> RequestRecord:
    """One that takes 1 s, its tokens evenly over it."""
    return RequestRecord(
        index=index,
        warmup=warmup,
        scheduled_s=sent_s,
        sent_s=sent_s,
        first_token_s=sent_s + 0.1,
        last_token_s=sent_s + 1,
        end_s=sent_s + 1,
        prompt_tokens=5,
        output_tokens=tokens,
        expected_output_tokens=tokens,
        chunk_s=tuple(sent_s + 0.1 * n + 0.05 for n in range(tokens)),
    )


def run(*samples: TelemetrySample, seconds: int = 4) -> PointRun:
    """One slot: a warm-up request over [0, 1), measured ones of 10 tokens each in the window [1, ``seconds``]."""
    records = tuple(request(n, float(n), warmup=n == 0) for n in range(seconds))
    return PointRun(LEVEL, records, telemetry=Telemetry(samples))


def found(*runs: PointRun) -> dict[str, float]:
    metrics = measure(LEVEL, runs, CONTEXT).metrics
    return {name: v for name, v in metrics.items() if name.startswith(("server_", "gpu_", "energy_"))}


def test_means_are_of_the_window_and_maxima_of_the_whole_run() -> None:
    metrics = found(
        run(
            TelemetrySample(-0.2, kv_cache_use=0.99, running=9, waiting=9, gpu_memory_gib=99),
            TelemetrySample(0.5, kv_cache_use=0.5, running=9, waiting=7, gpu_memory_gib=12, gpu_utilization=0),
            TelemetrySample(1.5, kv_cache_use=0.25, running=1, waiting=0, gpu_memory_gib=10, gpu_utilization=0.5),
            TelemetrySample(2.5, kv_cache_use=0.125, running=2, waiting=5, gpu_memory_gib=11, gpu_utilization=1),
            TelemetrySample(4.5, kv_cache_use=0.98, running=9, waiting=9, gpu_memory_gib=98),
        )
    )
    assert metrics == {
        "server_kv_cache_use_max": 0.5,
        "server_running_mean": 1.5,
        "server_waiting_mean": 2.5,
        "server_waiting_max": 7,
        "gpu_memory_gib_max": 12,
        "gpu_utilization_mean": 0.75,
    }


def test_samples_of_several_runs_are_pooled() -> None:
    first = run(TelemetrySample(1.5, running=1), TelemetrySample(2.5, running=1), TelemetrySample(3.5, running=1))
    second = run(TelemetrySample(1.5, running=5))
    assert found(first, second) == {"server_running_mean": 2.0}


def test_a_window_without_a_sample_takes_those_of_its_run() -> None:
    assert found(run(TelemetrySample(0.5, waiting=3))) == {"server_waiting_mean": 3, "server_waiting_max": 3}


def test_counts_are_differences_from_just_before_the_start() -> None:
    first = run(
        TelemetrySample(-3.0, preemptions=1, prefix_hits=0, prefix_queries=0),
        TelemetrySample(-0.5, preemptions=10, prefix_hits=100, prefix_queries=1000),
        TelemetrySample(2.0, preemptions=11, prefix_hits=150, prefix_queries=1100),
        TelemetrySample(4.1, preemptions=14, prefix_hits=180, prefix_queries=1200),
    )
    second = run(
        TelemetrySample(0.5, preemptions=20, prefix_hits=200, prefix_queries=1300),
        TelemetrySample(4.1, preemptions=21, prefix_hits=210, prefix_queries=1400),
    )
    assert found(first, second) == {"server_preemptions": 5, "server_prefix_hit_rate": 90 / 300}


def test_a_count_that_fell_or_was_seen_once_is_unknown() -> None:
    fell = run(TelemetrySample(0.0, preemptions=5), TelemetrySample(4.1, preemptions=2))
    once = run(TelemetrySample(2.0, preemptions=5))
    assert found(fell, once) == {}


def test_no_query_has_no_hit_rate() -> None:
    still = run(
        TelemetrySample(0.0, prefix_hits=5, prefix_queries=9), TelemetrySample(4.1, prefix_hits=5, prefix_queries=9)
    )
    assert found(still) == {}


def test_a_hit_rate_that_the_server_tells_itself_is_averaged() -> None:
    told = run(TelemetrySample(1.5, prefix_hit_rate=0.25), TelemetrySample(3.5, prefix_hit_rate=0.75))
    assert found(told) == {"server_prefix_hit_rate": 0.5}


def test_energy_is_the_windows_over_the_windows_tokens() -> None:
    """The counter runs at 200 W before the window and at 100 W in it: 3 s × 100 W over 30 tokens."""
    samples = [TelemetrySample(t, gpu_energy_j=1e6 + e) for t, e in ((-1, 0), (1, 400), (3, 600), (5, 800))]
    assert found(run(*samples)) == {"energy_j_per_token": pytest.approx(10.0)}


def test_energy_is_summed_over_runs_as_tokens_are() -> None:
    """300 J over 30 tokens, then 1000 J over 50."""
    first = run(*(TelemetrySample(t, gpu_energy_j=100.0 * t) for t in (0, 5)))
    second = run(*(TelemetrySample(t, gpu_energy_j=200.0 * t) for t in (0, 7)), seconds=6)
    assert found(first, second) == {"energy_j_per_token": pytest.approx(1300 / 80)}


def test_an_energy_counter_that_stops_short_goes_on_at_its_mean_power() -> None:
    samples = [TelemetrySample(t, gpu_energy_j=100.0 * t) for t in (0, 2)]
    assert found(run(*samples)) == {"energy_j_per_token": pytest.approx(10.0)}


def test_without_a_counter_energy_is_mean_power_times_time() -> None:
    metrics = found(run(TelemetrySample(0.5, gpu_power_w=900), *(TelemetrySample(t, gpu_power_w=50) for t in (2, 3))))
    assert metrics == {"gpu_power_w_mean": 50, "energy_j_per_token": pytest.approx(5.0)}


def test_a_run_without_energy_takes_no_part_in_it() -> None:
    metered = run(*(TelemetrySample(t, gpu_energy_j=100.0 * t) for t in (0, 5)))
    assert found(metered, run(seconds=40)) == {"energy_j_per_token": pytest.approx(10.0)}


def test_energy_without_a_token_is_unknown() -> None:
    telemetry = Telemetry(tuple(TelemetrySample(t, gpu_energy_j=100.0 * t) for t in (0, 5)))
    assert "energy_j_per_token" not in found(PointRun(LEVEL, (request(0, 0.0, tokens=0),), telemetry=telemetry))


def test_nobody_asked_nothing_told() -> None:
    assert found(PointRun(LEVEL, run().records)) == found(run()) == {}


number = st.none() | st.floats(0, 1e9)
samples = st.lists(
    st.builds(
        TelemetrySample,
        st.floats(-5, 10),
        *[number] * 11,
    ),
    max_size=8,
)


@given(samples, samples)
def test_whatever_is_told_metrics_are_finite(first: list[TelemetrySample], second: list[TelemetrySample]) -> None:
    runs = [run(*sorted(part, key=lambda s: s.at_s)) for part in (first, second)]
    metrics = found(*runs)
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics.get("server_prefix_hit_rate", 0) >= 0


def test_samples_at_the_edges_of_window_and_run_are_within_them() -> None:
    edges = run(
        TelemetrySample(0.0, gpu_memory_gib=9, running=50),
        TelemetrySample(1.0, gpu_memory_gib=1, running=2),
        TelemetrySample(4.0, gpu_memory_gib=1, running=4),
    )
    assert found(edges) == {"server_running_mean": 3, "gpu_memory_gib_max": 9}
    assert found(run(TelemetrySample(4.0, gpu_memory_gib=9)))["gpu_memory_gib_max"] == 9


def test_a_count_that_did_not_move_is_0_and_one_seen_first_within_the_run_counts_from_there() -> None:
    still = run(TelemetrySample(0.0, preemptions=5), TelemetrySample(4.1, preemptions=5))
    assert found(still) == {"server_preemptions": 0}
    late = run(TelemetrySample(2.0, preemptions=5), TelemetrySample(4.1, preemptions=9))
    assert found(late) == {"server_preemptions": 4}
    at_the_start = run(
        TelemetrySample(-1.0, preemptions=1), TelemetrySample(0.0, preemptions=5), TelemetrySample(4.1, preemptions=9)
    )
    assert found(at_the_start) == {"server_preemptions": 4}, "from the last one before the run"
    over = run(TelemetrySample(-2.0, preemptions=1), TelemetrySample(-1.0, preemptions=5))
    assert found(over) == {}, "nothing was told since"


def test_a_rate_of_the_servers_own_counts_only_where_no_queries_are_told() -> None:
    both = run(
        TelemetrySample(1.5, prefix_hits=0, prefix_queries=0, prefix_hit_rate=0.5),
        TelemetrySample(4.1, prefix_hits=5, prefix_queries=10, prefix_hit_rate=0.5),
    )
    assert found(both) == {"server_prefix_hit_rate": 0.5}
    silent = run(
        TelemetrySample(1.5, prefix_queries=0, prefix_hit_rate=0.5),
        TelemetrySample(4.1, prefix_queries=0, prefix_hit_rate=0.5),
    )
    assert found(silent) == {}


@pytest.mark.parametrize(
    ("told", "joules_per_token"),
    [
        (((1, 100), (4, 400)), 10.0),  # from the window's start to its end
        (((1, 100), (3.9, 390)), 10.0),  # a little short of it: at the mean power of its own time
        (((1.1, 110), (4, 400)), 10.0),
        (((0, 0), (1, 500), (4, 800), (5, 801)), 10.0),
        (((1, 100), (4, 100)), 0.0),
        (((1, 400), (4, 100)), None),  # it fell
        (((2, 100),), None),
        (((2, 100), (2, 300)), None),  # no time went by
        (((1, 100), (1, 100), (4, 400)), 10.0),  # told twice of one moment
    ],
)
def test_energy_of_a_counter(told: tuple[tuple[float, float], ...], joules_per_token: float | None) -> None:
    """3 s and 30 tokens in the window."""
    metrics = found(run(*(TelemetrySample(at_s, gpu_energy_j=joules) for at_s, joules in told)))
    wanted = {} if joules_per_token is None else {"energy_j_per_token": pytest.approx(joules_per_token)}
    assert metrics == wanted
