"""llama.cpp's own HTTP server under llama-server's own flags, from the ``xllamacpp`` wheel.

Stands in where the ``llama-server`` binary is missing: its flags (long, short and ``--no-`` forms), its endpoints,
and the library's defaults but for `--parallel`, whose automatic value is llama-server's. The flags that are set most
are read here; the others are handed to llama.cpp's own parser, which is in the wheel. It imports nothing of this
package, so that it can be started by path without paying for anything but the engine::

    python -P autotuner/servers/llamacpp_server.py -m model.gguf --port 8080 -c 4096 -np 4

Serves until SIGTERM or SIGINT, then exits with 0. Exit code 2: a bad flag; 1: the server did not start.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import struct
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

AUTO_SLOTS = 4  # what llama-server makes of `--parallel -1`, together with one KV buffer for all slots
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
ON_OFF_AUTO = ("on", "off", "auto")

# long flag, short forms, attribute of CommonParams, type
_VALUES: tuple[tuple[str, tuple[str, ...], str, type], ...] = (
    ("model", ("-m",), "model.path", str),
    ("alias", ("-a",), "", str),
    ("host", (), "", str),
    ("port", (), "port", int),
    ("threads", ("-t",), "cpuparams.n_threads", int),
    ("threads-batch", ("-tb",), "", int),
    ("threads-http", (), "n_threads_http", int),
    ("poll", (), "cpuparams.poll", int),
    ("poll-batch", (), "cpuparams_batch.poll", int),
    ("ctx-size", ("-c",), "n_ctx", int),
    ("predict", ("-n", "--n-predict"), "n_predict", int),
    ("batch-size", ("-b",), "n_batch", int),
    ("ubatch-size", ("-ub",), "n_ubatch", int),
    ("keep", (), "n_keep", int),
    ("parallel", ("-np",), "n_parallel", int),
    ("cache-ram", ("-cram",), "cache_ram_mib", int),
    ("cache-reuse", (), "n_cache_reuse", int),
    ("ctx-checkpoints", ("-ctxcp", "--swa-checkpoints"), "n_ctx_checkpoints", int),
    ("checkpoint-min-step", ("-cms",), "checkpoint_min_step", int),
    ("kv-unified-per-slot", (), "kv_unified_per_slot", int),
    ("slot-prompt-similarity", ("-sps",), "slot_prompt_similarity", float),
    ("n-gpu-layers", ("-ngl", "--gpu-layers"), "", str),
    ("main-gpu", ("-mg",), "main_gpu", int),
    ("override-tensor", ("-ot",), "", str),
    ("n-cpu-moe", ("-ncmoe",), "", int),
    ("tensor-split", ("-ts",), "", str),
    ("rope-freq-base", (), "rope_freq_base", float),
    ("rope-freq-scale", (), "rope_freq_scale", float),
    ("timeout", ("-to",), "", int),
    ("sse-ping-interval", (), "sse_ping_interval", int),
    ("api-key", (), "", str),
    ("chat-template", (), "chat_template", str),
    ("verbosity", ("-lv", "--log-verbosity"), "verbosity", int),
)
_CHOICES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("flash-attn", ("-fa",), ON_OFF_AUTO),
    ("fit", ("-fit",), ("on", "off")),
    ("cache-type-k", ("-ctk",), CACHE_TYPES),
    ("cache-type-v", ("-ctv",), CACHE_TYPES),
    ("split-mode", ("-sm",), ("none", "layer", "row", "tensor")),
    ("numa", (), ("distribute", "isolate", "numactl")),
    ("load-mode", ("-lm",), ("auto", "none", "mmap", "mlock", "mmap+mlock", "dio")),
    ("prio", (), ("-1", "0", "1", "2", "3")),
    ("prio-batch", (), ("-1", "0", "1", "2", "3")),
)
# long flag, short forms of it, short forms of its --no- twin, attribute, whether the attribute negates the flag
_PAIRS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str, bool], ...] = (
    ("cont-batching", ("-cb",), ("-nocb",), "cont_batching", False),
    ("cache-prompt", (), (), "cache_prompt", False),
    ("cache-idle-slots", (), (), "cache_idle_slots", False),
    ("kv-unified", ("-kvu",), ("-no-kvu",), "kv_unified", False),
    ("kv-offload", ("-kvo",), ("-nkvo",), "no_kv_offload", True),
    ("op-offload", (), (), "no_op_offload", True),
    ("repack", (), ("-nr",), "no_extra_bufts", True),
    ("context-shift", (), (), "ctx_shift", False),
    ("warmup", (), (), "warmup", False),
    ("slots", (), (), "endpoint_slots", False),
    ("perf", (), (), "no_perf", True),
    ("jinja", (), (), "use_jinja", False),
    ("ui", ("--webui",), ("--no-webui",), "ui", False),
)
_SWITCHES: tuple[tuple[str, str], ...] = (
    ("metrics", "endpoint_metrics"),
    ("props", "endpoint_props"),
    ("no-host", "no_host"),
    ("swa-full", "swa_full"),
    ("check-tensors", "check_tensors"),
    ("offline", "offline"),
    ("cpu-moe", ""),
)
_SHORT_SWITCHES = {"cpu-moe": ("-cmoe",)}
_EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"  # names of the experts' tensors, as llama-server matches them


# llama.cpp's common_params_parse(int, char **, common_params &, llama_example, print_usage), and LLAMA_EXAMPLE_SERVER:
# common/arg.h and common/common.h of b11549.
_PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"
_SERVER = 12
_FIRST_FIELDS = ("n_predict", "n_ctx", "n_batch", "n_ubatch")  # of common_params


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class _Parser(argparse.ArgumentParser):
    """Speaks as llama-server does of a flag that it doesn't know."""

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2]
        _say(f"error: invalid argument: {unknown.split()[0]}" if unknown else f"error: {message}")
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """Every flag, named in the namespace by its long form; unset flags are absent."""
    parser = _Parser(prog="llama-server", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for name, aliases, _, kind in _VALUES:
        parser.add_argument(f"--{name}", *aliases, type=kind, dest=name)
    for name, aliases, choices in _CHOICES:
        parser.add_argument(f"--{name}", *aliases, choices=choices, dest=name)
    for name, positive, negative, _, _ in _PAIRS:
        parser.add_argument(f"--{name}", *positive, action="store_const", const=True, dest=name)
        parser.add_argument(f"--no-{name}", *negative, action="store_const", const=False, dest=name)
    for name, _ in _SWITCHES:
        short = _SHORT_SWITCHES.get(name, ())
        parser.add_argument(f"--{name}", *short, action="store_const", const=True, dest=name)
    return parser


def _assign(params: Any, path: str, value: Any) -> None:
    *owners, attribute = path.split(".")
    for owner in owners:
        params = getattr(params, owner)
    setattr(params, attribute, value)


def _apply_choices(engine: Any, params: Any, flags: dict[str, Any]) -> None:
    flash = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}[flags.get("flash-attn", "auto")]
    params.flash_attn_type = getattr(engine.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{flash}")
    if "fit" in flags:
        params.fit_params = flags["fit"] == "on"
    for letter in "kv":
        if (name := flags.get(f"cache-type-{letter}")) is not None:
            setattr(params, f"cache_type_{letter}", getattr(engine.ggml_type, f"GGML_TYPE_{name.upper()}"))
    if "split-mode" in flags:
        params.split_mode = getattr(engine.llama_split_mode, f"LLAMA_SPLIT_MODE_{flags['split-mode'].upper()}")
    if "numa" in flags:
        params.numa = getattr(engine.ggml_numa_strategy, f"GGML_NUMA_STRATEGY_{flags['numa'].upper()}")
    if "load-mode" in flags:
        mode = flags["load-mode"].upper().replace("+", "_").replace("DIO", "DIRECT_IO")
        params.load_mode = getattr(engine.llama_load_mode, f"LLAMA_LOAD_MODE_{mode}")
    for name, pool in (("prio", params.cpuparams), ("prio-batch", params.cpuparams_batch)):
        if name in flags:
            pool.priority = engine.ggml_sched_priority(int(flags[name]))


def _apply_special(params: Any, flags: dict[str, Any]) -> None:
    """Flags that llama-server itself treats in a way of their own."""
    params.hostnames = [flags.get("host", "127.0.0.1")]
    params.port = flags.get("port", 8080)
    params.cpuparams_batch.n_threads = flags.get("threads-batch", flags.get("threads", -1))
    if flags.get("parallel", -1) < 0:
        params.n_parallel = AUTO_SLOTS
        params.kv_unified = flags.get("kv-unified", True)
    if "alias" in flags:
        params.model_alias = set(flags["alias"].split(","))
    if "api-key" in flags:
        params.api_keys = flags["api-key"].split(",")
    if "timeout" in flags:
        params.timeout_read = params.timeout_write = flags["timeout"]
    if "n-gpu-layers" in flags:
        params.n_gpu_layers = {"auto": -1, "all": -2}.get(flags["n-gpu-layers"]) or int(flags["n-gpu-layers"])
    if "tensor-split" in flags:
        shares = [float(share) for share in flags["tensor-split"].split(",")]
        params.tensor_split = shares + [0.0] * (len(params.tensor_split) - len(shares))
    places = [flags["override-tensor"]] if "override-tensor" in flags else []
    places += [f"{_EXPERTS}=CPU"] if "cpu-moe" in flags else []
    places += [rf"blk\.{layer}{_EXPERTS}=CPU" for layer in range(flags.get("n-cpu-moe", 0))]
    if places:
        params.tensor_buft_overrides = ",".join(places)


def parse_the_rest(engine: Any, params: Any, words: Sequence[str]) -> bool:
    """Lets llama.cpp itself put ``words`` into the parameters; whether it knows them. It says what is wrong."""
    try:
        parse = getattr(ctypes.CDLL(engine.xllamacpp.__file__), _PARSE)
    except (AttributeError, OSError):
        return _refused(words)  # a wheel that does not show it
    place = _place_of(params)
    if place is None:
        return _refused(words)
    parse.restype = ctypes.c_bool
    argv = [word.encode() for word in ("llama-server", *words)]
    return bool(parse(len(argv), (ctypes.c_char_p * len(argv))(*argv), ctypes.c_void_p(place), _SERVER, None))


def _refused(words: Sequence[str]) -> bool:
    _say(f"error: invalid argument: {words[0]}")
    return False


def _place_of(params: Any) -> int | None:
    """The address of the common_params that the wheel's object holds, found by marks in its first fields.

    ``None`` where they are not the first, so that this is another common_params than the one that is known here.
    """
    kept = [getattr(params, name) for name in _FIRST_FIELDS]
    marks = [0x5EED0001 + number for number in range(len(_FIRST_FIELDS))]
    for name, mark in zip(_FIRST_FIELDS, marks, strict=True):
        setattr(params, name, mark)
    held = ctypes.string_at(id(params), type(params).__basicsize__)
    for name, value in zip(_FIRST_FIELDS, kept, strict=True):
        setattr(params, name, value)
    begin = object.__basicsize__  # the C++ object follows Python's head
    found = held.startswith(struct.pack(f"{len(marks)}i", *marks), begin)
    return id(params) + begin if found else None


def make_params(engine: Any, flags: dict[str, Any], params: Any = None) -> Any:
    """``xllamacpp.CommonParams`` as llama-server would fill them from ``flags`` (long name → value)."""
    params = params or engine.CommonParams()
    for name, _, path, _ in _VALUES:
        if path and name in flags:
            _assign(params, path, flags[name])
    for name, _, _, path, negates in _PAIRS:
        if name in flags:
            _assign(params, path, flags[name] != negates)
    for name, path in _SWITCHES:
        if path and name in flags:
            _assign(params, path, True)
    _apply_choices(engine, params, flags)
    _apply_special(params, flags)
    return params


def main(argv: Sequence[str] | None = None) -> int:
    known, rest = build_parser().parse_known_args(argv)
    flags = vars(known)
    # Blocked before the engine starts its threads, so that they inherit it and `sigwait` below gets the signal.
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)

    import xllamacpp

    params = xllamacpp.CommonParams()
    if rest and not parse_the_rest(xllamacpp, params, rest):
        return 2
    if "model" not in flags:
        _say("error: --model is required")
        return 2
    try:
        server = xllamacpp.Server(make_params(xllamacpp, flags, params))
    except (RuntimeError, ValueError) as error:
        _say(f"error: {error}")
        return 1
    _say(f"main: server is listening on {server.listening_address}")
    signal.sigwait(stop_signals)
    # Without the library's own end, which waits for ever where its loop has not yet begun: the kernel frees all.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
