"""Whether FWD's correction and intervals hold on real data: `python tests/benchmarks/bench_fwd.py DATA.h5`.

Disjoint sets of 10,000 training materials, each against all other training materials: the mean corrected distance
should be 0, and the bootstrap's standard deviation that of the sets. Embedding all of WBM takes three CPU minutes; a
file of embeddings (.npy, in random order) saves them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference_model.extractor.weights import read_extractor
from reference_model.fwd import Moments, finite_sample_bias, frechet, frechet_distance, moments
from wyckoffkit.dataset import read_dataset

Array = np.ndarray[Any, np.dtype[Any]]
SIZE = 10_000
BOOTSTRAPPED = 3


def without(embeddings: Array, part: slice, curvature: float) -> Moments:
    """Moments of all rows but those of `part`; the curvature, a part of a small bias, is that of all."""
    rest = np.concatenate([embeddings[: part.start], embeddings[part.stop :]]).astype(np.float64)
    centred = rest - rest.mean(0)
    return Moments(len(rest), rest.mean(0), centred.T @ centred / (len(rest) - 1), curvature, "d")


def report(embeddings: Array) -> None:
    """Print the distances of the sets, and a few bootstraps."""
    whole = moments(embeddings, "d")
    raw, corrected, errors = [], [], []
    for k in range(len(embeddings) // SIZE):
        part = slice(k * SIZE, (k + 1) * SIZE)
        rest, own = without(embeddings, part, whole.curvature), moments(embeddings[part], "d")
        raw.append(frechet_distance(own, rest))
        corrected.append(raw[-1] - finite_sample_bias(own, rest))
        if k < BOOTSTRAPPED:
            found = frechet(embeddings[part], rest, "d", np.random.default_rng(k)).raw
            errors.append((found.high - found.value) / 1.96)
    spread = np.std(corrected, ddof=1)
    print(f"{len(raw)} sets of {SIZE:,}: raw {np.mean(raw):.3f}, standard deviation {np.std(raw, ddof=1):.3f}")
    print(f"corrected {np.mean(corrected):.3f} ± {spread / len(raw) ** 0.5:.3f}, standard deviation {spread:.3f}")
    print("standard deviation by bootstrap:", ", ".join(f"{error:.3f}" for error in errors))


def main() -> None:
    """Embed, then report."""
    if len(sys.argv) < 2:
        return print("skipped: give it a dataset of WBM, or a file of embeddings")
    torch.set_num_threads(1)
    if Path(sys.argv[1]).suffix == ".npy":
        return report(np.load(sys.argv[1]))
    dataset = read_dataset(Path(sys.argv[1]))
    start = time.process_time()
    rows = np.random.default_rng(0).permutation(dataset.indices("train"))
    seen = read_extractor().embed(dataset.columns.select(rows))
    print(f"{len(rows):,} materials embedded in {time.process_time() - start:.0f} CPU s")
    report(seen[seen.is_known].embedding)


if __name__ == "__main__":
    main()
