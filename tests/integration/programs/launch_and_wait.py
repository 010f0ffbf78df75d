"""A trial in miniature: leases a core, launches a server, tells where it is, and waits to be killed.

A forked child keeps a copy of every descriptor, as a load driver's process might.
"""

import json
import os
import sys
import time
from pathlib import Path

from autotuner.engines import Deployment, FailureReport, Rank, ServerGroup
from autotuner.errors import Failure
from autotuner.servers import CoreLease, LaunchRequest, ProcessLauncher, owner_tag, tags


def main() -> None:
    folder, mark, *argv = Path(sys.argv[1]), sys.argv[2], *sys.argv[3:]
    deployment = Deployment(
        engine="test", engine_version="1", model="m", served_name="m", groups=(ServerGroup((Rank(tuple(argv)),)),)
    )
    with CoreLease(1, timeout_s=10) as lease:
        request = LaunchRequest(
            deployment=deployment,
            launch_id=mark,
            log_dir=folder / "logs",
            work_dir=folder / "work",
            tags=tags(mark, "0000", owner_tag()),
            start_timeout_s=30,
            cores=lease.cores,
            inherit_fds=lease.fds,
        )
        server = ProcessLauncher().launch(request, lambda code, log: FailureReport(Failure.CRASH, f"{code} {log}"))
        bystander = os.fork()
        if bystander:
            json.dump({"url": server.urls[0], "cores": lease.cores, "bystander": bystander}, sys.stdout)
            sys.stdout.write("\n")
            sys.stdout.flush()
        time.sleep(300)


if __name__ == "__main__":
    main()
