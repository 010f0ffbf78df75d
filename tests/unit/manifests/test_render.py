"""Manifests are parsed, linted and executed: what a Config says must come out as it went in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from autotuner.engines.deployment import Deployment, Mount, Rank, SecretEnv, ServerGroup
from autotuner.errors import InputError
from autotuner.manifests import ManifestContext, render, targets

HOSTILE = [
    "plain",
    "",
    " leading and trailing ",
    "it's",
    'say "hi"',
    "'\"'\"'",
    "two\nlines\n",
    "carriage\rreturn\ttab",
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}",
    "$$ $ $1 a$",
    "$é",
    "a; touch pwned #",
    "# not a comment",
    "-leading-dash",
    "--flag=--other",
    "- list",
    "key: value",
    "!!python/object:os.system",
    "&anchor *alias",
    "{a: b}",
    "[x, y]",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{host",
    "}{",
    "yes",
    "null",
    "1e3",
    "0o17",
    "12:30:45",
    "|",
    "> folded",
    "back\\slash\\n",
    "*",
    "~",
    "naïve 漢字 🚀",
    "line\u2028separator\u0085next\ufeffbom\x7fdel\x1besc",
    "$(HOST)",
    "$$(HOST)",
    "<!-- --> </script>",
    "%s %d",
    "!history!",
]


def braced(text: str) -> str:
    """As an engine writes a literal: braces doubled."""
    return text.replace("{", "{{").replace("}", "}}")


def deployment(*argv: str, **changes: Any) -> Deployment:
    own = ("env", "measuring_env", "files", "gpus", "cpus")
    rank_keys = {key: changes.pop(key) for key in own if key in changes}
    replicas = changes.pop("replicas", 1)
    words = ("llama-server", "--host", "{host}", "--port", "{port}", *argv)
    return Deployment(
        **{
            "engine": "llama.cpp",
            "engine_version": "b9999",
            "model": "/models/tiny.gguf",
            "served_name": "tiny",
            "groups": (ServerGroup((Rank(words, **rank_keys),), replicas=replicas),),
            **changes,
        }
    )


def context(**changes: Any) -> ManifestContext:
    return ManifestContext(
        **{"study_name": "laptop", "trial_id": "0007", "config": {"ubatch-size": 128}, "summary": (), **changes}
    )


def one(target: str, made: Deployment, ctx: ManifestContext | None = None) -> str:
    files = render(target, made, ctx or context())
    assert len(files) == 1
    return next(iter(files.values()))


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder with a `llama-server` that prints its argv, environment and files as JSON."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "llama-server"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "files = os.environ.get('PROBE_FILES')\n"
        "read = {}\n"
        "if files:\n"
        "    for root, _, names in os.walk(files):\n"
        "        for name in names:\n"
        "            path = os.path.join(root, name)\n"
        "            read[os.path.relpath(path, files)] = open(path, newline='').read()\n"
        "print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'files': read}))\n"
    )
    program.chmod(0o755)
    return folder


def run_shell(text: str, folder: Path, **env: str) -> dict[str, Any]:
    script = folder.parent / "serve.sh"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["bash", str(script)],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "LANG": "C.UTF-8", **env},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert not (folder.parent / "pwned").exists()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def shellcheck(text: str) -> None:
    done = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def compose_value(text: str) -> str:
    """What Compose makes of a scalar that holds no variable: ``$$`` is ``$``, a single ``$`` an error."""
    assert "$" not in text.replace("$$", ""), text
    return text.replace("$$", "$")


def kubernetes_expand(text: str) -> str:
    """Kubernetes' own expansion of ``$(VAR)``, byte by byte as its source has it; no variable is defined."""
    raw, out, at = text.encode(), b"", 0
    while at < len(raw):
        if raw[at : at + 1] != b"$" or at + 1 >= len(raw):
            out += raw[at : at + 1]
            at += 1
        elif raw[at + 1 : at + 2] == b"$":
            out += b"$"
            at += 2
        elif raw[at + 1 : at + 2] == b"(" and b")" in raw[at + 2 :]:
            pytest.fail(f"{text!r} would be expanded")
        else:
            out += b"$" + chr(raw[at + 1]).encode()
            at += 2
    return out.decode()


def kubernetes_objects(text: str) -> dict[str, dict[str, Any]]:
    objects = [o for o in yaml.safe_load_all(text) if o is not None]
    for made in objects:
        kubernetes_validate.validate(made, "1.31", strict=True)
    return {o["kind"]: o for o in objects}


def test_three_targets() -> None:
    assert targets() == ("shell", "compose", "kubernetes")


def test_an_unknown_target_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="helm"):
        render("helm", deployment(), context())


def test_shell_runs_the_exact_argv(stand_in: Path) -> None:
    text = one("shell", deployment(*map(braced, HOSTILE)))
    shellcheck(text)
    assert run_shell(text, stand_in)["argv"] == ["--host", "127.0.0.1", "--port", "8000", *HOSTILE]


def test_shell_takes_host_and_port_from_the_environment(stand_in: Path) -> None:
    argv = run_shell(one("shell", deployment("--url=http://{host}:{port}/x")), stand_in, HOST="::1", PORT="9")["argv"]
    assert argv == ["--host", "::1", "--port", "9", "--url=http://::1:9/x"]


def test_shell_exports_the_exact_environment(stand_in: Path) -> None:
    env = {f"V{i}": braced(text) for i, text in enumerate(HOSTILE)}
    text = one("shell", deployment(env=env))
    shellcheck(text)
    seen = run_shell(text, stand_in)["env"]
    assert [seen[f"V{i}"] for i in range(len(HOSTILE))] == HOSTILE


def test_shell_writes_the_exact_files(stand_in: Path) -> None:
    files = {f"a b/{i}'$(x).yaml": text for i, text in enumerate(HOSTILE)}
    text = one("shell", deployment("--config={files}/x", files=files, env={"PROBE_FILES": "{files}"}))
    shellcheck(text)
    seen = run_shell(text, stand_in)
    assert seen["files"] == files
    assert seen["argv"][-1] == f"--config={seen['env']['PROBE_FILES']}/x"


def test_shell_demands_a_secret_and_does_not_hold_it(stand_in: Path) -> None:
    text = one("shell", deployment(env={"HF_TOKEN": SecretEnv("MY_TOKEN")}))
    shellcheck(text)
    assert run_shell(text, stand_in, MY_TOKEN="s3cret $x")["env"]["HF_TOKEN"] == "s3cret $x"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_shell(text, stand_in)
    assert "MY_TOKEN" in caught.value.stderr


def test_shell_falls_back_to_the_python_server(stand_in: Path) -> None:
    (stand_in / "llama-server").rename(stand_in / "python3")
    path = f"{stand_in}:/usr/bin:/bin"
    argv = run_shell(one("shell", deployment("-c", "1")), stand_in, PATH=path)["argv"]
    assert argv[:2] == ["-m", "autotuner.servers.llamacpp_server"]
    assert argv[-2:] == ["-c", "1"]


def test_shell_starts_each_replica_on_its_own_port_and_gpus(stand_in: Path) -> None:
    program = stand_in / "llama-server"
    program.write_text('#!/bin/sh\necho "$4 $CUDA_VISIBLE_DEVICES" >>seen; sleep 0.5\n')
    script = one("shell", deployment(replicas=2, gpus=2))
    shellcheck(script)
    (stand_in.parent / "serve.sh").write_text(script)
    subprocess.run(
        ["bash", "serve.sh"],
        cwd=stand_in.parent,
        env={"PATH": f"{stand_in}:{os.environ['PATH']}"},
        timeout=30,
        check=True,
    )
    assert sorted((stand_in.parent / "seen").read_text().split("\n")) == ["", "8000 0,1", "8001 2,3"]


@pytest.mark.parametrize("target", ["shell", "compose", "kubernetes"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_breaks_out_of_the_header(target: str, text: str) -> None:
    hostile = context(
        study_name=text,
        trial_id=text,
        config={text: text},
        summary=(text, f"x\n{text}"),
    )
    made = deployment(model=text or "m", engine_version=text, image="i:1")
    plain = deployment(model="m", image="i:1")
    body = one(target, made, hostile)
    if target == "shell":
        shellcheck(body)
        assert code_lines(body) == code_lines(one(target, plain))
    elif target == "compose":
        assert list(yaml.safe_load(body)) == ["services"]
        assert len(yaml.safe_load(body)["services"]) == 1
    else:
        assert list(kubernetes_objects(body)) == ["Deployment", "Service"]


def code_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.startswith("#")]


def test_compose_holds_the_exact_values() -> None:
    env = {f"V{i}": braced(text) for i, text in enumerate(HOSTILE)}
    files = {f"{i}.yaml": text for i, text in enumerate(HOSTILE)}
    made = deployment(*map(braced, HOSTILE), "{files}/0", env=env, files=files, image="repo/$x:1")
    document = yaml.safe_load(one("compose", made))
    service = document["services"]["laptop-0007"]
    assert [compose_value(word) for word in service["entrypoint"]] == ["llama-server"]
    expected = ["--host", "0.0.0.0", "--port", "8000", *HOSTILE, "/etc/autotuner/files/0"]
    assert [compose_value(word) for word in service["command"]] == expected
    assert [compose_value(v) for v in service["environment"].values()] == HOSTILE
    assert compose_value(service["image"]) == "repo/$x:1"
    placed = {c["source"]: c["target"] for c in service["configs"]}
    held = {placed[key]: compose_value(value["content"]) for key, value in document["configs"].items()}
    assert held == {f"/etc/autotuner/files/{path}": text for path, text in files.items()}


def test_compose_reserves_gpus_only_where_there_are_some() -> None:
    without = yaml.safe_load(one("compose", deployment(cpus=3)))["services"]["laptop-0007"]
    assert without["deploy"]["resources"] == {"limits": {"cpus": "3"}}
    assert without["image"] == "ghcr.io/ggml-org/llama.cpp:server-b9999"
    assert without["entrypoint"] == ["/app/llama-server"]
    device = {"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}
    with_two = yaml.safe_load(one("compose", deployment(gpus=2)))["services"]["laptop-0007"]
    assert with_two["deploy"]["resources"]["reservations"] == {"devices": [device]}
    assert with_two["image"] == "ghcr.io/ggml-org/llama.cpp:server-cuda-b9999"


@pytest.mark.parametrize(
    ("engine", "gpus", "image"),
    [
        ("vllm", 1, "vllm/vllm-openai:v1.2.3"),
        ("vllm", 0, "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v1.2.3"),
        ("sglang", 8, "lmsysorg/sglang:v1.2.3"),
        ("trtllm", 1, "nvcr.io/nvidia/tensorrt-llm/release:1.2.3"),
    ],
)
def test_an_engines_usual_image_is_of_its_version(engine: str, gpus: int, image: str) -> None:
    made = deployment(engine=engine, engine_version="1.2.3", gpus=gpus)
    service = yaml.safe_load(one("compose", made))["services"]["laptop-0007"]
    assert service["image"] == image
    assert service["entrypoint"] == ["llama-server"]  # the argv's own: the image has it on its PATH


@pytest.mark.parametrize("target", ["shell", "compose", "kubernetes"])
def test_what_a_server_has_for_being_measured_is_not_deployed(target: str) -> None:
    made = deployment(env={"KEPT": "1"}, measuring_env={"DEV_MODE": "1"}, image="i:1")
    text = one(target, made)
    assert "KEPT" in text
    assert "DEV_MODE" not in text


def test_compose_probes_health_and_demands_secrets() -> None:
    made = deployment(env={"HF_TOKEN": SecretEnv("MY_TOKEN")})
    service = yaml.safe_load(one("compose", made, context(port=9001)))["services"]["laptop-0007"]
    assert service["healthcheck"]["test"] == ["CMD", "curl", "-fsS", "http://127.0.0.1:9001/health"]
    assert service["environment"]["HF_TOKEN"].startswith("${MY_TOKEN:?")
    assert service["ports"] == [{"target": 9001, "published": "9001"}]


def test_a_local_model_is_mounted_where_the_argv_expects_it() -> None:
    made = deployment("--model", "/data/$a 'b'.gguf", model="/data/$a 'b'.gguf")
    service = yaml.safe_load(one("compose", made))["services"]["laptop-0007"]
    volume = service["volumes"][0]
    assert compose_value(volume["source"]) == compose_value(volume["target"]) == "/data/$a 'b'.gguf"
    assert volume["read_only"] is True
    pod = kubernetes_objects(one("kubernetes", made))["Deployment"]["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "mount-0", "hostPath": {"path": "/data/$a 'b'.gguf"}}]
    assert pod["containers"][0]["volumeMounts"] == [
        {"name": "mount-0", "mountPath": "/data/$a 'b'.gguf", "readOnly": True}
    ]


def test_a_model_inside_a_mount_is_not_mounted_again() -> None:
    made = deployment(model="/models/x/tiny.gguf", mounts=(Mount("/srv/models", "/models", read_only=False),))
    pod = kubernetes_objects(one("kubernetes", made))["Deployment"]["spec"]["template"]["spec"]
    assert [v["hostPath"]["path"] for v in pod["volumes"]] == ["/srv/models"]
    assert pod["containers"][0]["volumeMounts"][0]["readOnly"] is False


def test_kubernetes_holds_the_exact_values() -> None:
    env = {f"V{i}": braced(text) for i, text in enumerate(HOSTILE)}
    files = {f"{i}.yaml": text for i, text in enumerate(HOSTILE)}
    made = deployment(*map(braced, HOSTILE), "{files}/0", env=env, files=files, image="repo/x:1")
    objects = kubernetes_objects(one("kubernetes", made))
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert [kubernetes_expand(word) for word in container["command"]] == ["llama-server"]
    expected = ["--host", "0.0.0.0", "--port", "8000", *HOSTILE, "/etc/autotuner/files/0"]
    assert [kubernetes_expand(word) for word in container["args"]] == expected
    assert [kubernetes_expand(v["value"]) for v in container["env"]] == HOSTILE
    items = {i["key"]: i["path"] for i in pod["volumes"][-1]["configMap"]["items"]}
    assert {items[key]: text for key, text in objects["ConfigMap"]["data"].items()} == files


def test_kubernetes_probes_resources_and_secret() -> None:
    made = deployment(gpus=2, cpus=6, replicas=3, env={"HF_TOKEN": SecretEnv("MY_TOKEN")})
    objects = kubernetes_objects(one("kubernetes", made, context(start_timeout_s=61, port=9001)))
    spec = objects["Deployment"]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["replicas"] == 3
    assert container["resources"] == {"requests": {"cpu": "6"}, "limits": {"nvidia.com/gpu": "2"}}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] >= 61
    assert container["env"] == [
        {
            "name": "HF_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "laptop-0007-secrets", "key": "MY_TOKEN"}},
        }
    ]
    assert objects["Service"]["spec"]["selector"] == spec["selector"]["matchLabels"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["ports"] == [{"name": "http", "port": 9001, "targetPort": "http"}]


@pytest.mark.parametrize(
    ("study", "trial", "name"),
    [
        ("Llama 3.1_8B", "0007-c1", "llama-3-1-8b-0007-c1"),
        ("3.1", "0007", "study-3-1-0007"),
        ("漢字", "0007", "study-0007"),
        ("", "", "study"),
        ("--a--", "-1-", "a-1"),
        ("x" * 200, "0007", "x" * 50 + "-0007"),
    ],
)
def test_kubernetes_names_are_dns_labels(study: str, trial: str, name: str) -> None:
    objects = kubernetes_objects(one("kubernetes", deployment(), context(study_name=study, trial_id=trial)))
    assert objects["Service"]["metadata"]["name"] == name


@pytest.mark.parametrize("target", ["shell", "compose", "kubernetes"])
def test_what_no_file_can_hold_is_refused(target: str) -> None:
    for text in ("a\0b", "a\udc80b"):
        with pytest.raises(InputError, match="NUL or a lone surrogate"):
            render(target, deployment(text), context())
    with pytest.raises(InputError, match="environment variable"):
        render(target, deployment(env={"A B=$(x)": "1"}), context())
    with pytest.raises(InputError, match="environment variable"):
        render(target, deployment(env={"A": SecretEnv("X:-$(id)")}), context())
    with pytest.raises(InputError, match="leaves"):
        render(target, deployment(files={"../x": "1"}), context())
    with pytest.raises(InputError, match="already ran"):
        render(target, deployment(groups=()), context())
    two_ranks = (ServerGroup((Rank(("a",)), Rank(("b",)))),)
    with pytest.raises(InputError, match="one rank"):
        render(target, deployment(groups=two_ranks), context())


def test_an_engine_without_a_usual_image_asks_for_one() -> None:
    with pytest.raises(InputError, match="image"):
        render("compose", deployment(engine="other"), context())
    made = yaml.safe_load(one("compose", deployment(engine="other"), context(image="mine:1")))
    assert made["services"]["laptop-0007"]["image"] == "mine:1"
