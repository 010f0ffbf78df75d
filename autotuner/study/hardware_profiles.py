"""HardwareProfile: what is known of a GPU type, from search_spaces/hardware."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field

from autotuner.errors import StudyError
from autotuner.strict.forms import Section
from autotuner.strict.paths import shipped_spaces
from autotuner.strict.problem import Problem, nearest_name, study_error
from autotuner.strict.validate import validate
from autotuner.strict.yaml_text import parse_yaml

_KEY = "hardware.accelerators"
_SAME_MEMORY = 0.9  # of the larger: drivers and error correction take a little


class Link(Section):
    """How the GPUs of a node are joined; ``gb_s`` both directions together, of one GPU."""

    kind: Literal["nvlink", "pcie"]
    gb_s: Annotated[float, Field(gt=0)]


class Compute(Section):
    """Dense tensor rates by format, in TFLOPS; ``None`` where the GPU has no such units."""

    bf16: Annotated[float, Field(gt=0)]
    fp8: Annotated[float | None, Field(gt=0)] = None
    fp4: Annotated[float | None, Field(gt=0)] = None


class HardwareProfile(Section):
    """One GPU type. ``memory_gib`` is what NVML tells, ``study`` the layer that studies on it get."""

    name: str
    aliases: tuple[str, ...] = ()
    nvml_names: Annotated[tuple[str, ...], Field(min_length=1)]
    memory_gib: Annotated[float, Field(gt=0)]
    bandwidth_gb_s: Annotated[float, Field(gt=0)]
    compute_tflops: Compute
    link: Link
    compute_capability: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    source: str
    study: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies defaults

    @property
    def price_per_hour(self) -> float | None:
        """What an hour of one GPU usually costs, in dollars of the day: every study may say its own."""
        price = self.study.get("hardware", {}).get("cost_per_gpu_hour")
        return float(price) if isinstance(price, int | float) else None


@cache
def hardware_profiles() -> tuple[HardwareProfile, ...]:
    """All GPU types that are known, by name."""
    found = []
    for file in (shipped_spaces() / "hardware").glob("*.yaml"):
        data = parse_yaml(file.read_text(encoding="utf-8-sig"), str(file))
        lists = {key: tuple(data[key]) for key in ("aliases", "nvml_names") if key in data}
        found.append(validate(HardwareProfile, {**data, **lists}, prefix=f"hardware/{file.stem}"))
    return tuple(sorted(found, key=lambda profile: profile.name))


def find_profile(name: str, key: str = _KEY) -> HardwareProfile:
    """The GPU type of that name, alias or NVML name, upper or lower case. Raises StudyError with the nearest."""
    names = {_plain(known): profile for profile in hardware_profiles() for known in _names(profile)}
    found = names.get(_plain(name))
    if found is not None:
        return found
    known = [profile.name for profile in hardware_profiles()]
    near = nearest_name(_plain(name), names)
    rule = f"a GPU type that is known: {', '.join(known)}"
    raise study_error([Problem(key, name, rule, names[near].name if near else None)])


def profile_of_device(nvml_name: str, memory_gib: float | None = None) -> HardwareProfile | None:
    """The type of a device that NVML names so, ``None`` for one that is not known.

    ``memory_gib`` is the device's own: a slice of a GPU (MIG) bears the name of the whole.
    """
    for profile in hardware_profiles():
        if _plain(nvml_name) in map(_plain, profile.nvml_names):
            whole = memory_gib is None or _SAME_MEMORY <= memory_gib / profile.memory_gib <= 1 / _SAME_MEMORY
            return profile if whole else None
    return None


def known_profile(name: str) -> HardwareProfile | None:
    """As ``find_profile``, ``None`` for a name that is not known."""
    try:
        return find_profile(name)
    except StudyError:
        return None


def _names(profile: HardwareProfile) -> tuple[str, ...]:
    return (profile.name, *profile.aliases, *profile.nvml_names)


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().lower())
