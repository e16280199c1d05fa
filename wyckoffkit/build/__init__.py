"""Structures or labels in bulk into one dataset: streaming, parallel, resumable, nothing lost."""

from .build import Outcome, Progress, build_dataset
from .options import BuildOptions, Split

__all__ = ["BuildOptions", "Outcome", "Progress", "Split", "build_dataset"]
