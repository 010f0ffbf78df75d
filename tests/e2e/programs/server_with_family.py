"""A real llama.cpp server that first starts a process in a session of its own, as engines' workers can be.

Its parent ends at once, so that it is nobody's child any more; then this process becomes the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import autotuner

SERVER = Path(autotuner.__file__).parent / "servers" / "llamacpp_server.py"

if __name__ == "__main__":
    parent = os.fork()
    if parent == 0:
        subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
        os._exit(0)
    os.waitpid(parent, 0)
    os.execv(sys.executable, [sys.executable, "-P", str(SERVER), *sys.argv[1:]])
