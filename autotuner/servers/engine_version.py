"""Asking an engine's executable which version it is and which flags it knows."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.engines import Engine, EngineAnswer, flags_in
from autotuner.engines.settings import image_of
from autotuner.errors import InputError
from autotuner.servers.answer_cache import cached_answer
from autotuner.servers.docker.question import known_image, said_in_container
from autotuner.servers.docker.settings import container_settings
from autotuner.servers.machine.executables import resolve_argv
from autotuner.servers.supervision.rank_starter import inherited_env
from autotuner.servers.supervision.said import said
from autotuner.servers.supervision.supervision import RankProcess
from autotuner.study.model import DockerLauncher, Study

ASK_TIMEOUT_S = 60.0  # of one question: an engine imports its libraries first

_GRACE_S = 0.5  # to what is still there then
_USERS = Path("~/.local")  # pip install --user
_LOCAL = Path("/usr/local")  # what the system's Python has from elsewhere than the distribution
# Lines long enough for every flag's name, and no colours.
_PLAIN_TEXT = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


@dataclass(frozen=True)
class _Program:
    """An executable, asked by ``argv`` and ``help_argv``. ``identity`` (JSON values) changes when it is another."""

    argv: tuple[str, ...]
    help_argv: tuple[str, ...]
    identity: Mapping[str, Any]
    say: Callable[[Sequence[str]], str | None]
    version: str | None = None  # where it is known without asking


def ask_version(
    engine: Engine,
    study: Study,
    *,
    gpu_ids: Sequence[str] = (),
    timeout_s: float = ASK_TIMEOUT_S,
    may_pull: bool = True,
) -> EngineAnswer | None:
    """What the engine's executable, or ``engine.command``, says on this machine; ``None``: not here, or no answer.

    ``study`` is of this engine alone. Asked once for a file, its time and size, and what Python packages are beside
    it; kept in the user's cache folder. It sees the GPUs ``gpu_ids`` and no others. A docker study asks its image's
    executable, once an image, which is pulled where it is not here and that is allowed.
    """
    command = tuple(study.engine.command) or engine.command
    question = engine.version_question
    argv = question.asked_of(command)
    if argv is None:
        return None
    help_argv = () if question.help_argv is None else (*command, *question.help_argv)
    if isinstance(study.launcher, DockerLauncher):
        program = _in_image(study, study.launcher, argv, help_argv, gpu_ids, timeout_s, may_pull=may_pull)
    else:
        program = _on_node(study, argv, help_argv, gpu_ids, timeout_s)
    if program is None:
        return None
    if program.version is not None:
        return EngineAnswer(program.version, program.argv[0])

    def ask() -> dict[str, Any] | None:
        found = re.search(question.pattern, program.say(program.argv) or "")
        if found is None:
            return None
        help_text = program.say(program.help_argv) if program.help_argv else None
        return {"version": found.group(1), "flags": None if help_text is None else sorted(flags_in(help_text))}

    key = {"argv": [program.argv, program.help_argv], "pattern": question.pattern, "env": _own_env(study)}
    answer = cached_answer({**key, **program.identity}, ask)
    if answer is None:
        return None
    flags = answer.get("flags")
    return EngineAnswer(str(answer["version"]), program.argv[0], None if flags is None else frozenset(flags))


def _own_env(study: Study) -> dict[str, str]:
    return {name: value for name, value in study.engine.env.items() if isinstance(value, str)}


def _on_node(
    study: Study, argv: tuple[str, ...], help_argv: tuple[str, ...], gpu_ids: Sequence[str], timeout_s: float
) -> _Program | None:
    try:
        resolved = resolve_argv(argv)
        help_argv = resolve_argv(help_argv).argv if help_argv else ()
    except InputError:
        return None
    env = {**inherited_env(), **_own_env(study), **_PLAIN_TEXT, "CUDA_VISIBLE_DEVICES": ",".join(gpu_ids)}

    def say(words: Sequence[str]) -> str | None:
        return said(lambda folder, log: RankProcess(tuple(words), env, folder, log), timeout_s, _GRACE_S)

    identity = {"node": os.uname().nodename, "files": list(_marks(resolved.argv))}
    return _Program(resolved.argv, help_argv, identity, say, resolved.version)


def _in_image(
    study: Study,
    section: DockerLauncher,
    argv: tuple[str, ...],
    help_argv: tuple[str, ...],
    gpu_ids: Sequence[str],
    timeout_s: float,
    *,
    may_pull: bool,
) -> _Program | None:
    image = image_of(study)
    image_id = None if image is None else known_image(image, may_pull=may_pull)
    if image is None or image_id is None:
        return None
    name, settings, env = image, container_settings(study, section), {**_own_env(study), **_PLAIN_TEXT}

    def say(words: Sequence[str]) -> str | None:
        return said_in_container(name, words, env, gpu_ids, settings, timeout_s)

    return _Program(argv, help_argv, {"image": image_id}, say)


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
