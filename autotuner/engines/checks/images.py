"""Images: which container image a docker study must name, and which one usually serves an engine. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.one_engine import study_of
from autotuner.engines.problem import Problem
from autotuner.study.model import DockerLauncher, Study


@dataclass(frozen=True)
class UsualImage:
    """Names of images, ``{version}`` standing for the engine's.

    ``executable`` is where the image keeps ``logical``, the argv[0] that the engine renders, if not on its PATH.
    """

    cpu: str
    gpu: str
    logical: str = ""
    executable: str = ""


USUAL_IMAGES: Mapping[str, UsualImage] = MappingProxyType(
    {
        "llamacpp": UsualImage(
            cpu="ghcr.io/ggml-org/llama.cpp:server-{version}",
            gpu="ghcr.io/ggml-org/llama.cpp:server-cuda-{version}",
            logical="llama-server",
            executable="/app/llama-server",
        ),
        "sglang": UsualImage(cpu="lmsysorg/sglang:v{version}-xeon", gpu="lmsysorg/sglang:v{version}"),
        "trtllm": UsualImage(
            cpu="nvcr.io/nvidia/tensorrt-llm/release:{version}",  # there is no other
            gpu="nvcr.io/nvidia/tensorrt-llm/release:{version}",
        ),
        "vllm": UsualImage(
            cpu="public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v{version}",
            gpu="vllm/vllm-openai:v{version}",
        ),
    }
)

_LLAMACPP_BUILD = re.compile(r"(?:^b?|^xllamacpp-\d+\.\d+\.)(\d{3,})(?=-|$)")
_RELEASE = re.compile(r"\d+(\.\d+)+((rc|\.post)\d+)?")


def version_of_image(engine: str, said: str) -> str | None:
    """The version in an engine's image tags of a server that ``said`` which one it is; ``None`` where none is of it.

    Engines' own builds (0.32.0+cpu) are of a released version, those between two releases (0.32.1.dev5) of none.
    llama.cpp numbers its builds: ``b11549-9a1c3f0``, or the last part of xllamacpp's version.
    """
    if engine == "llamacpp":
        build = _LLAMACPP_BUILD.search(said)
        return f"b{build.group(1)}" if build else None
    public = said.partition("+")[0].removeprefix("v")
    return public if _RELEASE.fullmatch(public) else None


def image_problems(study: Study) -> Iterator[Problem]:
    """What a docker study does not say of its images."""
    if not isinstance(study.launcher, DockerLauncher):
        return
    for name in study.engine.names:
        own = study_of(study, name)
        key = "engine.image" if len(study.engine.names) == 1 else f"engine.per_engine.{name}.image"
        image = own.engine.image
        if not image:
            yield Problem(key, None, _wanted(own), _usual(own))
            continue
        missing = [a for a in study.hardware.accelerators if a not in image] if isinstance(image, dict) else []
        if missing:
            yield Problem(key, image, f"names no image for {', '.join(missing)}")


def _wanted(own: Study) -> str:
    rule = "the docker launcher needs the image of the engine"
    usual = USUAL_IMAGES.get(own.engine.names[0])
    if usual is None or not usual.executable or own.engine.command:
        return rule
    return f"{rule}; the usual one also needs engine.command: [{usual.executable}]"


def _usual(own: Study) -> str | None:
    name = own.engine.names[0]
    usual = USUAL_IMAGES.get(name)
    if usual is None:
        return None
    on_gpus = bool(own.hardware.accelerators) or bool(own.hardware.gpus_per_server)
    return (usual.gpu if on_gpus else usual.cpu).format(version=load_catalogue(name, own.engine.version).version)
