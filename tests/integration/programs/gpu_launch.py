"""A server on two GPUs, as NVML has them, that others use for a while before it starts and after it has ended.

``python gpu_launch.py FOLDER UNRULY_SERVER``: while $NVML_IN_USE, a file, is there, the GPUs are in use. Prints what
was seen, in its order, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from autotuner.engines import Deployment, FailureReport, Rank, ServerGroup
from autotuner.errors import Failure
from autotuner.servers import LaunchRequest, ProcessLauncher, owner_tag, tags

_BUSY_S = 1.5


def main(folder: Path, server: str) -> None:
    in_use = Path(os.environ["NVML_IN_USE"])
    seen: list[str] = []

    def end_use() -> None:
        time.sleep(_BUSY_S)
        seen.append("GPUs are empty")
        in_use.unlink()

    argv = (sys.executable, server, "--host", "{host}", "--port", "{port}")
    rank = Rank(argv, gpus=2)
    deployment = Deployment("test", "1", "m", "m", (ServerGroup((rank,)),))
    request = LaunchRequest(
        deployment=deployment,
        launch_id="0000-l1",
        log_dir=folder / "logs",
        work_dir=folder / "work",
        tags=tags("gpu-launch", "0000", owner_tag()),
        start_timeout_s=30,
        gpu_ids=("0", "GPU-one"),
    )
    for what in ("launched", "stopped"):
        in_use.touch()
        use = threading.Thread(target=end_use)
        use.start()
        if what == "launched":
            running = ProcessLauncher().launch(request, lambda code, log: FailureReport(Failure.CRASH, log))
        else:
            running.stop()
        seen.append(what)
        use.join()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
