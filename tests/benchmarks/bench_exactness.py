"""Samplers with an exact denoiser made of real protostructures: what is wrong with samples is the sampler's doing.

    python tests/benchmarks/bench_exactness.py [-n 1500]

Per space group: samples that are members of the library, and total variation from its law of the number of tokens and
of occupied positions and counts, beside what as many independent draws have (mean of 20).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from oracle import Oracle, batch_of, real_protostructures, token_keys

from reference_model.batch import Batch
from reference_model.diffusion import Diffusion
from reference_model.sampler import count_head, first_hitting, jump, select, strided
from reference_model.streams import Streams

GROUPS, P = (225, 62, 166), 8
SAMPLERS: dict[str, Callable[..., Batch]] = {
    "jump": jump,
    "count head": count_head,
    "first hitting": first_hitting,
    "strided, 50": partial(strided, n_steps=50),
    "strided, 10": partial(strided, n_steps=10),
    "one big step": partial(strided, n_steps=1),
}

Name = tuple[int, ...]


def names(batch: Batch) -> list[Name]:
    out: list[list[int]] = [[] for _ in range(batch.n_materials)]
    for material, key in zip(*(x.tolist() for x in token_keys(batch)), strict=True):
        out[material].append(key)
    return [tuple(sorted(tokens)) for tokens in out]


def pattern(name: Name) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((key // (64 * 128), key % 64) for key in name))


def distance(ours: list[Name], theirs: list[Name], view: Callable[[Name], object]) -> float:
    a, b = Counter(map(view, ours)), Counter(map(view, theirs))
    return sum(abs(a[k] / len(ours) - b[k] / len(theirs)) for k in a | b) / 2


def row(name: str, calls: str, parts: list[tuple[float, float, float]]) -> str:
    cells = [
        " / ".join(form(part[i]) for part in parts) for i, form in enumerate((share, "{:.3f}".format, "{:.3f}".format))
    ]
    return f"| {name} | {calls} | {' | '.join(cells)} |"


def share(x: float) -> str:
    return f"{100 * x:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=1500)
    n = parser.parse_args().n
    torch.set_num_threads(1)
    diffusion = Diffusion.of("zeros", 100, P)
    libraries = {number: batch_of(real_protostructures(number, 60)) for number in GROUPS}

    def judged(number: int, samples: Batch) -> tuple[float, float, float]:
        members, ours = names(libraries[number]), names(samples)
        inside = sum(name in set(members) for name in set(ours) for _ in range(ours.count(name))) / len(ours)
        return inside, distance(ours, members, len), distance(ours, members, pattern)

    def iid(number: int, seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        return select(libraries[number], torch.randint(libraries[number].n_materials, (n,), generator=generator))

    write = sys.stdout.write
    write(
        f"| sampler | calls a sample | inside, % ({' / '.join(map(str, GROUPS))}) | TV of tokens | TV of positions |\n"
    )
    write("|---|---|---|---|---|\n")
    floor = [torch.tensor([judged(g, iid(g, seed)) for seed in range(20)]).mean(0).tolist() for g in GROUPS]
    write(row("independent draws", "", [tuple(f) for f in floor]) + "\n")  # type: ignore[misc]
    for name, sampler in SAMPLERS.items():
        parts, asked = [], 0
        for number in GROUPS:
            oracle = Counting(libraries[number], P, diffusion.schedule)
            start = Batch.empty(torch.full((n,), number))
            parts.append(judged(number, sampler(oracle, start, diffusion, Streams.of(1, torch.arange(n)))))
            asked += oracle.materials
        write(row(name, f"{asked / n / len(GROUPS):.1f}", parts) + "\n")
        sys.stdout.flush()


class Counting(Oracle):
    """The oracle, and about how many materials it was asked."""

    materials = 0

    def posterior(
        self, batch: Batch, log_u: Tensor | None = None, n_left: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self.materials += batch.n_materials
        return super().posterior(batch, log_u, n_left)


if __name__ == "__main__":
    main()
