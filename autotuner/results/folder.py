"""OutputFolder: the names of a study's files, and whom the folder belongs to."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from autotuner.errors import FolderError, InfrastructureError
from autotuner.study import absolute_path, dump_study, parse_kept_study
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study

_ID_LINE = "# study_id: "


@dataclass(frozen=True)
class OutputFolder:
    """The output folder at ``path``. Making one touches nothing.

    Raises InputError for a relative path where the working folder was deleted.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", absolute_path(self.path))

    @property
    def study_yaml(self) -> Path:
        return self.path / "study.yaml"

    @property
    def models_json(self) -> Path:
        """What was known of the study's models when it began."""
        return self.path / "models.json"

    @property
    def database(self) -> Path:
        return self.path / "results.sqlite"

    @property
    def database_url(self) -> str:
        """What ``Store`` takes. Percent-encoded, so that no character of the path is taken for a part of the URL."""
        return f"sqlite:///{quote(str(self.database))}"

    @property
    def requests(self) -> Path:
        return self.path / "requests"

    @property
    def telemetry(self) -> Path:
        return self.path / "telemetry"

    @property
    def summary_json(self) -> Path:
        return self.path / "summary.json"

    @property
    def trials_csv(self) -> Path:
        return self.path / "trials.csv"

    @property
    def measurements_csv(self) -> Path:
        return self.path / "measurements.csv"

    @property
    def pareto_csv(self) -> Path:
        return self.path / "pareto.csv"

    @property
    def flags_json(self) -> Path:
        """What the searcher thought of the best Config's settings when the study ended."""
        return self.path / "flags.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def rescored(self) -> Path:
        """The report of the study under other SLOs, as ``rescore`` writes it."""
        return self.path / "rescored.html"

    @property
    def deploy(self) -> Path:
        return self.path / "deploy"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def fetched_json(self) -> Path:
        """Of which job this is a copy, where it was fetched."""
        return self.path / "fetched.json"

    @property
    def lock_file(self) -> Path:
        """Held by the study's driver, whose ``AUTOTUNER_OWNER`` is its content."""
        return self.path / ".lock"

    def trial_logs(self, trial_id: str) -> Path:
        return self.logs / trial_id

    @property
    def study_id(self) -> str | None:
        """The id in study.yaml's first lines; ``None`` where there is no study.yaml of ours.

        Raises FolderError for a folder that this user may not look into.
        """
        try:
            if not self.study_yaml.is_file():
                return None
            lines = self.study_yaml.read_text(encoding="utf-8", errors="replace").splitlines()[:5]
        except PermissionError:
            raise FolderError(f"{self.path} is somebody else's, who alone may look into it") from None
        return next((line.removeprefix(_ID_LINE).strip() for line in lines if line.startswith(_ID_LINE)), None)

    def takes_logs_of(self, study_id: str) -> bool:
        """Whether this node sees the folder of that study, and this user may write logs into it."""
        try:
            return self.study_id == study_id and os.access(self.logs, os.W_OK | os.X_OK)
        except FolderError:
            return False

    def make(self) -> None:
        """Makes the folder for its user alone; of one that was there before, what is in requests/ and logs/ is."""
        for folder in (self.path, self.requests, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load_study(self) -> Study:
        """The resolved study, by the rules it was begun with. Raises FolderError where the folder holds none."""
        if self.study_id is None:
            raise FolderError(f"{self.path} is not the output folder of a study: it has no resolved study.yaml")
        return parse_kept_study(self.study_yaml.read_text(encoding="utf-8"), str(self.study_yaml))

    def known_models(self) -> KnownModels | None:
        """What was known when the study began; ``None`` where it has not. Raises FolderError for a spoiled file."""
        if not (self.database.exists() and self.models_json.exists()):
            return None
        try:
            return KnownModels.from_json(self.models_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FolderError(f"{self.models_json} can't be read: {str(error).splitlines()[0]}") from error

    def keep_models(self, models: KnownModels) -> None:
        write_text(self.models_json, models.to_json())

    def prepare(self, study: Study, study_id: str, *, resume: bool = False) -> None:
        """Makes the folder and writes study.yaml.

        Refuses, with FolderError, a file, a study.yaml that is not ours (it would be overwritten), the folder of
        another study, and, unless ``resume``, one that has results already.
        """
        self.check(study, study_id, resume=resume)
        try:
            self.make()
            write_text(self.study_yaml, resolved_yaml(study, study_id))
        except OSError as error:
            raise FolderError(f"the output folder {self.path} can't be written: {error}") from error

    def check(self, study: Study, study_id: str, *, resume: bool = False) -> None:
        """What ``prepare`` refuses, without touching anything."""
        if self.path.exists() and not self.path.is_dir():
            raise FolderError(f"the output folder {self.path} is a file")
        found = self.study_id
        if found is None:
            if self.study_yaml.exists() or self.database.exists():
                raise FolderError(f"{self.path} holds files that no study of ours wrote; choose another folder (--out)")
            if resume:
                raise FolderError(f"{self.path} holds no study that could be resumed")
        elif found != study_id and self.database.exists():
            other = self.load_study().name
            if not resume and other == study.name:
                self._refuse_results()
            raise FolderError(f"{self.path} holds another study, {other!r}; choose another folder (--out)")
        elif self.database.exists() and not resume:
            self._refuse_results()

    def _refuse_results(self) -> None:
        raise FolderError(
            f"{self.path} has results already: go on with them (autotuner resume {self.path}) "
            "or choose another folder (--out)"
        )

    def discard_unused(self) -> None:
        """Takes back what ``prepare`` made where no store came to be: a refused study leaves no folder behind."""
        if self.database.exists():
            return
        for file in (self.study_yaml, self.models_json, self.lock_file):
            file.unlink(missing_ok=True)
        for folder in (self.requests, self.logs, self.tensorboard, self.path):
            with suppress(OSError):  # not empty: somebody else's files
                folder.rmdir()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder: a second driver is refused with FolderError. The lock dies with its process."""
        from autotuner.servers.supervision.tags import owner_tag  # late: loads all launchers

        try:
            self.make()
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FolderError(f"the output folder {self.path} can't be written: {error.strerror}") from error
        try:
            self._take(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, owner_tag().encode())
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        """The lock of the open lock file. Who only looks whether it is held has it for a moment: a few tries."""
        for pause_s in (0.02, 0.1, 0.5, None):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if pause_s is None:
                    owner = os.read(descriptor, 400).decode(errors="replace").strip()
                    host, _, process = owner.partition(":")
                    told = f"process {process.partition(':')[0]} on {host}" if process else "a process unknown"
                    raise FolderError(f"{self.path} is in use by another autotuner ({told})") from None
                time.sleep(pause_s)
            except OSError as error:
                raise InfrastructureError(f"{self.path} can't be locked: {error}") from error
            else:
                return


def resolved_yaml(study: Study, study_id: str) -> str:
    """The study as YAML with every default shown; of secrets the names of their variables only."""
    body = dump_study(study)
    return f"# Written by autotuner: the study as it was run, every default shown.\n{_ID_LINE}{study_id}\n{body}"


def write_text(path: Path, text: str) -> None:
    """Whole or not at all: readers see the old content or the new."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
