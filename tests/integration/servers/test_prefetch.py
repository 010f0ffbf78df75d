"""Weights fetched from a hub of the test's own by the real huggingface_hub."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from autotuner.engines import one_engine
from autotuner.errors import InfrastructureError, InputError
from autotuner.servers.supervision.tags import OWNER
from autotuner.servers.weights.prefetch import FetchOrder, prefetch
from autotuner.space.config import Config
from autotuner.study import load_study_text
from autotuner.study.model import Study
from tests.integration.hub import TOKEN, Hub, serve

MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": b"weights" * 1000,
    "pytorch_model.bin": b"the same weights",
    "original/consolidated.00.pth": b"the same weights again",
    "tokenizer.json": b"{}",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    models = {
        "org/model": MODEL,
        "org/fp8": MODEL,
        "org/adapter": {"adapter_model.bin": b"adapter"},
        "org/secret": MODEL,
    }
    with serve(Hub(models, private=frozenset({"org/secret"}))) as running:
        yield running


@pytest.fixture
def cache(hub: Hub, tmp_path: Path, own_locks: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the node's, and the hub that it is filled from."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    return tmp_path / "hf" / "hub"


def order(keys: dict[str, Any] | None = None, *, owner: str = "host:1:1", log: Path | None = None) -> FetchOrder:
    """A trial of a vLLM study of ``org/model``."""
    base: dict[str, Any] = {
        "model": {"id": "org/model"},
        "engine": {"name": "vllm"},
        "hardware": {"accelerators": ["H100-80GB"]},
        "workload": {"scenario": "D(32,8)"},
    }
    given = {**base, **(keys or {})}
    return of_study(load(given), Config({}), owner=owner, log=log)


def load(keys: dict[str, Any]) -> Study:
    return load_study_text(yaml.safe_dump(keys), Path("/nowhere")).study


def of_study(
    study: Study, config: Config, *, owner: str = "host:1:1", log: Path | None = None, timeout_s: float = 60.0
) -> FetchOrder:
    engine, own_study, own_config = one_engine(study, config)
    return FetchOrder(own_study, engine.deployment(own_study, own_config), timeout_s, {OWNER: owner}, log)


def fetched(cache: Path) -> set[str]:
    """Files in the cache's snapshots, as MODEL/FILE."""
    found = (path for path in cache.glob("models--*/snapshots/*/**/*") if path.is_file())
    names = (path.relative_to(cache).parts for path in found)
    return {"/".join([parts[0].removeprefix("models--").replace("--", "/"), *parts[3:]]) for parts in names}


def test_what_a_server_loads_is_there_before_it_starts(cache: Path, hub: Hub, tmp_path: Path) -> None:
    prefetch(order(log=tmp_path / "fetch.log"))
    assert fetched(cache) == {"org/model/config.json", "org/model/model.safetensors", "org/model/tokenizer.json"}
    (weights,) = cache.glob("models--org--model/snapshots/*/model.safetensors")
    assert weights.read_bytes() == MODEL["model.safetensors"]
    assert f"org/model: is in {weights.parent}" in (tmp_path / "fetch.log").read_text(encoding="utf-8")


def test_a_config_gets_its_own_checkpoint_and_the_adapters(cache: Path, hub: Hub) -> None:
    study = load(
        {
            "model": {"id": "org/model", "variants": {"fp8": "org/fp8"}},
            "engine": {"name": "vllm"},
            "hardware": {"accelerators": ["H100-80GB"]},
            "workload": {"scenario": "D(32,8)", "lora": {"adapters": {"poet": "org/adapter"}}},
        }
    )
    prefetch(of_study(study, Config({"quant.gemm": "fp8"})))
    assert {name.rpartition("/")[0] for name in fetched(cache)} == {"org/fp8", "org/adapter"}
    assert "org/adapter/adapter_model.bin" in fetched(cache), "an adapter without safetensors is what it is"


def test_trials_that_start_together_wait_for_one_download(cache: Path, hub: Hub) -> None:
    hub.pause_s = 0.3
    program = "import sys; from tests.integration.servers.test_prefetch import *; prefetch(order())"
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[3]) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert sorted(hub.got) == ["org/model/config.json", "org/model/model.safetensors", "org/model/tokenizer.json"]


def test_a_study_asks_once_and_the_next_one_again(cache: Path, hub: Hub) -> None:
    prefetch(order())
    asked = hub.asked
    prefetch(order())
    assert hub.asked == asked
    prefetch(order(owner="host:2:2"))
    assert hub.asked > asked
    assert len(hub.got) == 3


@pytest.mark.parametrize("model", ["org/none", "org/gated", "org/secret", "org/--no..name"])
def test_what_the_hub_does_not_give_is_the_configs_fault_in_its_words(cache: Path, hub: Hub, model: str) -> None:
    hub.models = {**hub.models, "org/gated": MODEL}
    hub.gated = frozenset({"org/gated"})
    with pytest.raises(InputError, match=model) as refused:
        prefetch(order({"model": {"id": model}}))
    words = {"org/none": "Repository", "org/gated": "restricted", "org/secret": "Repository", "org/--no..name": "--"}
    assert words[model] in refused.value.message
    assert "\n" not in refused.value.message


def test_a_secret_of_the_study_opens_a_private_model(
    cache: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    keys = {
        "model": {"id": "org/secret"},
        "engine": {"name": "vllm", "env": {"HF_TOKEN": {"from_env": "MY_TOKEN"}, "HF_HOME": str(tmp_path / "other")}},
    }
    prefetch(order(keys))
    assert not fetched(cache)
    assert "org/secret/model.safetensors" in fetched(tmp_path / "other" / "hub"), "the cache that the server will use"


def test_a_container_has_the_nodes_cache(cache: Path, hub: Hub, tmp_path: Path) -> None:
    keys = {
        "engine": {"name": "vllm", "image": "vllm:1", "env": {"HF_HOME": "/root/.cache/huggingface"}},
        "launcher": {"kind": "docker"},
    }
    prefetch(order(keys))
    assert "org/model/model.safetensors" in fetched(cache)


@pytest.mark.parametrize("fault", ["away", "broken"])
def test_a_hub_that_fails_says_nothing_about_the_config(
    cache: Path, hub: Hub, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "away":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    else:
        hub.fault = 500
    with pytest.raises(InfrastructureError, match="org/model can't be fetched") as failed:
        prefetch(order())
    assert not isinstance(failed.value, InputError)


def test_what_is_in_the_cache_does_without_the_hub(cache: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    prefetch(order())
    asked = hub.asked
    prefetch(order({"engine": {"name": "vllm", "env": {"HF_HUB_OFFLINE": "1"}}}, owner="host:2:2"))
    assert hub.asked == asked
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    prefetch(order(owner="host:3:3"))


def test_one_that_takes_too_long_is_given_up_and_leaves_no_process(cache: Path, hub: Hub) -> None:
    hub.pause_s = 60
    late = of_study(order().study, Config({}), timeout_s=3)
    with pytest.raises(InfrastructureError, match=r"timeouts\.fetch_s"):
        prefetch(late)
    assert not [child for child in psutil.Process().children() if "hub_fetcher.py" in " ".join(child.cmdline())]


def test_a_fetcher_ends_with_the_trial_that_waits_for_it(cache: Path, hub: Hub, mark: str, alive: Any) -> None:
    hub.pause_s = 60
    program = "import sys; from tests.integration.servers.test_prefetch import *; prefetch(order())"
    root = Path(__file__).parents[3]
    trial = subprocess.Popen([sys.executable, "-c", program], cwd=root, env={**os.environ, "M": mark})
    wait_for(lambda: len(alive()) == 2 and hub.asked > 2)
    trial.kill()
    trial.wait(30)
    wait_for(lambda: not alive())


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


@pytest.mark.parametrize(
    "keys",
    [
        {"model": {"id": "org/model", "prefetch": False}},
        {"model": {"id": "/models/llama"}},
        {"engine": {"name": "llamacpp"}, "model": {"id": "/models/tiny.gguf"}, "hardware": {}},
        {"launcher": {"kind": "endpoint", "url": "http://127.0.0.1:9"}},
        {
            "engine": {"name": "vllm", "image": "vllm:1", "args": {"download-dir": "/weights"}},
            "launcher": {"kind": "docker"},
        },
    ],
)
def test_nothing_is_fetched_where_it_is_off_or_nothing_is_on_a_hub(cache: Path, hub: Hub, keys: dict[str, Any]) -> None:
    prefetch(order(keys))
    assert hub.asked == 0
    assert not fetched(cache)


def test_revision_and_folder_are_those_of_the_servers_flags(cache: Path, hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    prefetch(order({"engine": {"name": "vllm", "args": {"download-dir": str(folder), "revision": "main"}}}))
    assert "org/model/model.safetensors" in fetched(folder)
    assert not fetched(cache)
