"""Deployment files of a Config: a shell script, a compose file, Kubernetes objects. Pure."""

from autotuner.manifests.context import ExportOptions, ManifestContext
from autotuner.manifests.render import render, targets

__all__ = ["ExportOptions", "ManifestContext", "render", "targets"]
