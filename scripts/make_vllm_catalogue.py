"""Prints the flag catalogue of the installed vLLM, read off the argument parser of its `vllm serve`.

    PYTHON_OF_VLLM scripts/make_vllm_catalogue.py > autotuner/engines/flags/catalogues/vllm-VERSION.yaml

It is run by the Python that vLLM is installed for, and imports vLLM, PyYAML and the standard library alone.
Types and choices come from the parser's actions, ranges from the pydantic fields that the actions are made of,
notes on deprecated flags from their help texts. What no parser can tell is in the tables below: flags that
Autotuner sets itself, and the ranges that vLLM checks elsewhere.
"""

# ruff: noqa: E402  # the words of the command line must be set before vLLM is imported

from __future__ import annotations

import argparse
import dataclasses
import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import yaml

sys.argv = [sys.argv[0], "--help"]  # vLLM leaves the help texts out unless it is asked for help

import vllm
import vllm.config
import vllm.entrypoints.cli.serve
from vllm.config import SpeculativeConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.utils.argparse_utils import FlexibleArgumentParser, human_readable_int

_WIDTH = 112
_ONE_RANK = "is laid out by Autotuner, node by node"
_PLAIN_HTTP = "servers under test speak plain HTTP on this machine"

RESERVED: Mapping[str, str] = {
    "model": "comes from `model.id`",
    "served-model-name": "comes from `model.served_name`",
    "host": "is bound at launch",
    "port": "is bound at launch",
    "uds": "would keep the load driver out",
    "api-key": "would keep the load driver out",
    "root-path": "would move the endpoints away from the load driver",
    "grpc": "would replace the HTTP server that is measured",
    "config": "would set flags that the study does not know of",
    "ssl-keyfile": _PLAIN_HTTP,
    "ssl-certfile": _PLAIN_HTTP,
    "ssl-ca-certs": _PLAIN_HTTP,
    "enable-ssl-refresh": _PLAIN_HTTP,
    "ssl-cert-reqs": _PLAIN_HTTP,
    "ssl-ciphers": _PLAIN_HTTP,
    "headless": _ONE_RANK,
    "nnodes": _ONE_RANK,
    "node-rank": _ONE_RANK,
    "master-addr": _ONE_RANK,
    "master-port": _ONE_RANK,
    "data-parallel-rank": _ONE_RANK,
    "data-parallel-start-rank": _ONE_RANK,
    "data-parallel-size-local": _ONE_RANK,
    "data-parallel-address": _ONE_RANK,
    "data-parallel-rpc-port": _ONE_RANK,
    "data-parallel-hybrid-lb": _ONE_RANK,
    "data-parallel-external-lb": _ONE_RANK,
    "data-parallel-multi-port-external-lb": _ONE_RANK,
    "data-parallel-supervisor-port": _ONE_RANK,
    "data-parallel-backend": "stays mp: Ray would take GPUs that no trial has reserved",
    "device-ids": "would name GPUs that are not the trial's own",
    "lora-modules": "comes from `workload.lora`",
    "hf-token": "is a secret: give HF_TOKEN in `engine.env`, by the name of a variable",
}

# Ranges that vLLM checks in validators, asserts or kernels rather than in a field.
RANGES: Mapping[str, tuple[float | None, float | None]] = {
    "api-server-count": (0, None),
    "port": (1, 65535),
    "max-logprobs": (-1, None),
    "num-gpu-blocks-override": (1, None),
    "long-prefill-token-threshold": (0, None),
    "dcp-kv-cache-interleave-size": (1, None),
    "cp-kv-cache-interleave-size": (1, None),
    "distributed-timeout-seconds": (1, None),
    "cpu-distributed-timeout-seconds": (1, None),
    "h11-max-header-count": (1, None),
    "h11-max-incomplete-event-size": (1, None),
    "shutdown-timeout": (0, None),
    "kv-cache-memory-bytes": (1, None),
    "max-num-scheduled-tokens": (1, None),
    "max-cpu-loras": (1, None),
    "max-cudagraph-capture-size": (0, None),
    "renderer-num-workers": (1, None),
    "spec-tokens": (1, None),
    "kv-offloading-size": (0, None),
    "max-log-len": (0, None),
    "sse-keep-alive-interval": (0, None),
}
ALSO: Mapping[str, list[str]] = {"max-model-len": ["auto"]}  # human_readable_int_or_auto
GLUED: Mapping[str, str] = {"optimization-level": "O"}  # FlexibleArgumentParser.parse_args: -O3
FORMER: Mapping[str, str] = {"compilation-config": "O"}  # up to 0.11: -O.level 3


def _quantization_methods() -> list[str]:
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    return list(QUANTIZATION_METHODS)


def _attention_backends() -> list[str]:
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    return ["auto", *(member.name for member in AttentionBackendEnum)]


def _mamba_backends() -> list[str]:
    from vllm.config.mamba import MambaBackendEnum

    return [member.name for member in MambaBackendEnum]


def _optimization_levels() -> list[str]:
    from vllm.config.vllm import OptimizationLevel

    return [str(int(member)) for member in OptimizationLevel]


def _load_formats() -> list[str]:
    from vllm.model_executor.model_loader import LoadFormats

    return [str(value) for value in get_args(LoadFormats)]


def _reasoning_parsers() -> list[str]:
    from vllm.reasoning import ReasoningParserManager

    return sorted(ReasoningParserManager.list_registered())


# Texts to the parser, one of a list to what is behind it; plugins may add to the open ones. Enumerations' names are
# taken in small letters too.
LISTED: Mapping[str, Callable[[], list[str]]] = {
    "attention-backend": _attention_backends,
    "quantization": _quantization_methods,
    "mamba-backend": _mamba_backends,
    "optimization-level": _optimization_levels,
}
LISTED_OPEN: Mapping[str, Callable[[], list[str]]] = {
    "load-format": _load_formats,
    "reasoning-parser": _reasoning_parsers,
}


def flags() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(group, name, catalogue fields) of every flag of `vllm serve`, in the parser's order."""
    parser = ServeSubcommand().subparser_init(FlexibleArgumentParser(prog="vllm").add_subparsers())
    for group in parser._action_groups:
        for action in group._group_actions:
            if action.option_strings and not isinstance(action, argparse._HelpAction):
                name = next(text for text in action.option_strings if text.startswith("--"))[2:]
                yield group.title or "", name, fields_of(name, group.title or "", action)


def fields_of(name: str, group: str, action: argparse.Action) -> dict[str, Any]:
    """One flag's catalogue fields, those that say something."""
    found: dict[str, Any] = {**type_of(name, action)}
    others = [
        text.lstrip("-") for text in action.option_strings if text != f"--{name}" and not _turns_off(action, text)
    ]
    if others:
        found["aliases"] = others
    twins = [text[2:] for text in action.option_strings if text.startswith("--") and _turns_off(action, text)]
    if own := [twin for twin in twins if twin.removeprefix("no-") not in (name, *others)]:
        found["also_off"] = own
    if found["type"] in ("int", "float"):
        found |= range_of(name, group, action.dest)
        if reads_letters(action.type):
            found["suffixes"] = "k-K"
    if found["type"] == "json":
        found |= structure_of(action)
    tables: Mapping[str, Mapping[str, Any]] = {"also": ALSO, "glued": GLUED, "former": FORMER}
    found |= {field: table[name] for field, table in tables.items() if name in table}
    found["default"] = plain(action.default)
    if deprecated := deprecation(action):
        found["deprecated"] = deprecated
    if name in RESERVED:
        found["reserved"] = RESERVED[name]
    return found


def _turns_off(action: argparse.Action, text: str) -> bool:
    """Whether a spelling is the twin of a flag (``--no-x``, ``--disable-x`` of ``--enable-x``), told by trying it."""
    if not isinstance(action, argparse.BooleanOptionalAction):
        return False
    given = argparse.Namespace()
    action(argparse.ArgumentParser(), given, [], text)
    return getattr(given, action.dest) is False


def type_of(name: str, action: argparse.Action) -> dict[str, Any]:
    """`type`, and `choices` where there are some."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return {"type": "flag"}
    if action.nargs == 0:
        return {"type": "switch"}
    listed = LISTED[name]() if name in LISTED else [str(choice) for choice in action.choices or ()]
    listed = [choice for choice in listed if choice != "None"]
    if action.nargs in ("+", "*") or (isinstance(action.nargs, int) and action.nargs > 1):
        return {"type": "list", "choices": listed} if listed else {"type": "list"}
    if listed:
        return {"type": "choice", "choices": listed}
    known = LISTED_OPEN[name]() if name in LISTED_OPEN else known_values(action.metavar)
    if known:
        return {"type": "choice", "choices": known, "open": True}
    return {"type": parsed_type(action.type)}


def reads_letters(parse: Any) -> bool:
    """Whether a number may be written as `8k` and `8K`, told by trying both."""
    try:
        return [parse(text) for text in ("8k", "8K")] == [human_readable_int(text) for text in ("8k", "8K")]
    except Exception:  # noqa: BLE001  # each function has errors of its own
        return False


def structure_of(action: argparse.Action) -> dict[str, Any]:
    """`keys` (name → choices, null where any value will do) of a map that no other may be in; `open` where a text that
    is no JSON will do."""
    taken = next((field.type for field in dataclasses.fields(EngineArgs) if field.name == action.dest), None)
    classes = [SpeculativeConfig] if action.dest == "speculative_config" else [taken, *get_args(taken)]
    strict = [c for c in classes if getattr(c, "__pydantic_config__", {}).get("extra") == "forbid"]
    if strict:
        own = strict[0].__pydantic_fields__
        read_first = {
            name for v in strict[0].__pydantic_decorators__.field_validators.values() for name in v.info.fields
        }
        known = {
            name: [] if name in read_first else _literals(f.annotation)
            for name, f in own.items()
            if f.init is not False
        }
        return {"keys": {name: choices or None for name, choices in known.items()}}
    try:
        return {"open": True} if isinstance(action.type("no JSON"), str) else {}
    except Exception:  # noqa: BLE001  # each function has errors of its own
        return {}


def _literals(annotation: Any) -> list[str]:
    """The texts of a Literal, or of an optional one."""
    members = [annotation] if get_origin(annotation) is Literal else list(get_args(annotation))
    members = [member for member in members if member is not type(None)]
    if not members or any(get_origin(member) is not Literal for member in members):
        return []
    values = [value for member in members for value in get_args(member)]
    return values if all(isinstance(value, str) for value in values) else []


def known_values(metavar: object) -> list[str]:
    """Values that the help names although others are taken too: a list, or `{a,b} or …`."""
    if isinstance(metavar, list | tuple):
        return [str(value) for value in metavar]
    braces = re.match(r"\{([^}]+)\}", metavar) if isinstance(metavar, str) else None
    return braces[1].split(",") if braces else []


def parsed_type(parse: Any) -> str:
    """What a parser's type function makes of a text, told by trying it."""
    if parse is None:
        return "str"
    for text in ("{}", "1"):
        try:
            value = parse(text)
        except Exception:  # noqa: BLE001  # each function has errors of its own
            continue
        if isinstance(value, dict) or dataclasses.is_dataclass(value):
            return "json"
        if isinstance(value, int | float):
            return type(value).__name__
        return "str"  # itself, or its words between commas
    return "json"  # a dataclass with fields that must be given


def range_of(name: str, group: str, dest: str) -> dict[str, float]:
    """`min` and `max`, whole for whole numbers; a bound that is not itself allowed is written only where it is one."""
    if name in RANGES:
        low, high = RANGES[name]
        return {key: bound for key, bound in (("min", low), ("max", high)) if bound is not None}
    found: dict[str, float] = {}
    for rule in _rules(group, dest):
        if (low := getattr(rule, "ge", None)) is not None:
            found["min"] = low
        if (above := getattr(rule, "gt", None)) is not None:
            found["min"] = above + 1 if isinstance(above, int) and _is_whole(group, dest) else above
        if (high := getattr(rule, "le", None)) is not None:
            found["max"] = high
        if (below := getattr(rule, "lt", None)) is not None:
            found["max"] = below - 1 if isinstance(below, int) and _is_whole(group, dest) else below
    return found


def _rules(group: str, dest: str) -> list[Any]:
    field = _field(group, dest)
    return [] if field is None else list(field.metadata)


def _is_whole(group: str, dest: str) -> bool:
    field = _field(group, dest)
    return field is not None and "float" not in str(field.annotation)


def _field(group: str, dest: str) -> Any:
    """The pydantic field behind an action: of its group's configuration, else of the only one that has it."""
    classes = [getattr(vllm.config, name) for name in dir(vllm.config)]
    owners = [c for c in classes if isinstance(c, type) and dest in getattr(c, "__pydantic_fields__", {})]
    named = [owner for owner in owners if owner.__name__ == group]
    chosen = named or (owners if len(owners) == 1 else [])
    return chosen[0].__pydantic_fields__[dest] if chosen else None


def deprecation(action: argparse.Action) -> str | None:
    """What the help says of a flag that is going away or replaced, and of what to use instead."""
    own = rf"(?:--)?(?:{'|'.join(re.escape(text) for text in (action.dest, *action.option_strings))})"
    marks = rf"Deprecated\b|This (?:option|flag|argument) is deprecated|{own} (?:is deprecated|has been replaced)"
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z-])", " ".join((action.help or "").split()))
    for index, sentence in enumerate(sentences):
        if re.match(marks, sentence):
            more = [text for text in sentences[index + 1 : index + 2] if re.match(r"Use |It will be removed", text)]
            return " ".join([sentence, *more]).rstrip(".")
    marked = action in getattr(FlexibleArgumentParser, "_deprecated", ()) or getattr(action, "deprecated", False)
    return "vLLM marks it so" if marked else None


def plain(value: Any) -> Any:
    """A default as YAML writes it; `None` for one that is made when the server starts."""
    if isinstance(value, enum.Enum):
        return plain(value.name if value.__class__.__name__.endswith("BackendEnum") else value.value)
    if value in (None, "", argparse.SUPPRESS):  # an empty text is no choice
        return None
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | set | frozenset) and value:
        return [plain(item) for item in value]
    return None


def main() -> None:
    version = vllm.__version__.split("+")[0]
    maker = inspect.getmodule(vllm.entrypoints.cli.serve.make_arg_parser)
    where = f"{maker.__name__.replace('.', '/')}.py" if maker else "vllm/entrypoints/cli/serve.py"
    print(f"# The flags of `vllm serve`, vLLM {version}, as its own argument parser has them: every one of them.")
    print("# Made by scripts/make_vllm_catalogue.py, not edited by hand. Types, choices and defaults: the actions that")
    print(f"# {where} adds to the parser; ranges: the pydantic fields of vllm/config/*.py.")
    print("# `keys` are the fields of the dataclass that a map is made into, with the choices of those that have some.")
    print("# `default` is null where vLLM decides when it starts, by model, GPU and other flags.")
    print(f"engine: vllm\nversion: {version}")
    print(f"source: vllm {version}, parser of `vllm serve` ({where})")
    print("flexible: true")  # FlexibleArgumentParser.parse_args: --speculative-config.method ngram
    print("flags:")
    last = None
    for group, name, fields in flags():
        if group != last:
            print(f"  # {group}")
            last = group
        written = yaml.safe_dump(fields, default_flow_style=True, width=_WIDTH - 14, sort_keys=False).rstrip()
        lines = written.splitlines()
        if len(lines) == 1 and len(name) + len(written) + 4 <= _WIDTH:
            print(f"  {name}: {written}")
        else:
            print(f"  {name}:", *lines, sep="\n    ")


if __name__ == "__main__":
    main()
