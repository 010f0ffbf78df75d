"""Servers: starts Deployments, owns every process of them, and ends them however a trial ends."""

from autotuner.servers.cache_reset import reset_caches
from autotuner.servers.endpoint import EndpointLauncher
from autotuner.servers.engine_version import ask_version
from autotuner.servers.launcher import Diagnose, Launcher, LaunchRequest, RunningServer
from autotuner.servers.machine.cores import CoreLease
from autotuner.servers.machine.executables import resolve_argv
from autotuner.servers.machine.gpus_here import accelerator_name
from autotuner.servers.make import make_launcher
from autotuner.servers.preflight import (
    adapter_problems,
    executable_problem,
    model_problem,
    secret_problems,
    variant_problems,
)
from autotuner.servers.process import ProcessLauncher
from autotuner.servers.reaper import Leftover, find_leftovers, reap
from autotuner.servers.secrets import resolve_headers
from autotuner.servers.supervision.tags import OWNER, Owner, owner_tag, tags
from autotuner.servers.tail import DIAGNOSED_BYTES

__all__ = [
    "DIAGNOSED_BYTES",
    "OWNER",
    "CoreLease",
    "Diagnose",
    "EndpointLauncher",
    "LaunchRequest",
    "Launcher",
    "Leftover",
    "Owner",
    "ProcessLauncher",
    "RunningServer",
    "accelerator_name",
    "adapter_problems",
    "ask_version",
    "executable_problem",
    "find_leftovers",
    "make_launcher",
    "model_problem",
    "owner_tag",
    "reap",
    "reset_caches",
    "resolve_argv",
    "resolve_headers",
    "secret_problems",
    "tags",
    "variant_problems",
]
