"""A server of several ranks that insists on all of them. Takes vLLM's flags for several nodes.

Rank 0 waits at --master-addr:--master-port until every other rank has come, and serves then; a rank that loses another
ends. Each prints the GPUs that it sees. TTFT_MS sets the time
to the first token.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from typing import NoReturn


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("host", "master-addr"):
        parser.add_argument(f"--{name}")
    for name in ("port", "master-port", "node-rank", "nnodes"):
        parser.add_argument(f"--{name}", type=int, default=0)
    given, _ = parser.parse_known_args()
    tell(f"rank {given.node_rank} of {given.nnodes} sees GPUs {os.environ.get('CUDA_VISIBLE_DEVICES')!r}")
    if given.node_rank > 0:
        lose(meet(given.master_addr, given.master_port, given.node_rank))
    others = wait_for_others(given.master_addr, given.master_port, given.nnodes) if given.nnodes > 1 else []
    for other in others:
        threading.Thread(target=lose, args=(other,), daemon=True).start()
    words = [
        "--host",
        given.host,
        "--port",
        str(given.port),
        "--ttft-ms",
        os.environ.get("TTFT_MS", "500"),
        "--itl-ms",
        "5",
    ]
    sys.exit(subprocess.call([sys.executable, "-m", "autotuner.benchmark.stand_ins.mock_server", *words]))


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def meet(host: str, port: int, rank: int) -> socket.socket:
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=5)
        except OSError:
            time.sleep(0.1)
            continue
        connection.settimeout(None)
        connection.sendall(bytes([rank]))
        return connection


def wait_for_others(host: str, port: int, ranks: int) -> list[socket.socket]:
    with socket.create_server((host, port)) as listener:
        found: dict[int, socket.socket] = {}
        while len(found) < ranks - 1:
            connection, _ = listener.accept()
            found[connection.recv(1)[0]] = connection
            tell(f"rank {sorted(found)[-1]} has come")
    return list(found.values())


def lose(connection: socket.socket) -> NoReturn:
    """Waits until the other end is gone, and ends the process."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    tell("another rank is gone")
    os._exit(1)


if __name__ == "__main__":
    main()
