"""A Ray and the ports that it has open, for a test: started here for a study, or joined at ADDRESS; until stdin ends.

Beside them is one that is open to all, the first that is printed, so that who finds none has not looked wrongly.
"""

import json
import socket
import sys
from typing import Any

import psutil
import ray

from autotuner.tuning.on_ray.session import ray_session


class Trial:
    def is_there(self) -> bool:
        return True


def main(address: str | None) -> None:
    trial: Any = ray.remote(num_cpus=1)(Trial)
    with ray_session(address), socket.create_server(("", 0)) as control:
        actor = trial.remote()
        ray.get(actor.is_there.remote())
        sockets = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        listening = {one.laddr.port for one in sockets if one.laddr}
        known = control.getsockname()[1]
        sys.stdout.write(json.dumps([known, *sorted(listening - {known})]) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
