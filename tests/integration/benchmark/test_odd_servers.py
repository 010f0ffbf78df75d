"""Servers with one odd habit each: what is made of them is true, and says why."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autotuner.api.benching import BenchResult, bench
from autotuner.benchmark.stand_ins.mock_process import odd_server
from autotuner.cli.main import main
from autotuner.errors import InfrastructureError
from autotuner.metrics import RequestError, TokensBy
from autotuner.scoring import parse_objective, score_point
from autotuner.study.model import Slo, Workload

TOKENS = 48


def measure(mode: str, api: str = "completions", **settings: Any) -> BenchResult:
    """One slot, six requests of ``TOKENS`` tokens."""
    with odd_server(mode, **settings) as url:
        (result,) = bench(url, workload(api), requests=6, request_timeout_s=20)
    return result


def workload(api: str = "completions") -> Workload:
    keys = {"scenario": f"D(12,{TOKENS})", "api": api, "load": {"concurrency": [1]}}
    return Workload.model_validate(keys)


def errors(result: BenchResult) -> set[RequestError | None]:
    return {record.error for record in result.run.records if not record.warmup}


# ── what is no answer ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("api", ["completions", "chat"])
@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [
        ("dead", RequestError.EMPTY, "without any text and without tokens"),
        ("dead_with_tokens", RequestError.EMPTY, "no text came of the 48 tokens"),
        ("dead_without_usage", RequestError.EMPTY, "without any text and without tokens"),
        ("error_object", RequestError.HTTP_STATUS, "the engine is dead"),
        ("error_in_choice", RequestError.HTTP_STATUS, "the engine is dead"),
        ("error_event", RequestError.HTTP_STATUS, "the engine is dead"),
        ("error_in_one_piece", RequestError.HTTP_STATUS, "out of memory"),
        ("finishes", RequestError.ABORTED, "finish_reason 'abort' after 24 chunks"),
        ("one_piece", RequestError.NOT_A_STREAM, "application/json; charset=utf-8 came instead of a stream"),
        ("compressed", RequestError.NOT_A_STREAM, "compressed (gzip)"),
        ("a_page", RequestError.NOT_A_STREAM, "<title>Log in</title>"),
    ],
)
def test_what_is_no_answer_is_a_failed_request(mode: str, api: str, error: RequestError, said: str) -> None:
    result = measure(mode, api)
    assert errors(result) <= {error, RequestError.CANCELLED}
    assert error in errors(result)
    (failure, *_) = result.failures
    assert said in failure.detail
    score = score_point(result.measurement, Slo(error_rate=1.0), parse_objective("throughput"))
    assert not score.feasible
    assert result.measurement.metrics.get("goodput_per_s", 0.0) == 0.0


@pytest.mark.parametrize("finish", ["error", "cancelled", "content_filter"])
def test_an_answer_that_is_broken_off_is_none_whatever_its_length(finish: str) -> None:
    assert RequestError.ABORTED in errors(measure("finishes", finish=finish))


# ── what can't be had ─────────────────────────────────────────────────────────────────────────


def test_everything_in_one_chunk_has_no_tpot() -> None:
    result = measure("one_chunk", itl_ms=5)
    metrics = result.measurement.metrics
    assert errors(result) == {None}
    assert "tpot_mean_ms" not in metrics
    assert "itl_mean_ms" not in metrics
    assert metrics["output_tokens_mean"] == TOKENS
    assert metrics["ttft_p50_ms"] > 5 * (TOKENS - 1)
    assert result.measurement.notes[0].startswith("6 of 6 answers came at once")
    slo = Slo.model_validate({"tpot": {"mean": {"threshold_ms": 0.5}}})
    score = score_point(result.measurement, slo, parse_objective("throughput"))
    assert (score.feasible, score.slo_met) == (False, False)
    assert "tpot_mean_ms" in score.reason


@pytest.mark.parametrize(
    ("mode", "by"),
    [("nothing", TokensBy.USAGE), ("no_usage", TokensBy.FORCED), ("no_stream_usage", TokensBy.FORCED)],
)
def test_tokens_of_a_forced_length_are_that_many(mode: str, by: TokensBy) -> None:
    result = measure(mode)
    assert errors(result) == {None}
    assert result.measurement.tokens_by is by
    assert result.as_dict()["tokens_by"] == by.value
    assert result.measurement.metrics["output_tokens_mean"] == TOKENS
    assert result.measurement.metrics["tpot_mean_ms"] > 4.9
    assert ("total_tokens_per_s" in result.measurement.metrics) is (mode == "nothing")


def test_a_server_that_refuses_stream_options_is_asked_without() -> None:
    result = measure("refuses_stream_options")
    assert errors(result) == {None}
    assert result.measurement.tokens_by is TokensBy.FORCED


def test_a_server_that_wants_another_word_for_the_length_gets_it() -> None:
    result = measure("wants_completion_tokens", api="chat")
    assert errors(result) == {None}
    assert result.measurement.metrics["output_tokens_mean"] == TOKENS


def test_unseen_reasoning_is_told_of() -> None:
    result = measure("hidden_reasoning", "chat", reasoning=32, ttft_ms=20, itl_ms=5)
    metrics = result.measurement.metrics
    assert metrics["reasoning_tokens_mean"] == 32
    assert metrics["output_tokens_mean"] == TOKENS
    assert metrics["ttft_p50_ms"] == metrics["ttft_visible_p50_ms"] > 20 + 32 * 5
    assert any("reasoned unseen (32 tokens on average)" in note for note in result.measurement.notes)


def test_reasoning_that_is_shown_has_a_first_token_of_its_own() -> None:
    result = measure("shown_reasoning", "chat", reasoning=32, ttft_ms=20, itl_ms=5)
    metrics = result.measurement.metrics
    assert metrics["ttft_visible_p50_ms"] > metrics["ttft_p50_ms"] + 32 * 5 * 0.9
    assert metrics["tpot_mean_ms"] > 4.9
    assert "began with reasoning" in result.measurement.notes[0]


def test_reasoning_that_is_streamed_as_text_is_no_silence() -> None:
    """The completions API marks no chunk as reasoning."""
    result = measure("shown_reasoning", "completions", reasoning=32, ttft_ms=20, itl_ms=10)
    plain = measure("nothing", "completions", ttft_ms=20, itl_ms=10)
    assert not any("unseen" in note for note in result.measurement.notes)
    tpot, expected = (found.measurement.metrics["tpot_mean_ms"] for found in (result, plain))
    assert tpot < 2 * expected, "three times where the reasoning were left out"


# ── how long answers are ──────────────────────────────────────────────────────────────────────


def test_a_server_that_stops_by_itself_is_measured_by_what_came() -> None:
    """It gets past any short probe, and not to the length that the load asks for."""
    result = measure("stops_early", stop_at=40)
    metrics = result.measurement.metrics
    assert errors(result) == {None}
    assert metrics["output_tokens_mean"] == 40
    assert metrics["ttft_p90_ms"] < 5_000
    assert "output_share" not in metrics
    note = "the length of answers is the server's own: 40.0 tokens on average of 48.0 asked for"
    assert note in result.measurement.notes


def test_a_server_that_only_seemed_to_be_forced_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe asks for as many tokens as the load's longest answer; here it is made to ask for fewer."""
    from autotuner.benchmark import real_driver
    from autotuner.benchmark.probe import find_api

    monkeypatch.setattr(real_driver, "find_api", lambda prober, seed, tokens: find_api(prober, seed, 16))
    result = measure("stops_early", stop_at=40)
    assert errors(result) == {None}
    assert result.measurement.requests == 6
    assert result.measurement.metrics["output_tokens_mean"] == 40


# ── the command line ──────────────────────────────────────────────────────────────────────────


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["bench", *arguments, "--concurrency", "1", "--requests", "4", "--scenario", "D(8,20)", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_failures_and_their_causes_are_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    with odd_server("dead") as url:
        code, document = told(capsys, url)
    assert code == 1
    (level,) = document["levels"]
    (failure,) = level["failures"]
    assert (failure["error"], failure["status"]) == ("empty", 200)
    assert "without tokens" in failure["detail"]
    assert failure["count"] >= 4


def test_warm_up_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that breaks off every answer that is longer than one token: warm-up has one of all lengths."""
    from autotuner.benchmark.stand_ins.mock_process import mock_server

    with mock_server(ttft_ms=5, itl_ms=1, fault="error", fault_after=2) as url:  # the probe's stream, and the warm-up
        code, document = told(capsys, url)
    assert code == 1
    assert document["levels"][0]["errors"] == document["levels"][0]["requests"] == 4


def test_extra_keys_are_sent(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from autotuner.benchmark.stand_ins.mock_process import mock_server

    log = tmp_path / "log"
    with mock_server(ttft_ms=5, itl_ms=1, log=str(log)) as url:
        code, _ = told(capsys, url, "--extra-body", '{"temperature": 0.5, "logit_bias": {"7": 1}}')
    bodies = [json.loads(line) for line in log.read_text().splitlines()]
    assert code == 0
    assert all((body["temperature"], body["logit_bias"]) == (0.5, {"7": 1}) for body in bodies if body["stream"])


@pytest.mark.parametrize("text", ["[1]", "{", "temperature=0"])
def test_extra_keys_are_an_object(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["bench", "http://127.0.0.1:1", "--extra-body", text, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["key"] == "extra_body"


def test_a_server_that_is_still_loading_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with odd_server("warming", warming_s=2) as url:
        code = main(["bench", url, "--concurrency", "1", "--requests", "2", "--scenario", "D(8,4)"])
    assert code == 0
    assert "the model is being loaded" in capsys.readouterr().err


def test_a_server_that_is_not_there_yet_is_waited_for_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    import socket
    import threading
    import time

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ended = threading.Event()

    def come_up_late() -> None:
        time.sleep(1.0)
        with odd_server("nothing", port=port):
            ended.wait(60)

    late = threading.Thread(target=come_up_late)
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(InfrastructureError, match="refused"):
        bench(url, workload(), requests=2)
    late.start()
    try:
        code, document = told(capsys, url, "--wait-s", "60")
    finally:
        ended.set()
        late.join()
    assert code == 0
    assert document["levels"][0]["errors"] == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has vouched for, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    name = "-addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), *name.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both


def test_a_refused_certificate_is_told_at_once(capsys: pytest.CaptureFixture[str], certificate: Path) -> None:
    with odd_server("nothing", cert=str(certificate)) as url:
        assert url.startswith("https://")
        code, document = told(capsys, url, "--wait-s", "600")
        assert code == 3
        assert "its certificate is refused" in document["message"]
        assert "--insecure" in document["message"]
        code, document = told(capsys, url, "--insecure")
    assert code == 0
    assert document["levels"][0]["errors"] == 0
