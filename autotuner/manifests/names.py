"""Names that Kubernetes accepts."""

from __future__ import annotations

import re
import unicodedata

_LONGEST_LABEL = 63
_LONGEST_SUFFIX = len("-secrets")


def object_name(study_name: str, trial_id: str) -> str:
    """A DNS-1035 label (lower-case letters, digits, ``-``; a letter first) that leaves room for a suffix.

    Kubernetes asks that of a Service; DNS-1123, which other objects need, is looser.
    """
    room = _LONGEST_LABEL - _LONGEST_SUFFIX
    trial = _slug(trial_id)[:20].strip("-")
    study = _slug(study_name)[: room - len(trial) - 1].strip("-")
    if not study or not study[0].isalpha():
        study = f"study-{study}"[: room - len(trial) - 1].strip("-")
    return "-".join(part for part in (study, trial) if part)


def label_value(text: str) -> str:
    """A Kubernetes label value: at most 63 of ``[A-Za-z0-9._-]``, alphanumeric at both ends."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_text)[:_LONGEST_LABEL].strip("-._")


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
