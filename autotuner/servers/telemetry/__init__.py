"""Telemetry: asks servers and GPUs what they are doing while a load driver presses them."""

from autotuner.servers.telemetry.energy import energy_problem
from autotuner.servers.telemetry.gpu_meter import GpuMeter
from autotuner.servers.telemetry.prometheus_page import read_page
from autotuner.servers.telemetry.sampler import Meter, Sampler
from autotuner.servers.telemetry.server_meter import ServerMeter
from autotuner.servers.telemetry.watched_driver import WatchedDriver, WatchTarget, watch_driver

__all__ = [
    "GpuMeter",
    "Meter",
    "Sampler",
    "ServerMeter",
    "WatchTarget",
    "WatchedDriver",
    "energy_problem",
    "read_page",
    "watch_driver",
]
