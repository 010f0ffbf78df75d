"""The exception behind a server's end, where no known words explain it. Pure.

Engines of several processes tell one failure many times over: as the traceback of the process that failed, as another
of the process that waited for it ("see root cause above"), and as what went wrong while all of them were ended.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

_MOST_MORE_LINES = 2
# Before what a process says: who it is, when, how loud. The first group is the process.
_WHO = re.compile(
    r"^(?P<who>(?:\([^()]*\bpid=\d+[^()]*\) ?)*(?:\[rank\d+\]: ?)?)"
    r"(?:(?:ERROR|CRITICAL):?[ \d:.-]*(?:[\w./-]+:\d+\]|\[[^\]]*\])? ?)?"  # vLLM's, Python's logging
    r"(?:(?:\[[^\]]*\] ?)*\[E\] ?)?"  # TensorRT-LLM's
)
_GROUP = re.compile(r"^ *[|+] ")  # before the lines of an exception group
_TRACEBACK = re.compile(r"(?:^|: |^Exception Group )Traceback \(most recent call last\):$")
_NAME = r"[A-Za-z_][\w.]*"
_RAISED = re.compile(rf"(?P<name>{_NAME})(?::(?P<said>.*))?")
_NAMED_SO = re.compile(rf"(?:{_NAME}\.)?\w*(?:Error|Exception|Failure|Interrupt|Exit|Timeout)")
_FATAL = re.compile(r"Fatal Python error: .+")
_THROWN = re.compile(r"terminate called after throwing an instance of '(?P<name>[^']+)'")
_WHAT = re.compile(r"\s*what\(\):\s*(?P<said>.+)")
_CAUSE = "The above exception was the direct cause of the following exception:"
_WHILE = "During handling of the above exception, another exception occurred:"
_IGNORED = re.compile(r"Exception ignored in|Error in atexit\._run_exitfuncs|Task exception was never retrieved")
# What is said of another's end, not of the reason for one's own.
_OF_ANOTHER = re.compile(
    r"(?i)root cause|see (?:the )?(?:stack ?trace|(?:error|log)s? )|stack trace above|background process|"
    r"EngineDeadError|died unexpectedly|process(?:es)? (?:has |have )?(?:died|exited|terminated)|worker returned error|"
    r"connection (?:closed|reset|refused|aborted)|broken ?pipe|EOFError|CancelledError|KeyboardInterrupt|SystemExit|"
    r"resource_tracker|leaked (?:semaphore|shared_memory)"
)
# What Python's names say of the values that were given, whatever the words.
_OF_VALUES = frozenset({"ValueError", "NotImplementedError", "ValidationError"})


@dataclass(frozen=True)
class RootCause:
    """``name`` of the exception's class, with its module; ``text``: its own line, as it is told.

    ``afterwards``: what was raised while it was handled.
    """

    name: str
    text: str
    afterwards: str = ""

    @property
    def is_of_values(self) -> bool:
        """Whether it says that a value is wrong, rather than that something broke."""
        return self.name.rpartition(".")[2] in _OF_VALUES

    @property
    def message(self) -> str:
        return f"{self.text} (then {self.afterwards})" if self.afterwards else self.text


def root_cause(lines: Sequence[str]) -> RootCause | None:
    """The innermost exception of the last chain that tells a reason of its own; ``None`` where there is none.

    ``lines`` are a log's, with the spaces before them. Chains that only point at another process, and exceptions
    that were ignored, count where nothing else does.
    """
    chains = [chain for chain in _Reader().read(lines) if not chain.ignored]
    own = [chain.cause for chain in chains if not _OF_ANOTHER.search(chain.cause.text)]
    told = own or [chain.cause for chain in chains]
    return told[-1] if told else None


@dataclass(frozen=True)
class _Chain:
    cause: RootCause
    ignored: bool


@dataclass
class _Process:
    """What one process is in the midst of."""

    in_traceback: bool = False
    source: str = ""  # the last line of code that a traceback showed
    link: str = ""  # how the next exception follows from the last
    ignored: bool = False
    thrown: str = ""
    chain: int | None = None  # its last
    wants_more: int = 0  # lines of a message that its first one does not tell


@dataclass
class _Reader:
    _chains: list[_Chain] = field(default_factory=list)
    _processes: defaultdict[str, _Process] = field(default_factory=lambda: defaultdict(_Process))

    def read(self, lines: Sequence[str]) -> list[_Chain]:
        for line in lines:
            who = _WHO.match(line)
            head = who.end() if who else 0
            self._take(self._processes[who["who"].strip() if who else ""], line[head:].rstrip())
        return self._chains

    def _take(self, process: _Process, line: str) -> None:
        text = _GROUP.sub("", line)
        said = text.strip()
        if _TRACEBACK.search(said):
            process.in_traceback, process.source = True, ""
        elif said in (_CAUSE, _WHILE):
            process.link, process.wants_more = said, 0
        elif _IGNORED.search(said):
            process.ignored = True
        elif thrown := _THROWN.search(said):
            process.thrown = thrown["name"]
        elif process.thrown and (what := _WHAT.match(text)):
            self._raised(process, process.thrown, f"{process.thrown}: {what['said']}")
        elif _FATAL.fullmatch(said):
            self._raised(process, "", said)
        elif said and not text[0].isspace() and (raised := self._exception(process, said)):
            self._found(process, said, raised)
        elif said.startswith('File "'):
            process.in_traceback = True  # SGLang begins one on a line that is no error
        elif process.in_traceback and said:
            process.source = process.source if said.startswith(("^", "~")) else said
        elif process.wants_more and said and process.chain is not None:
            process.wants_more -= 1
            chain = self._chains[process.chain]
            more = replace(chain.cause, text=f"{chain.cause.text} {said}")
            self._chains[process.chain] = replace(chain, cause=more)

    def _exception(self, process: _Process, said: str) -> re.Match[str] | None:
        raised = _RAISED.match(said)
        if raised is None or (raised["said"] is None and raised.end() != len(said)):
            return None
        return raised if process.in_traceback or _NAMED_SO.fullmatch(raised["name"]) else None

    def _found(self, process: _Process, said: str, raised: re.Match[str]) -> None:
        text, rest = said, (raised["said"] or "").strip()
        if not rest and process.source and raised["said"] is None:
            text = f"{said}: {process.source}"  # an assert without words tells what it asked
        self._raised(process, raised["name"], text)
        if (not rest and raised["said"] is not None) or re.search(r"\d+ validation errors? for ", rest):
            process.wants_more = _MOST_MORE_LINES

    def _raised(self, process: _Process, name: str, text: str) -> None:
        if process.link and process.chain is not None:
            chain = self._chains[process.chain]
            if _OF_ANOTHER.search(chain.cause.text):
                self._chains[process.chain] = replace(chain, cause=RootCause(name, text))
            elif process.link == _WHILE:
                self._chains[process.chain] = replace(chain, cause=replace(chain.cause, afterwards=text))
        else:
            process.chain = len(self._chains)
            self._chains.append(_Chain(RootCause(name, text), process.ignored))
        process.in_traceback, process.link, process.ignored, process.thrown = False, "", False, ""
        process.wants_more = 0
