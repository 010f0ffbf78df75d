"""scripts/make_llamacpp_catalogue.py reads the two forms in which llama.cpp tells its flags, to the same end."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "make_llamacpp_catalogue.py"))

HELP = """----- common params -----

-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
                                        (env: LLAMA_ARG_FLASH_ATTN)
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        whether to enable KV cache offloading (default: enabled)
                                        (env: LLAMA_ARG_KV_OFFLOAD)
--repack, -nr, --no-repack              whether to enable weight repacking (default: enabled)
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        - auto: mmap, unless a device does not support it
                                        - mmap+mlock: mmap + force system to keep model in RAM

                                        (env: LLAMA_ARG_LOAD_MODE)
--draft, --draft-max N                  the argument has been removed. use --spec-draft-n-max
                                        (env: LLAMA_ARG_DRAFT_MAX)


----- example-specific params -----

-sps,  --slot-prompt-similarity SIMILARITY
                                        how much the prompt of a request must match the prompt of a slot in
                                        order to use that slot (default: 0.10, 0.0 = disabled)
--mmproj-auto, --no-mmproj, --no-mmproj-auto
                                        whether to use a projector (default: enabled)
--spec-type none,draft-mtp,ngram-mod    comma-separated list of types to use (default: none)
--poll-spec <0...100>                   use polling (default: 50)
-kvu,  --kv-unified                     one buffer (default: enabled if number of slots is auto)
"""
README = """# Flags
| `--not-a-flag N` | of another table |
<!-- HELP_START -->
### Common params
| Argument | Explanation |
| -------- | ----------- |
| `-fa, --flash-attn [on\\|off\\|auto]` | set Flash Attention use (default: 'auto')<br/>(env: LLAMA_ARG_FLASH_ATTN) |
| `-kvo, --kv-offload, -nkvo, --no-kv-offload` | offloading (default: enabled)<br/>(env: LLAMA_ARG_KV_OFFLOAD) |
| `--repack, -nr, --no-repack` | whether to enable weight repacking (default: enabled) |
| `-lm, --load-mode MODE` | mode (default: auto)<br/>- auto: mmap<br/>- mmap+mlock: both<br/><br/>(env: LLAMA_ARG) |
| `--draft, --draft-max N` | the argument has been removed. use --spec-draft-n-max<br/>(env: LLAMA_ARG_DRAFT_MAX) |

### Server-specific params
| `-sps, --slot-prompt-similarity SIMILARITY` | how much must match (default: 0.10, 0.0 = disabled) |
| `--mmproj-auto, --no-mmproj, --no-mmproj-auto` | whether to use a projector (default: enabled) |
| `--spec-type none,draft-mtp,ngram-mod` | comma-separated list of types to use (default: none) |
| `--poll-spec <0...100>` | use polling (default: 50) |
| `-kvu, --kv-unified` | one buffer (default: enabled if number of slots is auto) |
| `--only-here N` | of the README alone (default: 4) |
<!-- HELP_END -->
| `--neither N` | of another table |
"""
TYPES = "(none|draft-mtp|ngram-mod)"
EXPECTED = {
    "flash-attn": {"type": "choice", "aliases": ["fa"], "choices": ["on", "off", "auto"], "default": "auto"},
    "kv-offload": {"type": "flag", "aliases": ["kvo"], "default": True},
    "repack": {"type": "flag", "default": True},
    "load-mode": {"type": "choice", "aliases": ["lm"], "choices": ["auto", "mmap+mlock"], "default": "auto"},
    "draft": {
        "type": "int",
        "aliases": ["draft-max"],
        "default": None,
        "reserved": "was removed: use --spec-draft-n-max",
    },
    "slot-prompt-similarity": {"type": "float", "aliases": ["sps"], "min": 0, "max": 1, "default": 0.1},
    "mmproj-auto": {"type": "flag", "also_off": ["no-mmproj"], "default": True},
    "spec-type": {"type": "str", "pattern": f"{TYPES}(,{TYPES})*", "default": "none"},
    "poll-spec": {"type": "int", "min": 0, "max": 100, "default": 50},
    "kv-unified": {"type": "switch", "aliases": ["kvu"], "default": False},
}


def flags(*texts: str) -> dict[str, Any]:
    return {name: fields for section in SCRIPT["merged"](texts).values() for name, fields in section}


def test_both_forms_say_the_same() -> None:
    assert flags(HELP) == EXPECTED
    assert {**flags(README)} == {**EXPECTED, "only-here": {"type": "int", "default": 4}}


def test_what_only_one_text_has_is_taken_from_it() -> None:
    assert list(flags(HELP, README)) == [*EXPECTED, "only-here"]
    assert list(SCRIPT["merged"]([HELP])) == ["common params", "example-specific params"]


@pytest.mark.parametrize("text", ["", "llama-server: command not found\n", "# A README without a table\n"])
def test_a_text_that_names_no_flags_makes_no_catalogue(text: str) -> None:
    with pytest.raises(SystemExit, match="text 2 names no flags"):
        flags(HELP, text)
