"""README and docs/ say what is so: studies load, commands parse, links lead somewhere, code compiles."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import autotuner
from autotuner.api.checking import check
from autotuner.cli.main import build_parser
from autotuner.study import Study, load_study

ROOT = Path(__file__).parents[3]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
SHELLS = ("sh", "bash", "console")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
_REST = {  # what a section needs around it to be a study
    "model": {"id": "model.gguf"},
    "engine": {"name": "llamacpp"},
    "workload": {"scenario": "D(32,8)", "load": {"concurrency": [1]}},
}


@dataclass(frozen=True)
class Found:
    """A piece of a page: where it stands, and its text."""

    where: str
    text: str


# ── what is looked at ─────────────────────────────────────────────────────────────────────────


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its fenced blocks; a code span may go over a line's end."""
    return re.sub(r"[ ]*\n[ ]*", " ", _FENCE.sub("\n", page.read_text(encoding="utf-8")))


def blocks(*languages: str) -> list[Found]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match[1] in languages:
                line = text[: match.start()].count("\n") + 1
                found.append(Found(f"{name_of(page)}:{line}", match[2]))
    return found


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def help_texts() -> Iterator[Found]:
    parser = build_parser()
    for name, one in {"autotuner": parser, **subparsers(parser)}.items():
        yield Found(f"{name} --help", f"{one.description or ''}\n{one.epilog or ''}")


def told_commands() -> Iterator[Found]:
    """Every ``autotuner …`` of shell blocks, code spans and help texts, as its arguments.

    Running text may name a command alone: then it is asked for its help.
    """
    for block in blocks(*SHELLS):
        for line in block.text.replace("\\\n", " ").splitlines():
            for words in invocations(line):
                yield Found(block.where, shlex.join(words))
    for page in PAGES:
        for span in _INLINE.findall(prose(page)):
            if span.startswith("autotuner "):
                yield Found(name_of(page), shlex.join(named(shlex.split(span)[1:])))
    for text in help_texts():
        for line in text.text.splitlines():
            quoted = re.findall(r"'(autotuner [^']+)'", line)
            for command in [line] if line.strip().startswith("autotuner ") else quoted:
                yield Found(text.where, shlex.join(named(shlex.split(command, comments=True)[1:])))


def named(words: list[str]) -> list[str]:
    return [*words, "--help"] if len(words) == 1 else words


def invocations(line: str) -> Iterator[list[str]]:
    """The arguments of each ``autotuner``, or ``python -m autotuner.cli.main``, that a shell line runs."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set(";&|()<>"):
            words.append(word)
            continue
        for start, name in enumerate(words):
            is_module = name == "autotuner.cli.main" and words[start - 1] == "-m"
            if is_module or (name == "autotuner" and start == 0) or name.endswith("bin/autotuner"):
                yield words[start + 1 :]
                break
        words = []


def yaml_maps() -> list[tuple[Found, dict[str, Any]]]:
    return [(block, yaml.safe_load(block.text)) for block in blocks("yaml", "yml")]


def is_whole(data: dict[str, Any]) -> bool:
    return {"model", "engine", "workload"} <= data.keys()


WHOLE_STUDIES = [pytest.param(block, id=block.where) for block, data in yaml_maps() if is_whole(data)]
SECTIONS = [pytest.param(data, id=block.where) for block, data in yaml_maps() if not is_whole(data)]
COMMANDS = [pytest.param(found.text, id=f"{found.where}: {found.text[:60]}") for found in told_commands()]
PYTHON = [pytest.param(block, id=block.where) for block in blocks("python")]


# ── studies ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", WHOLE_STUDIES)
def test_a_study_in_the_docs_is_valid(
    block: Found, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in re.findall(r"from_env: *(\w+)", block.text):
        monkeypatch.setenv(variable, "a value")
    file = tmp_path / "study.yaml"
    file.write_text(block.text, encoding="utf-8")
    told = yaml.safe_load(block.text)["model"]["id"]
    overrides = [f"model.id={tiny_model}"] if told.endswith(".gguf") else []
    study = load_study(file, overrides).study
    check(study)


@pytest.mark.parametrize("data", SECTIONS)
def test_a_section_of_a_study_in_the_docs_is_valid(data: dict[str, Any], tmp_path: Path) -> None:
    assert data.keys() <= Study.model_fields.keys()
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**_REST, **data}), encoding="utf-8")
    load_study(file)


def test_the_docs_show_studies() -> None:
    pages = {block.where.partition(":")[0] for block, data in yaml_maps() if is_whole(data)}
    assert {"README.md", "docs/quick-start.md"} <= pages


def test_every_example_is_a_study() -> None:
    files = sorted((ROOT / "examples").rglob("study*.yaml"))
    assert files
    for file in files:
        load_study(file)


# ── commands ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_the_docs_parses(command: str) -> None:
    try:
        arguments = build_parser().parse_args(shlex.split(command))
    except SystemExit:  # --help; bad usage is an InputError
        return
    overrides = [text for text in getattr(arguments, "overrides", []) if "…" not in text]
    load_study(ROOT / "examples" / "laptop" / "study.yaml", overrides)


def test_the_docs_show_every_command() -> None:
    shown = {shlex.split(param.values[0])[0] for param in COMMANDS if isinstance(param.values[0], str)}
    assert subparsers(build_parser()).keys() <= shown


def test_every_make_target_of_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = {target for block in blocks(*SHELLS) for target in re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE)}
    told |= {target for page in PAGES for target in re.findall(r"`make ([\w-]+)`", prose(page))}
    assert {"demo", "test", "check"} <= told
    assert told <= targets


def test_every_script_and_benchmark_of_the_docs_exists() -> None:
    texts = [block.text for block in blocks(*SHELLS)]
    texts += [span for page in PAGES for span in _INLINE.findall(prose(page))]
    text = "\n".join(texts)
    modules = re.findall(r"-m (benchmarks(?:\.[a-z_]+)+)", text)
    named = {f"{module.replace('.', '/')}.py" for module in modules}
    named |= set(re.findall(r"(?<![\w/.])(?:examples|scripts|tests|search_spaces)/[\w./-]+\.(?:py|yaml)", text))
    assert named
    packages = {name for name in named if (ROOT / name).with_suffix("").joinpath("__main__.py").exists()}
    assert [name for name in sorted(named - packages) if not (ROOT / name).exists()] == []


# ── links and folders ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [first or second for first, second in _LINK.findall(text)]
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    broken = []
    for target in local:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for first, second in _LINK.findall(page.read_text(encoding="utf-8")):
            path = (first or second).partition("#")[0]
            if path and ":" not in path:
                waiting.append((page.parent / path).resolve())
    assert [name_of(page) for page in PAGES if page not in reached] == []


def architecture_rows() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([a-z_]+(?:/|\.py))` \|", text, re.MULTILINE)


def test_the_folders_of_the_architecture_exist() -> None:
    missing = [row for row in architecture_rows() if not ((ROOT / "autotuner" / row).exists() or (ROOT / row).exists())]
    assert missing == []


def test_the_architecture_names_every_folder_of_the_package() -> None:
    folders = {f"{path.parent.name}/" for path in (ROOT / "autotuner").glob("*/__init__.py")}
    assert folders
    assert folders <= set(architecture_rows())


def test_the_architecture_has_the_order_that_the_import_contract_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    names = [layer.removeprefix("autotuner.") for layer in reversed(layers)]
    told = [row.removesuffix("/").removesuffix(".py") for row in architecture_rows()]
    assert told[: len(names)] == names


def test_every_file_that_the_architecture_names_exists() -> None:
    spans = _INLINE.findall(prose(ROOT / "docs" / "architecture.md"))
    named = {span for span in spans if re.fullmatch(r"[a-z_]+/[\w/]+\.py|[a-z_]+/[a-z_/]+/", span)}
    assert named
    assert [n for n in sorted(named) if not ((ROOT / "autotuner" / n).exists() or (ROOT / n).exists())] == []


# ── Python ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", PYTHON)
def test_python_in_the_docs_compiles_and_names_what_there_is(block: Found) -> None:
    compile(block.text, block.where, "exec")
    used = set(re.findall(r"\bat\.(\w+)", block.text))
    assert used <= set(autotuner.__all__)
    result = set(re.findall(r"\bresult\.(\w+)", block.text))
    assert [name for name in sorted(result) if not hasattr(autotuner.Result, name)] == []


def test_the_readme_shows_the_python_interface() -> None:
    assert any(block.where.startswith("README.md") for block in blocks("python"))
