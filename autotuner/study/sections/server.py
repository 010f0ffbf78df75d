"""The sections of a study about the servers: model, engine, launcher, hardware."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from autotuner.strict.forms import Names, Section, as_tuple, form, text_or_map


class SecretRef(Section):
    """A value read from an environment variable when it is needed, never stored."""

    from_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the variable")]


TextOrSecret = Annotated[
    Annotated[str, Tag("|text")] | Annotated[SecretRef, Tag("|map")],
    form(text_or_map, "text, or {from_env: VARIABLE}"),
]


class Model(Section):
    """What is served."""

    id: Annotated[str, Field(min_length=1, description="Hub id, or path of a local file or folder")]
    served_name: Annotated[str | None, Field(description="Name in requests; default: the id's last part")] = None
    variants: Annotated[
        dict[str, str],
        Field(description="The same model with weights quantised offline: value of quantization.gemm → id or path"),
    ] = {}
    prefetch: Annotated[
        bool, Field(description="Fetch what is on a hub to each node before a server's start-up is timed")
    ] = True


Image = Annotated[
    Annotated[str, Tag("|text")] | Annotated[dict[str, str], Tag("|map")],
    form(text_or_map, "the name of an image, or a map of accelerator: name"),
]


class EngineSettings(Section):
    """How one inference server is started."""

    version: Annotated[
        str | None,
        Field(description="Which flag catalogue to judge by; default: newest; auto: ask the executable"),
    ] = None
    args: Annotated[dict[str, Any], Field(description="Server flags common to every Config")] = {}
    image: Annotated[
        Image | None, Field(description="Image of the docker launcher: a name, or a map of accelerator: name")
    ] = None
    env: Annotated[
        dict[str, TextOrSecret],
        Field(description="Environment of the server; secrets as {from_env: VARIABLE}, which is never written down"),
    ] = {}
    command: Annotated[list[str], Field(description="Replaces the engine's executable, as argv")] = []


class Engine(EngineSettings):
    """The inference server, or several to choose from."""

    name: Annotated[Names, Field(description="The inference engine that serves the model; a list is searched over")]
    retry_oom: Annotated[
        bool,
        Field(
            description="Whether a server that finds no GPU memory at its start is started once more with a share of "
            "it that is 0.05 lower, where its engine has a flag for that"
        ),
    ] = True
    per_engine: Annotated[
        dict[str, EngineSettings], Field(description="name → settings of that engine alone, over those beside it")
    ] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The engines in the study's order; most studies have one."""
        return as_tuple(self.name)


class _Launcher(Section):
    @property
    def starts_servers(self) -> bool:
        """Whether anything is started on a node: else no model, executable or secret of a server's need be there."""
        return True


class ProcessLauncher(_Launcher):
    """Start each server as a process on the trial's node."""

    kind: Annotated[Literal["process"], Field(description="Start each server as a process")] = "process"


class DockerLauncher(_Launcher):
    """Start each server in a container of the engine's image."""

    kind: Annotated[Literal["docker"], Field(description="Start each server in a container")]
    mounts: Annotated[
        list[Annotated[str, Field(pattern=r"^/[^:]*:/[^:]*(:(ro|rw))?$")]],
        Field(description="SOURCE:TARGET[:ro|rw], read-only by default; a local model is mounted without being named"),
    ] = []
    shm_gib: Annotated[float | None, Field(gt=0, description="Shared memory of a container, where it has its own")] = 16
    memory_gib: Annotated[float | None, Field(gt=0, description="Memory limit of a container; default: none")] = None
    compile_cache: Annotated[
        bool, Field(description="Whether what engines compile is kept on each node for the next container of the image")
    ] = True
    extra_args: Annotated[list[str], Field(description="Further words of docker run, as --ulimit memlock=-1")] = []


class EndpointLauncher(_Launcher):
    """Measure a server that already runs; nothing is started or stopped."""

    kind: Annotated[Literal["endpoint"], Field(description="Measure a server that already runs")]
    url: Annotated[str, Field(pattern=r"^https?://", description="Where it runs, up to and without /v1")]
    headers: Annotated[
        dict[str, TextOrSecret], Field(description="Sent with every request; secrets as {from_env: VARIABLE}")
    ] = {}
    insecure: Annotated[bool, Field(description="Whether its certificate is taken as it is")] = False

    @property
    def starts_servers(self) -> bool:
        return False


class ReplayLauncher(_Launcher):
    """Take every measurement from a table of recorded ones, in virtual time; nothing is started."""

    kind: Annotated[Literal["replay"], Field(description="Take every measurement from a table of recorded ones")]
    table: Annotated[str, Field(min_length=1, description="The table: .jsonl, .csv (each also .gz) or .parquet")]
    nearest: Annotated[
        bool, Field(description="Whether a Config that the table lacks is taken from the nearest, and marked")
    ] = False

    @property
    def starts_servers(self) -> bool:
        return False


def _launcher_kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"|{kind}" if kind in ("process", "docker", "endpoint", "replay") else None


Launcher = Annotated[
    Annotated[ProcessLauncher, Tag("|process")]
    | Annotated[DockerLauncher, Tag("|docker")]
    | Annotated[EndpointLauncher, Tag("|endpoint")]
    | Annotated[ReplayLauncher, Tag("|replay")],
    form(
        _launcher_kind,
        "a map with kind: process, kind: docker, kind: endpoint and its url, or kind: replay and its table",
    ),
]


def _number_or_map(value: Any) -> str | None:
    if isinstance(value, dict):
        return "|map"
    return "|one" if isinstance(value, int | float) and not isinstance(value, bool) else None


Price = Annotated[float, Field(ge=0)]
GpuPrice = Annotated[
    Annotated[Price, Tag("|one")] | Annotated[dict[str, Price], Tag("|map")],
    form(_number_or_map, "a number, or a map of accelerator: number"),
]


class Hardware(Section):
    """What a server and its load driver get, and what that costs."""

    accelerators: Annotated[
        list[str], Field(description="GPU types, by the names of search_spaces/hardware, as H100-80GB")
    ] = []
    gpus_per_server: Annotated[
        int | None,
        Field(ge=0, description="GPUs of one server; default: what its parallelism needs; 0: it runs on the CPU"),
    ] = None
    gpus_per_node: Annotated[
        int | None, Field(ge=1, description="A larger server gets a rank a node; default: the profile's, else 8")
    ] = None
    server_cpus: Annotated[
        int | None, Field(ge=1, description="CPU cores leased to a server; default: what the engine's threads need")
    ] = None
    client_cpus: Annotated[int, Field(ge=1, description="CPU cores leased to a trial's load driver")] = 1
    cost_per_gpu_hour: Annotated[
        GpuPrice | None, Field(description="Price of a GPU in any currency: a number, or a map of accelerator: price")
    ] = None
    cost_per_cpu_hour: Annotated[float | None, Field(ge=0, description="Price of a CPU core, in that currency")] = None

    def gpu_price(self, accelerator: str) -> float | None:
        """An hour of one GPU of this type; of the study's first type where its name is not known."""
        price = self.cost_per_gpu_hour
        if not isinstance(price, dict):
            return price
        names = [accelerator, *self.accelerators]
        return next((price[name] for name in names if name in price), None)
