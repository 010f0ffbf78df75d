"""GPU types: the shipped files, names and devices."""

from __future__ import annotations

import pytest

from autotuner.errors import StudyError
from autotuner.strict.paths import shipped_spaces
from autotuner.study.hardware_profiles import find_profile, hardware_profiles, known_profile, profile_of_device
from autotuner.study.model import Hardware


@pytest.mark.parametrize(
    ("name", "full_name", "memory_gib", "bandwidth_gb_s", "fp8"),
    [  # NVIDIA's data sheets; memory as nvidia-smi tells it, 80 GB being a little less than 80 GiB on Hopper
        ("a100", "A100-80GB", 81920 / 1024, 2039, None),
        ("h100", "H100-80GB", 81559 / 1024, 3350, 1979),
        ("h200", "H200-141GB", 143771 / 1024, 4800, 1979),
        ("b200", "B200-180GB", 183359 / 1024, 7700, 4500),
        ("l40s", "L40S-48GB", 46068 / 1024, 864, 733),
        ("rtx4090", "RTX4090-24GB", 24564 / 1024, 1008, 330),
    ],
)
def test_plain_names_are_files_and_profiles(
    name: str, full_name: str, memory_gib: float, bandwidth_gb_s: float, fp8: float | None
) -> None:
    assert (shipped_spaces() / "hardware" / f"{name}.yaml").is_file()
    profile = find_profile(name)
    assert profile.name == full_name
    assert profile.memory_gib == pytest.approx(memory_gib, abs=0.06)
    assert profile.bandwidth_gb_s == bandwidth_gb_s
    assert profile.compute_tflops.fp8 == fp8


def test_every_name_means_one_profile() -> None:
    seen: dict[str, str] = {}
    for profile in hardware_profiles():
        for name in (profile.name, *profile.aliases, *profile.nvml_names):
            assert seen.setdefault(name.lower(), profile.name) == profile.name
            assert find_profile(name).name == profile.name


def test_every_profile_is_a_layer_that_a_study_can_have() -> None:
    for profile in hardware_profiles():
        hardware = Hardware.model_validate(profile.study["hardware"])
        assert hardware.gpus_per_node == 8
        assert profile.price_per_hour is not None
        assert 0.1 < profile.price_per_hour < 20


@pytest.mark.parametrize("name", ["h100-80gb", "H100_80GB", "NVIDIA H100 80GB HBM3", " h100-sxm "])
def test_case_and_blanks_do_not_matter(name: str) -> None:
    assert find_profile(name).name == "H100-80GB"


@pytest.mark.parametrize(("name", "nearest"), [("H10", "H100-80GB"), ("H200-141", "H200-141GB"), ("L40", "L40S-48GB")])
def test_an_unknown_type_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(StudyError, match="A100-80GB") as caught:
        find_profile(name)
    assert (caught.value.key, caught.value.value, caught.value.nearest) == ("hardware.accelerators", name, nearest)
    assert known_profile(name) is None


@pytest.mark.parametrize(
    ("device", "memory_gib", "name"),
    [
        ("NVIDIA H200", 139.8, "H200-141GB"),
        ("NVIDIA H200", None, "H200-141GB"),
        ("NVIDIA GeForce RTX 4090", 23.6, "RTX4090-24GB"),
        ("NVIDIA A100-SXM4-40GB", 39.4, "A100-40GB"),
        ("NVIDIA H200", 16.0, None),  # a slice of one
        ("NVIDIA H200 NVL", 140.0, None),
        ("", None, None),
    ],
)
def test_a_device_is_told_by_the_name_that_nvml_has(device: str, memory_gib: float | None, name: str | None) -> None:
    found = profile_of_device(device, memory_gib)
    assert (found.name if found else None) == name
