"""Names that Kubernetes accepts."""

from __future__ import annotations

import re
import unicodedata

from autotuner.errors import InputError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_LABEL = 63
_LONGEST_NAME = 253
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


def check_dns_label(text: str, key: str) -> None:
    """Raises InputError for what is no name of a namespace: a DNS-1123 label."""
    if not (len(text) <= _LONGEST_LABEL and _LABEL.fullmatch(text)):
        rule = f"at most {_LONGEST_LABEL} of a-z, 0-9 and -, no - at an end"
        raise InputError(f"{key}: {text!r}: {rule}", key=key, value=text, rule=rule)


def check_dns_name(text: str, key: str) -> None:
    """Raises InputError for what is no name of a PersistentVolumeClaim: DNS-1123 labels with dots between."""
    if not (len(text) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, text.split(".")))):
        rule = f"at most {_LONGEST_NAME} of a-z, 0-9, - and ., each part with a letter or digit at its ends"
        raise InputError(f"{key}: {text!r}: {rule}", key=key, value=text, rule=rule)


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
