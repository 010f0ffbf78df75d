"""engine_catalogues: which versions of the engines have a flag catalogue, and which on the package index have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autotuner.engines import catalogue_versions, engine_names, get_engine
from autotuner.engines.checks.installed import as_catalogued, catalogued_for, has_catalogue
from autotuner.engines.flags.catalogue import version_key
from autotuner.servers.package_index import index_versions


@dataclass(frozen=True)
class CataloguedEngine:
    """``catalogued``: versions with a catalogue, oldest first. ``index``: those of ``package`` on the package index,
    newest first, ``None`` where that was not asked."""

    engine: str
    package: str
    catalogued: tuple[str, ...]
    index: tuple[str, ...] | None = None

    @property
    def without(self) -> dict[str, str]:
        """Version on the index without a catalogue → the catalogue that it is judged by; newest first."""
        none = [version for version in self.index or () if not has_catalogue(self.engine, version)]
        return {version: catalogued_for(self.engine, version) for version in none}

    @property
    def newer(self) -> tuple[str, ...]:
        """Those of them that are newer than every catalogue: what is new in them is not known."""
        newest = version_key(self.catalogued[-1])
        return tuple(v for v in self.without if version_key(as_catalogued(self.engine, v)) > newest)

    def as_dict(self) -> dict[str, Any]:
        asked = self.index is not None
        return {
            "engine": self.engine,
            "package": self.package,
            "catalogued": list(self.catalogued),
            "index": list(self.index) if self.index is not None else None,
            "without": [{"version": v, "judged_by": by} for v, by in self.without.items()] if asked else None,
            "newer": list(self.newer) if asked else None,
        }


def engine_catalogues(*, index: bool = False) -> list[CataloguedEngine]:
    """Every engine; with ``index`` the package index is asked for its versions.

    Raises InfrastructureError where the index, or pip, does not answer.
    """
    found = []
    for name in engine_names():
        package = get_engine(name).package
        on_index = index_versions(package) if index else None
        found.append(CataloguedEngine(name, package, catalogue_versions(name), on_index))
    return found
