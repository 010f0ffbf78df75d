"""Prints the flag catalogue of a build of llama.cpp, from what its llama-server says of its own flags.

    llama-server --help | scripts/make_llamacpp_catalogue.py b11549 - README.md > FILE

After the build come texts, `-` for standard input: the output of `llama-server --help`, and tools/server/README.md of
the same build (llama.cpp's repository has it; so has the sdist of xllamacpp, under thirdparty/). Both are written by
llama.cpp out of common/arg.cpp; a flag that any of them names is taken, from the first that does. What they do not
tell is in the tables below: flags that Autotuner sets itself, ranges, and types behind a bare N. It needs PyYAML alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_WIDTH = 112
_HELP_COLUMN = 40  # of the explanations in --help; what is longer than 37 has a line of its own
_OPTION = re.compile(r"(-{1,2}[A-Za-z0-9][\w.-]*)(?:,\s+(?=-)|\s+|$)")

_ITS_MODEL = "comes from `model.id`"
_PLAIN_HTTP = "servers under test speak plain HTTP on this machine"
_ROUTER = "would make the server a router of several models"
_TOOLS = "would hand this machine to the model"
_LOG = "failures are read from the log"
_ENDS = "prints and ends"
RESERVED: Mapping[str, str] = {
    "help": _ENDS,
    "version": _ENDS,
    "cache-list": _ENDS,
    "completion-bash": _ENDS,
    "list-devices": _ENDS,
    "model": _ITS_MODEL,
    "model-url": _ITS_MODEL,
    "docker-repo": _ITS_MODEL,
    "hf-repo": _ITS_MODEL,
    "hf-file": _ITS_MODEL,
    "hf-token": "is a secret: give HF_TOKEN in `engine.env`, by the name of a variable",
    "models-dir": _ROUTER,
    "models-preset": _ROUTER,
    "models-max": _ROUTER,
    "models-autoload": _ROUTER,
    "alias": "comes from `model.served_name`",
    "host": "is bound at launch",
    "port": "is bound at launch",
    "reuse-port": "would let another server answer on the port under test",
    "api-key": "would keep the load driver out",
    "api-key-file": "would keep the load driver out",
    "api-prefix": "would move the endpoints away from the load driver",
    "ssl-key-file": _PLAIN_HTTP,
    "ssl-cert-file": _PLAIN_HTTP,
    "embedding": "would turn completions off",
    "rerank": "would turn completions off",
    "log-disable": _LOG,
    "log-jsonl": _LOG,
    "log-prefix": _LOG,
    "log-timestamps": _LOG,
    "log-file": "logs are kept in the study's folder",
    "tools": _TOOLS,
    "tools-runtime": _TOOLS,
    "mcp-servers-config": _TOOLS,
    "mcp-servers-json": _TOOLS,
    "agent": _TOOLS,
}
_DOWNLOADS = "can download weights from the internet"

# The name of a flag of several, where it is not its first long one.
NAMES: Mapping[str, str] = {"gpu-layers": "n-gpu-layers"}
# What the texts say in words: fields of the catalogue that take the place of what was read.
_LAYERS = {"type": "str", "pattern": "auto|all|[0-9]+", "default": "auto"}
_PLACES = {"type": "str", "pattern": "[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*", "default": None}
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "n-gpu-layers": _LAYERS,
    "spec-draft-ngl": _LAYERS,
    "override-tensor": _PLACES,
    "spec-draft-override-tensor": _PLACES,
    "tensor-split": {"type": "str", "pattern": "[0-9.]+(,[0-9.]+)*", "default": None},
    "threads": {"type": "int", "min": 1, "default": None},  # -1 stands for the machine's
    "threads-batch": {"type": "int", "min": 1, "default": None},
    "spec-draft-threads": {"type": "int", "min": 1, "default": None},
    "spec-draft-threads-batch": {"type": "int", "min": 1, "default": None},
    "spec-draft-cpu-strict-batch": {"type": "choice", "choices": ["0", "1"], "default": None},
    "poll-batch": {"type": "int", "min": 0, "max": 100, "default": 50},  # one parser for both, common/arg.cpp
    "numa": {"type": "choice", "choices": ["distribute", "isolate", "numactl"], "default": None},
    "rope-scaling": {"type": "choice", "choices": ["none", "linear", "yarn"], "default": None},
    "n-cpu-moe": {"default": 0},
    "n-cpu-ffn": {"default": 0},
    "chat-template-kwargs": {"type": "json", "default": None},
    "json-schema": {"type": "json", "default": None},
}
FLOATS = frozenset({"rope-scale", "rope-freq-base", "rope-freq-scale", "spec-synth-len"})

# Ranges that llama.cpp checks, or that have no meaning outside.
_COUNT, _SHARE = (0, None), (0, 1)
RANGES: Mapping[str, tuple[float | None, float | None]] = {
    "threads-http": (-1, None),
    "prio": (-1, 3),
    "prio-batch": (-1, 3),
    "parallel": (-1, None),
    "ctx-size": _COUNT,
    "batch-size": (1, None),
    "ubatch-size": (1, None),
    "predict": (-1, None),
    "keep": (-1, None),
    "kv-unified-per-slot": (1, None),
    "cache-reuse": _COUNT,
    "cache-ram": (-1, None),
    "slot-prompt-similarity": _SHARE,
    "ctx-checkpoints": _COUNT,
    "checkpoint-min-step": _COUNT,
    "main-gpu": _COUNT,
    "n-cpu-moe": _COUNT,
    "n-cpu-ffn": _COUNT,
    "moe-cache-mib": _COUNT,
    "rope-freq-base": _COUNT,
    "rope-freq-scale": _COUNT,
    "timeout": (1, None),
    "sse-ping-interval": (-1, None),
    "verbosity": (0, 5),
    "spec-draft-n-max": _COUNT,
    "spec-draft-n-min": _COUNT,
    "spec-draft-n-cpu-moe": _COUNT,
    "spec-draft-p-min": _SHARE,
    "spec-draft-p-split": _SHARE,
    "spec-draft-prio": (-1, 3),
    "spec-draft-prio-batch": (-1, 3),
    "spec-ngram-mod-n-min": _COUNT,
    "spec-ngram-mod-n-max": _COUNT,
    "top-p": _SHARE,
    "min-p": _SHARE,
    "top-k": _COUNT,
    "mirostat": (0, 2),
    "fit-ctx": _COUNT,
}
_AT_LEAST_ONE = re.compile(r"spec-ngram-.+-(size-[nm]|min-hits|n-match)")


@dataclass(frozen=True)
class Told:
    """One flag as a text has it: its spellings, what stands for its value, the explanation, its section."""

    options: tuple[str, ...]
    metavar: str
    text: str
    section: str


def read(text: str) -> Iterator[Told]:
    """The flags of a README, or of a help text."""
    return _of_readme(text) if "<!-- HELP_START -->" in text else _of_help(text)


def _of_readme(text: str) -> Iterator[Told]:
    section = ""
    for line in text.partition("<!-- HELP_START -->")[2].partition("<!-- HELP_END -->")[0].splitlines():
        if line.startswith("### "):
            section = line.removeprefix("### ")
        row = re.fullmatch(r"\| `(?P<words>[^`]+)` \| (?P<text>.*) \|", line)
        if row is not None:
            words, said = (row[name].replace("\\|", "|") for name in ("words", "text"))
            yield _told(words, said.replace("<br/>", "\n"), section)


def _of_help(text: str) -> Iterator[Told]:
    section, words, said = "", "", list[str]()
    for line in [*text.splitlines(), "-----"]:
        if words and line.startswith("-"):
            yield _told(words, "\n".join(said), section)
            words, said = "", []
        if line.startswith("-----"):
            section = line.strip("- ")
        elif line.startswith("-"):
            beside = line[_HELP_COLUMN - 3 : _HELP_COLUMN] == "   "
            words, said = (line[:_HELP_COLUMN].rstrip(), [line[_HELP_COLUMN:]]) if beside else (line.rstrip(), [])
        elif words:
            said.append(line.strip())


def _told(words: str, text: str, section: str) -> Told:
    options = []
    while found := _OPTION.match(words):
        options.append(found[1])
        words = words[found.end() :]
    return Told(tuple(options), words.strip(), text, section)


def fields_of(told: Told) -> tuple[str, dict[str, Any]]:
    """A flag's name, and its catalogue fields, those that say something."""
    positive, negative = _spellings(told.options)
    longs = [option[2:] for option in positive if option.startswith("--")]
    first = longs[0] if longs else positive[0].lstrip("-")
    name = NAMES.get(first, first)
    found: dict[str, Any] = {"type": "flag"} if negative else _value(name, told)
    if aliases := [option.lstrip("-") for option in positive if option.lstrip("-") != name]:
        found = {"type": found.pop("type"), "aliases": aliases, **found}
    twins = [option[2:] for option in negative if option.startswith("--")]
    if own := [twin for twin in twins if twin.removeprefix("no-") not in (name, *aliases)]:
        found["also_off"] = own
    if found["type"] in ("int", "float"):
        low, high = RANGES.get(name, (1, None) if _AT_LEAST_ONE.fullmatch(name) else (None, None))
        found |= {key: bound for key, bound in (("min", low), ("max", high)) if bound is not None}
    found["default"] = _default(found, told.text)
    table = FIELDS.get(name, {})
    if "type" in table:
        found = {"type": found["type"], **({"aliases": aliases} if aliases else {})}
    return name, found | table | _notes(name, told.text)


def _spellings(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those that turn a flag on (or give it a value), and those of its twin, which come after them."""
    longs = [option for option in options if option.startswith("--")]
    on = [option for option in longs if not option.startswith("--no-")]
    if not on or len(on) == len(longs):
        return list(options), []
    end = options.index(on[-1]) + 1
    return list(options[:end]), list(options[end:])


def _value(name: str, told: Told) -> dict[str, Any]:
    """`type`, with `choices` or ends of a range where there are some."""
    metavar = told.metavar
    if not metavar:
        return {"type": "switch"}
    if ends := re.fullmatch(r"<(-?\d+)\.\.\.(\d+)>", metavar):
        return {"type": "int", "min": int(ends[1]), "max": int(ends[2])}
    if listed := re.fullmatch(r"[\[{<](\w+(?:[|,]\w+)+)[\]}>]", metavar):
        return {"type": "choice", "choices": re.split(r"[|,]", listed[1])}
    if re.fullmatch(r"[a-z][\w-]*(,[a-z][\w-]*)+", metavar):
        any_of = metavar.replace(",", "|")
        return {"type": "str", "pattern": f"({any_of})(,({any_of}))*"}
    if allowed := re.search(r"allowed values: ([\w, ]+)", told.text):
        return {"type": "choice", "choices": allowed[1].strip().split(", ")}
    bullets = re.findall(r"(?m)^ ?- ([\w+-]+)(?: \(default\))?:", told.text)
    if bullets and metavar not in ("N", "LEVEL"):
        default = _literal(told.text)
        known = bullets if default in (None, *bullets) else [*bullets, str(default)]
        return {"type": "choice", "choices": known}
    if len(metavar.split()) > 1 and metavar.isupper():
        return {"type": "list"}
    if metavar in ("N", "P", "L", "INDEX", "SEED", "PORT", "SECONDS", "SIMILARITY"):
        default = _literal(told.text)
        is_float = name in FLOATS or metavar == "P" or (default is not None and "." in default)
        return {"type": "float" if is_float else "int"}
    return {"type": "str"}


def _literal(text: str) -> str | None:
    """The default as it is written, where it is a value; descriptions of one have several words."""
    marked = re.search(r"(?m)^ ?- ([\w+-]+) \(default\)", text)
    flat = " ".join(text.split())
    found = re.search(r"\bdefault: '([^']+)'|\bdefault: ([^\s,;()\"']+)(?=[,)]|; |$| \(env: )", flat)
    if marked is not None:
        return marked[1]
    return None if found is None else found[1] or found[2]


def _default(found: Mapping[str, Any], text: str) -> Any:
    """As YAML writes it; `None` for one that depends on the model or the machine, or is none."""
    said = _literal(text)
    if found["type"] == "switch":
        return False
    if said is None:
        return None
    if found["type"] == "flag":
        return {"enabled": True, "true": True, "disabled": False, "false": False}.get(said)
    if found["type"] in ("int", "float"):
        return _number(said, float if found["type"] == "float" else int)
    if found["type"] == "choice":
        return said if said in found["choices"] else None
    said_of_none = said in ("unused", "disabled", "none", "unset", "*") and "pattern" not in found
    return None if said_of_none or re.search(rf"default: {re.escape(said)}, ", text) else said


def _number(said: str, kind: type[int] | type[float]) -> float | None:
    try:
        return kind(said)
    except ValueError:
        return None


def _notes(name: str, text: str) -> dict[str, Any]:
    flat = " ".join(text.split())
    if removed := re.search(r"the argument has been removed\. (use .*?)(?: \(env: |$)", flat):
        return {"reserved": f"was removed: {removed[1]}"}
    if _DOWNLOADS in flat:
        return {"reserved": f"names a model: that {_ITS_MODEL}"}
    noted: dict[str, Any] = {"reserved": RESERVED[name]} if name in RESERVED else {}
    if "(DEPRECATED)" in text:
        noted["deprecated"] = "llama.cpp marks it so"
    return noted


def merged(texts: Iterable[str]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Section → flags, each of the first text that has it. Ends the program for a text that names none."""
    sections: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    known: set[str] = set()
    for number, text in enumerate(texts, start=1):
        all_told = list(read(text))
        if not all_told:
            raise SystemExit(f"text {number} names no flags: neither a README nor the output of llama-server --help")
        for told in all_told:
            if known.isdisjoint(told.options):
                known.update(told.options)
                sections.setdefault(told.section, []).append(fields_of(told))
    return sections


def main() -> None:
    build, *paths = sys.argv[1:]
    texts = [sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8") for path in paths]
    print(
        f"# The flags of llama.cpp's llama-server, build {build.removeprefix('b')}, as it tells them itself: every one."
    )
    print("# Made by scripts/make_llamacpp_catalogue.py, not edited by hand. `default` is null where it depends on")
    print("# the model or the machine, or is none. `reserved`: what a study may not set, and why.")
    source = "llama-server --help and tools/server/README.md, which llama.cpp makes of common/arg.cpp"
    print(f"engine: llamacpp\nversion: {build}\nsource: {build} of ggml-org/llama.cpp, {source}\nflags:")
    for section, flags in merged(texts).items():
        print(f"  # {section}")
        for name, fields in flags:
            written = yaml.safe_dump(fields, default_flow_style=True, width=_WIDTH - 4, sort_keys=False).rstrip()
            lines = written.splitlines()
            if len(lines) == 1 and len(name) + len(written) + 4 <= _WIDTH:
                print(f"  {name}: {written}")
            else:
                print("\n".join([f"  {name}:", *(f"    {line.strip()}" for line in lines)]))


if __name__ == "__main__":
    main()
