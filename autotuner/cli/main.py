"""``autotuner``: the commands, their exit codes and how errors are told.

Exit codes: 0 done; 1 the study ended and no Config meets the SLOs; 2 bad input; 3 infrastructure;
130 and 143 on SIGINT and SIGTERM. With ``--json`` stdout holds one document alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import autotuner
from autotuner.cli.commands import COMMANDS
from autotuner.errors import AutotunerError, InputError


class _Parser(argparse.ArgumentParser):
    """Bad usage is an InputError, so that it is told like any other (``--json`` too)."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._negative_number_matcher = _A_VALUE  # argparse's own takes -1,2 and -inf for options

    def error(self, message: str) -> NoReturn:
        option = _OPTION.match(message)
        key = option[1].rpartition("/")[2].lstrip("-") if option else None
        raise InputError(f"{message}; see '{self.prog} --help'", key=key, rule=message)


_A_VALUE = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)
_OPTION = re.compile(r"argument (\S+): ")


class _InternalError(AutotunerError):
    exit_code = 3
    code = "internal"


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="autotuner",
        description="Finds, by real measurement, the LLM-serving configuration that meets your SLOs at the least cost.",
        epilog="Start with 'autotuner init', then 'autotuner check study.yaml' and 'autotuner run study.yaml'. "
        "Every command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"autotuner {autotuner.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    shared = _Parser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON document on stdout, all else on stderr")
    shared.add_argument("--debug", action="store_true", help="show tracebacks and debug logs")
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.__doc__,
            parents=[shared],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(handle=command.handle)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug, as_json = "--debug" in arguments, "--json" in arguments
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s",
    )
    try:
        parsed = build_parser().parse_args(arguments)
        return int(parsed.handle(parsed))
    except AutotunerError as error:
        if debug:
            raise
        _tell(error, as_json)
        return error.exit_code
    except KeyboardInterrupt:
        print("autotuner: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # the outermost boundary: a defect of ours is told in a line, like all else
        if debug:
            raise
        _tell(_InternalError(f"internal error: {type(error).__name__}: {error} (--debug shows where)"), as_json)
        return _InternalError.exit_code


def _tell(error: AutotunerError, as_json: bool) -> None:
    if as_json:
        print(json.dumps(error.as_dict(), default=str))
    print(f"autotuner: {error.message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
