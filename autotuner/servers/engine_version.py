"""Asking an engine's executable which version it is and which flags it knows."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autotuner.engines import Engine, EngineAnswer, flags_in
from autotuner.errors import InputError, ServerLostError
from autotuner.servers._answer_cache import cached_answer
from autotuner.servers.executables import resolve_argv
from autotuner.servers.rank_starter import inherited_env
from autotuner.servers.supervision import RankProcess, Supervision
from autotuner.study.model import Study

ASK_TIMEOUT_S = 60.0  # of one question: an engine imports its libraries first

_POLL_S = 0.02
_GRACE_S = 0.5  # to what is still there then
_MOST_BYTES = 8 * 2**20  # a help text has some 200 kB
_USERS = Path("~/.local")  # pip install --user
_LOCAL = Path("/usr/local")  # what the system's Python has from elsewhere than the distribution
# Lines long enough for every flag's name, and no colours.
_PLAIN_TEXT = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def ask_version(
    engine: Engine, study: Study, *, gpu_ids: Sequence[str] = (), timeout_s: float = ASK_TIMEOUT_S
) -> EngineAnswer | None:
    """What the engine's executable, or ``engine.command``, says on this machine; ``None``: not here, or no answer.

    ``study`` is of this engine alone. Asked once for a file, its time and size, and what Python packages are beside
    it; kept in the user's cache folder. It sees the GPUs ``gpu_ids`` and no others.
    """
    command = tuple(study.engine.command) or engine.command
    question = engine.version_question
    asked = question.asked_of(command)
    if asked is None:
        return None
    try:
        resolved = resolve_argv(asked)
        help_argv = () if question.help_argv is None else resolve_argv((*command, *question.help_argv)).argv
    except InputError:
        return None
    if resolved.version is not None:
        return EngineAnswer(resolved.version, resolved.argv[0])
    own_env = {name: value for name, value in study.engine.env.items() if isinstance(value, str)}
    env = {**inherited_env(), **own_env, **_PLAIN_TEXT, "CUDA_VISIBLE_DEVICES": ",".join(gpu_ids)}

    def ask() -> dict[str, Any] | None:
        found = re.search(question.pattern, _said(resolved.argv, env, timeout_s) or "")
        if found is None:
            return None
        help_text = _said(help_argv, env, timeout_s) if help_argv else None
        return {"version": found.group(1), "flags": None if help_text is None else sorted(flags_in(help_text))}

    key = {
        "node": os.uname().nodename,
        "argv": [resolved.argv, help_argv],
        "pattern": question.pattern,
        "env": own_env,
        "files": list(_marks(resolved.argv)),
    }
    answer = cached_answer(key, ask)
    if answer is None:
        return None
    flags = answer.get("flags")
    return EngineAnswer(str(answer["version"]), resolved.argv[0], None if flags is None else frozenset(flags))


def _said(argv: Sequence[str], env: Mapping[str, str], timeout_s: float) -> str | None:
    """What a program prints that ends well in time; ``None`` of one that does not. Nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="autotuner-") as name:
        folder = Path(name)
        log = folder / "said.log"
        rank = RankProcess(tuple(argv), env, folder, log)
        supervision = Supervision(
            [rank], launch_id="version", env=inherited_env(), log=folder / "supervisor.log", grace_s=_GRACE_S
        )
        try:
            exit_code = _wait(supervision, log, timeout_s)
        except ServerLostError:
            return None
        finally:
            supervision.stop()
        return log.read_text(encoding="utf-8", errors="replace") if exit_code == 0 else None


def _wait(supervision: Supervision, log: Path, timeout_s: float) -> int | None:
    ends_at = time.monotonic() + timeout_s
    while (code := supervision.exit_code()) is None and time.monotonic() < ends_at:
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > _MOST_BYTES:
                return None
        time.sleep(_POLL_S)
    return code


def _marks(argv: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Real path, time and size of each file that an argv names, on the PATH too, and of the folders of Python
    packages beside it.

    The latter change with every package that is installed or upgraded, which ``python -m package`` does not.
    """
    files = [Path(found) for word in argv if (found := shutil.which(word)) is not None]
    prefixes = dict.fromkeys(
        [*(place.parent.parent for file in files for place in (file, file.resolve())), _USERS, _LOCAL]
    )
    folders = [found for prefix in prefixes for found in sorted(prefix.expanduser().glob("lib/python3*/*-packages"))]
    for path in dict.fromkeys([*files, *folders]):
        with contextlib.suppress(OSError):
            stat = path.stat()
            yield str(path.resolve()), stat.st_mtime_ns, stat.st_size
