"""A real PostgreSQL server on a Unix socket of its own: no port, nothing shared."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgresql() -> Iterator[str]:
    """Starts a server in a fresh folder and hands its SQLAlchemy URL out; stopped and removed at the end."""
    binaries = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
    folder = Path(tempfile.mkdtemp(prefix="at-pg-", dir="/tmp"))  # socket paths have 107 characters at most
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(binaries / program), "--pgdata", str(data), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60, cwd="/")

    try:
        run("initdb", "--username", "tester", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "--options", options)
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--mode", "immediate", "--wait")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
