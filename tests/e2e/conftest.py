"""What end-to-end tests share: a study that takes seconds, and a check that nothing of it outlives the test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autotuner.results import OutputFolder
from autotuner.servers.ports import is_listened_on
from autotuner.servers.tags import STUDY
from tests.e2e.studies import Workplace, leased_ports, living, locked_files, wait_until

_GONE_WITHIN_S = 60.0  # Ray's own processes need some seconds to notice a dead driver


@pytest.fixture
def workplace(tiny_model: Path) -> Iterator[Workplace]:
    """A place from which the command line is run; whatever is left there at the end is killed."""
    place = Workplace(tiny_model, f"e2e-{uuid.uuid4().hex[:12]}")
    yield place
    place.close()


@pytest.fixture
def nothing_left_behind(workplace: Workplace) -> Callable[..., None]:
    """Checks that no process, port or lock of this test's studies is left; call it with their folders."""

    def check(*folders: Path) -> None:
        ids = [study for folder in folders if (study := OutputFolder(folder).study_id)]
        wait_until(lambda: not any(living(STUDY, study) for study in ids), "servers to end", _GONE_WITHIN_S)
        wait_until(lambda: not workplace.left(), f"the end of {workplace.left()}", _GONE_WITHIN_S)
        assert not locked_files(workplace.folder)
        assert not [port for port in leased_ports(workplace.folder) if is_listened_on("127.0.0.1", port)]

    return check
