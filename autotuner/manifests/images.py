"""Images: which container image serves an engine when neither study nor user names one."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.engines.deployment import Deployment
from autotuner.engines.images import USUAL_IMAGES
from autotuner.errors import InputError


@dataclass(frozen=True)
class Image:
    """``executable`` replaces argv[0] where the image does not have it on its PATH."""

    name: str
    is_default: bool
    executable: str | None = None


def choose_image(deployment: Deployment, executable: str, override: str | None) -> Image:
    """The user's image, else the Deployment's, else the engine's usual one for its GPUs.

    Raises InputError when there is none of them.
    """
    named = override or deployment.image
    if named is not None:
        return Image(named, is_default=False)
    usual = USUAL_IMAGES.get(deployment.engine.replace(".", "").replace("-", "").lower())
    if usual is None:
        raise InputError(
            f"no container image is known for engine {deployment.engine!r}",
            key="image",
            value=None,
            rule="name one, or export the shell target",
        )
    found = (usual.gpu if deployment.gpus else usual.cpu).format(version=deployment.engine_version)
    return Image(found, is_default=True, executable=usual.executable if executable == usual.logical else None)
