"""Fails, naming them, when Debian packages that the tests need are missing."""

from __future__ import annotations

import glob
import os
import shutil
import sys

# Debian package → how to see that it is there
NEEDS = {
    "chromium": lambda: shutil.which("chromium"),
    "docker.io": lambda: shutil.which("dockerd"),
    "gcc": lambda: shutil.which("gcc"),
    "iproute2": lambda: shutil.which("ip"),
    "iptables": lambda: shutil.which("iptables") or shutil.which("iptables", path="/usr/sbin:/sbin"),
    "shellcheck": lambda: shutil.which("shellcheck"),
    "openmpi-bin": lambda: shutil.which("mpirun"),
    "openssl": lambda: shutil.which("openssl"),
    "postgresql": lambda: glob.glob("/usr/lib/postgresql/*/bin/initdb"),
}


def main() -> int:
    missing = [package for package, found in NEEDS.items() if not found()]
    if missing:
        print(f"the tests need Debian packages: apt-get install {' '.join(missing)}", file=sys.stderr)
    if os.geteuid() != 0:
        print("without root no docker daemon can be started: the tests of containers are skipped", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
