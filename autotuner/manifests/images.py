"""Images: which container image serves an engine when neither study nor user names one."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.engines.deployment import Deployment
from autotuner.errors import InputError


@dataclass(frozen=True)
class Image:
    """``executable`` replaces argv[0] where the image does not have it on its PATH."""

    name: str
    is_default: bool
    executable: str | None = None


@dataclass(frozen=True)
class _Usual:
    """Names of images, ``{version}`` standing for the engine's."""

    cpu: str
    gpu: str
    logical: str = ""  # the argv[0] that the engine renders, where the image keeps it elsewhere
    executable: str = ""


_USUAL = {
    "llamacpp": _Usual(
        cpu="ghcr.io/ggml-org/llama.cpp:server",
        gpu="ghcr.io/ggml-org/llama.cpp:server-cuda",
        logical="llama-server",
        executable="/app/llama-server",
    ),
    "sglang": _Usual(cpu="lmsysorg/sglang:v{version}-xeon", gpu="lmsysorg/sglang:v{version}"),
    "trtllm": _Usual(
        cpu="nvcr.io/nvidia/tensorrt-llm/release:{version}",  # there is no other
        gpu="nvcr.io/nvidia/tensorrt-llm/release:{version}",
    ),
    "vllm": _Usual(
        cpu="public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v{version}",
        gpu="vllm/vllm-openai:v{version}",
    ),
}


def choose_image(deployment: Deployment, executable: str, override: str | None) -> Image:
    """The user's image, else the Deployment's, else the engine's usual one for its GPUs.

    Raises InputError when there is none of them.
    """
    named = override or deployment.image
    if named is not None:
        return Image(named, is_default=False)
    usual = _USUAL.get(deployment.engine.replace(".", "").replace("-", "").lower())
    if usual is None:
        raise InputError(
            f"no container image is known for engine {deployment.engine!r}",
            key="image",
            value=None,
            rule="name one, or export the shell target",
        )
    found = (usual.gpu if deployment.gpus else usual.cpu).format(version=deployment.engine_version)
    return Image(found, is_default=True, executable=usual.executable if executable == usual.logical else None)
