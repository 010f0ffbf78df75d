"""A real docker daemon for tests, and an image with a real llama.cpp server, made without a registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

IMAGE = "autotuner-test:1"
_UP_WITHIN_S = 60.0
_NEEDED = ("xllamacpp",)  # packages of this environment that the server imports
_SERVER = Path(__file__).parents[1] / "autotuner" / "servers" / "llamacpp_server.py"
_FLAGS = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--ip-masq=false")


def why_not() -> str:
    """Why no daemon can be started here; ``""`` when it can."""
    if os.geteuid() != 0:
        return "a docker daemon needs root"
    return "" if shutil.which("dockerd") else "dockerd is not installed: apt-get install docker.io iptables"


@dataclass
class Dockerd:
    """A daemon of the test's own. ``kill`` is a kill -9."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        places = {"host": self.host, "data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        words = [f"--{name}={value if name == 'host' else self.folder / value}" for name, value in places.items()]
        # Left by a daemon that was killed. Where init is slow to take dead children in, containerd seems to live on.
        for stale in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / stale).unlink(missing_ok=True)
        with (self.folder / "dockerd.log").open("ab") as log:
            command = ["dockerd", *words, *_FLAGS]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        ends_at = time.monotonic() + _UP_WITHIN_S
        while self.docker("version", check=False).returncode:
            assert self.process.poll() is None, (self.folder / "dockerd.log").read_text(encoding="utf-8")[-2000:]
            assert time.monotonic() < ends_at, "dockerd did not come up"
            time.sleep(0.2)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """As an administrator does it: the daemon ends its containers first."""
        self._terminate()
        self.start()

    def stop(self) -> None:
        """Ends the daemon with its containers, and containerd, which a killed one leaves."""
        if self.process is not None and self.is_up:
            for container in self.docker("ps", "-aq").stdout.split():
                self.docker("rm", "-f", container, check=False)
            self._terminate()
        _end(self.folder)

    def _terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def docker(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["docker", "-H", self.host, *words]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=120)

    def containers(self) -> list[str]:
        """Names of all containers, ended ones too."""
        return self.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()


@contextlib.contextmanager
def dockerd() -> Iterator[Dockerd]:
    """A daemon with the image, in a folder of its own; all of it is gone afterwards."""
    running = Dockerd(Path(tempfile.mkdtemp(prefix="atd-", dir="/tmp")))
    try:
        running.start()
        _make_image(running)
        yield running
    finally:
        running.stop()
        shutil.rmtree(running.folder, ignore_errors=True)


def _end(folder: Path) -> None:
    """Kills processes that name this daemon's folder: containerd and its shims outlive a dockerd that was killed."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                left.append(process)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=10)

    for mount in reversed(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()):
        if str(folder) in mount:
            subprocess.run(["umount", "-l", mount.split()[1]], check=False, capture_output=True)


def _make_image(running: Dockerd) -> None:
    """This machine's own Python with llama.cpp's wheel, where they lie here, as one layer."""
    root = running.folder / "root"
    for folder in ("tmp", "proc", "sys", "dev", "etc", "root", "usr/bin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    script = root / "usr/bin/llama-server"
    python = Path(sys.executable).resolve()
    packages = Path(site.getsitepackages()[0])
    script.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {python} -P {_SERVER} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    skipped = {"site-packages", "test", "__pycache__", "idlelib", "ensurepip", "tkinter", "lib2to3"}
    _copy(root, stdlib, lambda name: name in skipped)
    for name in _NEEDED:
        _copy(root, packages / name, lambda name: name == "__pycache__")
        for more in packages.glob(f"{name}*"):
            _copy(root, more, lambda name: name == "__pycache__")
    for file in (python, Path("/bin/sh"), _SERVER):
        _copy(root, file)
    for library in _libraries([python, Path("/bin/sh"), *root.rglob("*.so*")]):
        _copy(root, library)
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        words = ["docker", "-H", running.host, "import", "-", IMAGE]
        subprocess.run(words, stdin=tar.stdout, check=True, capture_output=True, timeout=300)
    shutil.rmtree(root)


def _copy(root: Path, source: Path, skip: object = None) -> None:
    """Copies a file or folder to the same place under ``root``, what links point to in place of links."""
    target = root / source.relative_to("/")
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = (lambda _, names: [n for n in names if callable(skip) and skip(n)]) if skip else None
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _libraries(files: list[Path]) -> set[Path]:
    """Shared libraries that the dynamic linker finds for these."""
    found = set()
    for file in files:
        told = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        for line in told.splitlines():
            words = line.replace("=>", " ").split()
            found |= {Path(word) for word in words if word.startswith("/")}
    return {path for path in found if path.exists()}
