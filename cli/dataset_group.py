"""The commands `wyckoffkit dataset …`: look into datasets, check, merge, export and split them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from wyckoffkit.commandhelp import CommandApp

from .options import Json

group = CommandApp(
    help="Look into datasets, check, merge, export and split them.",
    epilog="Example: wyckoffkit dataset info wbm.h5",
    no_args_is_help=True,
)

DatasetFile = Annotated[Path, typer.Argument(metavar="DATASET", help="What `build-dataset` wrote.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The new dataset.")]


@group.command()
def info(dataset: DatasetFile, as_json: Json = False) -> None:
    """Say what a dataset holds: provenance, splits, properties, statistics, what was rejected.

    Example: wyckoffkit dataset info wbm.h5
    """
    from wyckoffkit.dataset import describe, read_dataset

    facts = describe(read_dataset(dataset))
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            typer.echo(f"{name}:")
            for key, inner in value.items():
                typer.echo(f"  {key:<28} {_shown(inner)}")
        else:
            typer.echo(f"{name + ':':<30} {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


@group.command()
def statistics(
    dataset: DatasetFile,
    split: Annotated[str | None, typer.Option(help="Of train, validation or test alone.")] = None,
) -> None:
    """Write as JSON what a model needs to know: groups, marginals, counts of slots and elements.

    Example: wyckoffkit dataset statistics wbm.h5 --split train
    """
    import numpy as np

    from wyckoffkit.dataset import SPLITS, read_dataset
    from wyckoffkit.dataset import statistics as count

    if split not in (None, *SPLITS):
        raise typer.BadParameter(f"the splits are {', '.join(SPLITS)}, got {split!r}")
    data = read_dataset(dataset)
    rows = np.arange(len(data)) if split is None else data.indices(split)
    typer.echo(json.dumps(count(data.columns.select(rows), n_elements=data.n_elements).as_dict(), ensure_ascii=False))


@group.command()
def verify(dataset: DatasetFile) -> None:
    """Check every row: columns against labels, labels canonical, ids unique, counts as claimed.

    Example: wyckoffkit dataset verify wbm.h5
    """
    from wyckoffkit.dataset import faults, read_dataset

    data = read_dataset(dataset)
    found = faults(data)
    for fault in found:
        typer.echo(f"{dataset}: {fault}", err=True)
    typer.echo(f"{dataset}: {len(data):,} materials, {len(found):,} faults", err=True)
    if found:
        raise typer.Exit(1)


@group.command()
def merge(
    datasets: Annotated[list[Path], typer.Argument(metavar="DATASET…", help="In this order.")],
    output: Output,
    profile: Annotated[
        str | None, typer.Option(help="Convert all to this canonical form; needed where they differ.")
    ] = None,
) -> None:
    """Put datasets together; a material that repeats is kept once, provenance goes along.

    Example: wyckoffkit dataset merge wbm.h5 mp.h5 -o both.h5
    """
    from wyckoffkit.dataset import merge_datasets, read_dataset

    repeated = merge_datasets({str(path): read_dataset(path) for path in datasets}, output, profile=profile)
    typer.echo(f"{output}: merged {len(datasets)} datasets, {repeated:,} repeated materials left out", err=True)


@group.command()
def compare(
    first: DatasetFile,
    second: Annotated[Path, typer.Argument(metavar="DATASET", help="Of the same materials.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV of all that differ: material_id, cause, both labels.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count where two datasets of the same materials differ, by cause; exit 1 if they do.

    Example: wyckoffkit dataset compare moyopy.h5 spglib.h5 -o differing.csv
    """
    import csv
    from collections import Counter

    from wyckoffkit.dataset import CAUSES, differences, read_dataset
    from wyckoffkit.files import replacing

    datasets = read_dataset(first), read_dataset(second)
    found = list(differences(*datasets))
    counted = Counter(difference.cause for difference in found)
    table = {"equal": len(datasets[0]) - len(found) + counted[CAUSES[1]]} | {cause: counted[cause] for cause in CAUSES}
    if as_json:
        typer.echo(json.dumps(table))
    else:
        for name, number in table.items():
            typer.echo(f"{name:<40} {number:>9,}")
    if output:
        with replacing(output) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["material_id", "cause", "first", "second"])
            rows.writerows([d.material_id, d.cause, d.first, d.second] for d in found)
    if found:
        raise typer.Exit(1)


@group.command()
def export(
    dataset: DatasetFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write .csv, .jsonl or .parquet; stdout gets CSV.")
    ] = None,
) -> None:
    """Write a dataset as a table: material_id, label, split, properties.

    Example: wyckoffkit dataset export wbm.h5 -o wbm.csv
    """
    from wyckoffkit.dataset import export_csv, export_table, read_dataset

    if output is None:
        export_csv(read_dataset(dataset), sys.stdout)
    elif output.suffix in (".csv", ".jsonl", ".parquet"):
        export_table(read_dataset(dataset), output)
    else:
        raise typer.BadParameter(f"tables are written as .csv, .jsonl or .parquet, got {output.suffix!r}")


@group.command()
def split(
    dataset: DatasetFile,
    output: Output,
    fractions: Annotated[str | None, typer.Option(metavar="TRAIN,VAL,TEST", help="As 0.9,0.05,0.05.")] = None,
    counts: Annotated[str | None, typer.Option(metavar="VAL,TEST", help="Rows, as 10000,10000.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Keep together: prototype, chemical-system, formula or space-group. Else single rows."),
    ] = None,
    test_ids: Annotated[str | None, typer.Option(help="All ids that begin so are the test set, as wbm-5-.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
) -> None:
    """Draw another split: random by seed, without a prototype (say) that crosses it, or by WBM step.

    Example: wyckoffkit dataset split wbm.h5 -o by-prototype.h5 --by prototype --fractions 0.9,0.05,0.05
    """
    import numpy as np

    from wyckoffkit.dataset import parse_counts, parse_split, random_split, read_dataset, rewrite, split_by

    if sum(option is not None for option in (fractions, counts, test_ids)) != 1:
        raise typer.BadParameter("give one of --fractions, --counts and --test-ids")
    data = read_dataset(dataset)
    asked = parse_split(fractions) if fractions else None
    rows = parse_counts(counts) if counts else None
    if test_ids is not None:
        drawn = np.where(np.char.startswith(data.material_id, test_ids), 2, 0).astype(np.uint8)
        rule = f"test: ids that begin with {test_ids}"
    elif by is None:
        drawn = random_split(len(data), fractions=asked, counts=rows, seed=seed)
        rule = f"random, {asked or rows}, seed {seed}"
    else:
        drawn = split_by(data, by, fractions=asked, counts=rows, seed=seed)
        rule = f"random by {by}, {asked or rows}, seed {seed}"
    rewrite(data, output, drawn, rule)
    train, validation, test = np.bincount(drawn, minlength=3).tolist()
    typer.echo(f"{output}: {train:,} train, {validation:,} validation, {test:,} test", err=True)
