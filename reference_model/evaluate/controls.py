"""Bad generators on purpose: an evaluation that cannot tell them from real data is no evaluation.

`python -m reference_model.evaluate.controls data.h5 -n 10000 -o controls/` writes held-out materials, draws with
replacement from the training data, held-out materials with shuffled elements, and random valid labels, as label files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckoffkit import Orbit, Protostructure, SpaceGroup
from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.commandline import named_errors
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.files import replacing
from wyckoffkit.interrupts import interruptible

if TYPE_CHECKING:
    import numpy as np

    from wyckoffkit.encoding import WyckoffColumns

LARGEST_Z = 94

app = CommandApp()


def shuffled_elements(materials: Sequence[Protostructure], generator: np.random.Generator) -> list[Protostructure]:
    """The same prototypes with the elements dealt out anew, each as often as before (nearly: repeats are redrawn)."""
    pool = [element for p in materials for element in p.occupations]
    dealt = iter([pool[i] for i in generator.permutation(len(pool))])
    found = []
    for p in materials:
        chosen: dict[str, str] = {}
        for element in p.occupations:
            other = next(dealt)
            while other in chosen.values():
                other = pool[int(generator.integers(len(pool)))]
            chosen[element] = other
        found.append(Protostructure(p.space_group, tuple(Orbit(chosen[o.element], o.letter) for o in p.orbits)))
    return found


def random_valid(n: int, generator: np.random.Generator) -> list[Protostructure]:
    """Uniform space group, two to five orbits on uniform positions, uniform elements up to plutonium."""
    found: list[Protostructure] = []
    while len(found) < n:
        group = SpaceGroup.from_number(int(generator.integers(1, 231)))
        letters: list[str] = []
        for _ in range(int(generator.integers(2, 6))):
            position = group.positions[int(generator.integers(len(group.positions)))]
            if not (position.is_constrained and position.letter in letters):
                letters.append(position.letter)
        elements = generator.integers(1, LARGEST_Z + 1, size=len(letters))
        found.append(Protostructure(group, tuple(Orbit(SYMBOLS[z], a) for z, a in zip(elements, letters, strict=True))))
    return found


def real_materials(data: Path, n: int, generator: np.random.Generator) -> tuple[WyckoffColumns, WyckoffColumns]:
    """The first n of the test split, and n draws with replacement from the training split."""
    from wyckoffkit.dataset import read_dataset

    dataset = read_dataset(data)
    drawn = generator.choice(dataset.indices("train"), size=n)
    return dataset.columns.select(dataset.indices("test")[:n]), dataset.columns.select(drawn)


@app.command()
def main(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A dataset with a test split.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the label files.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Labels a file.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
) -> None:
    """Write four files of labels that an evaluation must tell apart.

    They are held-out.txt (real), resampled.txt (training data drawn with replacement), shuffled-elements.txt, and
    random-valid.txt.

    Example: python -m reference_model.evaluate.controls wbm.h5 -o controls/
    """
    with named_errors("controls"):
        write_controls(data, output, n, seed)


def write_controls(data: Path, output: Path, n: int, seed: int = 0) -> None:
    """Write held-out, resampled, shuffled and random labels into a folder, n a file."""
    import numpy as np

    generator = np.random.default_rng(seed)
    held_out, resampled = map(list, real_materials(data, n, np.random.default_rng([seed, 1])))
    for name, materials in (
        ("held-out", held_out),
        ("resampled", resampled),
        ("shuffled-elements", shuffled_elements(held_out, generator)),
        ("random-valid", random_valid(len(held_out), generator)),
    ):
        lines = (f"{p.canonical()}\n" for p in materials)
        with replacing(output / f"{name}.txt") as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    interruptible("controls", partial(app, prog_name="python -m reference_model.evaluate.controls"))
