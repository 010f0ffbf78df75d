"""Images: which container image serves what was measured, by a name that stays the same build."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.engines.checks.images import USUAL_IMAGES, UsualImage, version_of_image
from autotuner.engines.deployment import Deployment
from autotuner.errors import InputError

_FLOATING = ("", "latest")  # tags that are another image tomorrow


@dataclass(frozen=True)
class Image:
    """``note`` says what is to be known of it. ``executable`` replaces argv[0] where it is not on the image's PATH."""

    name: str
    note: str = ""
    executable: str | None = None


def choose_image(deployment: Deployment, executable: str, override: str | None, measured_version: str) -> Image:
    """The user's image, else the Deployment's, else the engine's usual one of the version that was measured.

    An image without a tag, or called ``latest``, is pinned to that version where it is the engine's usual one. Raises
    InputError where that can't be done, and for an engine without a usual image.
    """
    engine = deployment.engine.replace(".", "").replace("-", "").lower()
    usual, version = USUAL_IMAGES.get(engine), version_of_image(engine, measured_version)
    named = override or deployment.image
    if named is not None and tag_of(named) not in _FLOATING:
        return Image(named)
    if named is not None:
        return Image(_pinned(named, usual, version), f"{named} was named; this is the version that was measured.")
    if usual is None:
        raise InputError(
            f"no container image is known for engine {deployment.engine!r}",
            key="image",
            value=None,
            rule="name one (export --image), or export the shell target",
        )
    template = usual.gpu if deployment.gpus else usual.cpu
    found = template.format(version=version or deployment.engine_version)
    note = "The engine's usual image, of the version that was measured: put yours in its place where you have one."
    if version is None:
        said = f"said {measured_version!r}" if measured_version else "did not say its version"
        note = f"The server that was measured {said}: this image is of the version that the study's flags are of."
    return Image(found, note, usual.executable if executable == usual.logical else None)


def tag_of(image: str) -> str:
    """What pins an image: its digest, else its tag; empty without either. A registry's port is no tag."""
    name, _, digest = image.partition("@")
    return digest or name.rpartition("/")[2].partition(":")[2]


def _pinned(named: str, usual: UsualImage | None, version: str | None) -> str:
    """The image of the measured version in the repository of ``named``, which has no tag, or ``latest``."""
    repository = named.removesuffix(":latest")
    for template in (usual.gpu, usual.cpu) if usual is not None else ():
        if version is not None and template.partition(":")[0] == repository:
            return template.format(version=version)
    raise InputError(
        f"image {named!r} is another one whenever its repository changes, and which version of it was measured is not "
        "known: name it with a tag or digest (export --image, or engine.image in the study)",
        key="image",
        value=named,
        rule="an image with a tag other than latest, or a digest",
    )
