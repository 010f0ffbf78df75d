"""One module a command: NAME, HELP, add_arguments, handle; the docstring is its description."""

from autotuner.cli.commands import (
    bench,
    check,
    compare,
    doctor,
    engines,
    export,
    fetch,
    import_,
    init,
    labels,
    logs,
    reap,
    report,
    rescore,
    resume,
    run,
    status,
)

COMMANDS = (
    init,
    import_,
    check,
    run,
    resume,
    status,
    logs,
    fetch,
    report,
    compare,
    rescore,
    export,
    bench,
    doctor,
    engines,
    labels,
    reap,
)

__all__ = ["COMMANDS"]
