"""A dataset as a table that other programs read: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from ..errors import DatasetError
from ..files import replacing
from .describe import plain
from .form import SPLITS, Dataset, unit_of

SUFFIXES = (".csv", ".jsonl", ".parquet")


def export_rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Each material as a row: material_id, label, split, properties (None where unknown)."""
    names = list(dataset.properties)
    columns = [dataset.properties[name].tolist() for name in names]
    rows = zip(dataset.material_id.tolist(), dataset.label.tolist(), dataset.split.tolist(), *columns, strict=True)
    for material, label, split, *values in rows:
        known = (None if value != value else value for value in values)
        yield {"material_id": material, "label": label, "split": SPLITS[split], **dict(zip(names, known, strict=True))}


def export_table(dataset: Dataset, path: Path) -> None:
    """Write a table as the suffix of `path` says, .csv, .jsonl or .parquet; it gets its name when it is complete."""
    if path.suffix not in SUFFIXES:
        raise DatasetError(f"{path}: tables are written as {', '.join(SUFFIXES)}, got {path.suffix!r}")
    try:
        with replacing(path) as temporary:
            if path.suffix == ".parquet":
                with open(temporary, "wb") as binary:
                    export_parquet(dataset, binary)
            else:
                with open(temporary, "w", encoding="utf-8", newline="") as text:
                    (export_csv if path.suffix == ".csv" else export_json_lines)(dataset, text)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror or error}") from None


def export_csv(dataset: Dataset, file: TextIO) -> None:
    """Write CSV that `build-dataset` reads back."""
    writer = csv.DictWriter(file, ["material_id", "label", "split", *dataset.properties], lineterminator="\n")
    writer.writeheader()
    writer.writerows(export_rows(dataset))


def export_json_lines(dataset: Dataset, file: TextIO) -> None:
    """Write one JSON object a line."""
    for row in export_rows(dataset):
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def export_parquet(dataset: Dataset, file: BinaryIO) -> None:
    """Write Parquet: unknown properties are null, units are metadata of their field, provenance of the schema.

    Raises DatasetError where pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DatasetError("Parquet needs pyarrow: pip install 'wyckoffkit[parquet]'") from None
    fields = [pyarrow.field(name, pyarrow.string()) for name in ("material_id", "label", "split")]
    for name in dataset.properties:
        fields.append(pyarrow.field(name, pyarrow.float64(), metadata={"units": unit_of(name)}))
    columns = [
        pyarrow.array(dataset.material_id.tolist(), pyarrow.string()),
        pyarrow.array(dataset.label.tolist(), pyarrow.string()),
        pyarrow.array([SPLITS[value] for value in dataset.split.tolist()], pyarrow.string()),
        *(pyarrow.array(column, pyarrow.float64(), from_pandas=True) for column in dataset.properties.values()),
    ]
    papers = json.dumps({name: plain(value) for name, value in dataset.attributes.items()}, ensure_ascii=False)
    schema = pyarrow.schema(fields, metadata={"wyckoffkit": papers})
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, schema=schema), file)
