"""A server's Prometheus page, as vLLM and llama.cpp write it, and as broken ones do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.engines import Counter, Gauge, MetricSource, Ratio, ServerMetric, Share
from autotuner.servers.telemetry import read_page
from autotuner.servers.telemetry.prometheus_page import together

VLLM: dict[ServerMetric, MetricSource] = {
    ServerMetric.KV_CACHE_USE: Gauge("vllm:kv_cache_usage_perc"),
    ServerMetric.RUNNING: Gauge("vllm:num_requests_running"),
    ServerMetric.WAITING: Gauge("vllm:num_requests_waiting"),
    ServerMetric.PREEMPTIONS: Counter("vllm:num_preemptions"),
    ServerMetric.PREFIX_HIT_RATE: Ratio("vllm:prefix_cache_hits", "vllm:prefix_cache_queries"),
}
PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a \\"quoted\\" name, with {braces}"} 3.0
vllm:num_requests_running{engine="1",model_name="a \\"quoted\\" name, with {braces}"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 10.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 900.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="m"} 5.0
# TYPE vllm:num_preemptions_created gauge
vllm:num_preemptions_created{engine="0",model_name="m"} 1.7e+09
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 200.0
vllm:prefix_cache_queries_total{engine="1",model_name="m"} 100.0
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 20.0
vllm:prefix_cache_hits_total{engine="1",model_name="m"} 70.0
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="m"} 7.0
"""


def test_label_sets_are_added_up_and_of_the_kv_cache_the_fullest_counts() -> None:
    assert read_page(PAGE, VLLM) == {
        "kv_cache_use": 0.75,
        "running": 7.0,
        "waiting": 11.0,
        "preemptions": 5.0,
        "prefix_hits": 90.0,
        "prefix_queries": 300.0,
    }


def test_counters_may_be_named_by_their_samples() -> None:
    assert read_page(PAGE, {ServerMetric.PREEMPTIONS: Counter("vllm:num_preemptions_total")}) == {"preemptions": 5.0}


def test_a_share_is_of_both_counters() -> None:
    page = "llamacpp:prompt_tokens_total 60\nllamacpp:prompt_tokens_cached_total 20\n"
    source = Share(hits="llamacpp:prompt_tokens_cached_total", misses="llamacpp:prompt_tokens_total")
    assert read_page(page, {ServerMetric.PREFIX_HIT_RATE: source}) == {"prefix_hits": 20.0, "prefix_queries": 80.0}


def test_a_share_without_hits_yet_has_none() -> None:
    source = Share(hits="hits", misses="misses")
    assert read_page("misses 60\n", {ServerMetric.PREFIX_HIT_RATE: source}) == {
        "prefix_hits": 0.0,
        "prefix_queries": 60.0,
    }


def test_of_label_sets_that_overlap_only_the_named_one_counts() -> None:
    """SGLang with priority scheduling: priority="" is the total."""
    page = "\n".join(
        f'running{{rank="{r}",priority="{p}"}} {v}' for r in "01" for p, v in (("", 5), ("1", 3), ("2", 2))
    )
    assert read_page(page + "\n", {ServerMetric.RUNNING: Gauge("running", where=(("priority", ""),))}) == {
        "running": 10.0
    }
    plain = 'running{rank="0"} 5\n'
    assert read_page(plain, {ServerMetric.RUNNING: Gauge("running", where=(("priority", ""),))}) == {"running": 5.0}


def test_a_counter_that_comes_with_its_first_count_is_zero_before() -> None:
    sources: dict[ServerMetric, MetricSource] = {
        ServerMetric.RUNNING: Gauge("running"),
        ServerMetric.PREEMPTIONS: Counter("retracted", from_first=True),
    }
    assert read_page("running 0\n", sources) == {"running": 0.0, "preemptions": 0.0}
    assert read_page("running 0\nretracted_total 2\n", sources)["preemptions"] == 2.0
    assert read_page("something_else 1\n", sources) == {}, "a page of another kind tells nothing"


def test_a_gauge_is_scaled_and_a_hit_rate_averaged() -> None:
    sources: dict[ServerMetric, MetricSource] = {
        ServerMetric.KV_CACHE_USE: Gauge("use", scale=0.01),
        ServerMetric.PREFIX_HIT_RATE: Gauge("rate"),
    }
    found = read_page('use 40\nrate{rank="0"} 0.2\nrate{rank="1"} 0.6\n', sources)
    assert found == {"kv_cache_use": pytest.approx(0.4), "prefix_hit_rate": pytest.approx(0.4)}


def test_what_is_not_there_or_no_number_is_not_told() -> None:
    assert read_page("vllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\n", VLLM) == {}
    assert read_page("", VLLM) == {}
    assert read_page('[{"iter": 3, "gpuMemUsage": 7}]', VLLM) == {}
    assert read_page("vllm:prefix_cache_hits_total 1\n", VLLM) == {}, "hits alone are no rate"
    assert read_page("vllm:prefix_cache_queries_total 9\n", VLLM) == {"prefix_hits": 0.0, "prefix_queries": 9.0}


def test_a_broken_line_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_page('vllm:num_requests_running{engine="0" 3\n', VLLM)


def test_replicas_are_taken_together_where_all_tell() -> None:
    first = {"kv_cache_use": 0.2, "running": 1.0, "prefix_hits": 3.0, "prefix_hit_rate": 0.0}
    second = {"kv_cache_use": 0.9, "running": 2.0, "prefix_hits": 4.0, "prefix_hit_rate": 1.0, "waiting": 1.0}
    expected = {"kv_cache_use": 0.9, "running": 3.0, "prefix_hits": 7.0, "prefix_hit_rate": 0.5}
    assert together([first, second]) == expected
    assert together([second, first]) == expected
    assert together([]) == {}


line = st.builds("vllm:num_requests_running{}".format, st.text(max_size=30)) | st.text(max_size=40)


@given(st.lists(line, max_size=5))
def test_any_text_is_a_page_or_a_value_error(lines: list[str]) -> None:
    try:
        found = read_page("\n".join(lines), VLLM)
    except ValueError:
        return
    assert all(math.isfinite(value) for value in found.values())
