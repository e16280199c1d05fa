"""Several datasets into one, and the same with another split: provenance goes along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoding import concatenate, to_columns
from ..errors import DatasetError
from .describe import plain
from .form import Dataset, Rejected
from .store import write_dataset


def merge_datasets(datasets: Mapping[str, Dataset], output: Path, *, profile: str | None = None) -> int:
    """Write all materials of several datasets (by name), in order; returns how many repeated ids were left out.

    A material whose id has come before is left out if it has the same label, and an error otherwise. Datasets of
    different profiles are refused unless `profile` says to which all are converted. Splits and properties are kept.
    """
    profiles = {data.profile for data in datasets.values()}
    if len(profiles) > 1 and profile is None:
        raise DatasetError(
            f"the datasets are canonical under different profiles ({', '.join(sorted(profiles))}), so equal crystals "
            "have different labels in them; name the profile to convert to"
        )
    target = profile or profiles.pop()
    chosen = [_converted(data, target) for data in datasets.values()]
    kept = _first_of_each_id(datasets, chosen)
    names = list(dict.fromkeys(name for data in chosen for name in data.properties))
    write_dataset(
        output,
        concatenate([data.columns.select(rows) for data, rows in zip(chosen, kept, strict=True)]),
        material_id=_joined([data.texts["material_id"][rows] for data, rows in zip(chosen, kept, strict=True)]),
        label=_joined([data.texts["label"][rows] for data, rows in zip(chosen, kept, strict=True)]),
        split=np.concatenate([data.split[rows] for data, rows in zip(chosen, kept, strict=True)]),
        properties={
            name: np.concatenate(
                [
                    data.properties.get(name, np.full(len(data), np.nan))[rows]
                    for data, rows in zip(chosen, kept, strict=True)
                ]
            )
            for name in names
        },
        rejected=Rejected(
            *(
                tuple(text for data in chosen for text in getattr(data.rejected, name))
                for name in ("material_id", "place", "reason")
            )
        ),
        n_elements=max(data.n_elements for data in chosen),
        profile=target,
        attributes=_provenance(datasets),
    )
    return sum(len(data) - len(rows) for data, rows in zip(chosen, kept, strict=True))


def _joined(parts: Sequence[NDArray[np.bytes_]]) -> NDArray[np.bytes_]:
    return np.concatenate(parts) if parts else np.zeros(0, "S1")


def _converted(data: Dataset, profile: str) -> Dataset:
    if data.profile == profile:
        return data
    canonical = [p.canonical(profile) for p in data.columns]
    texts = {**data.texts, "label": np.array([str(p).encode() for p in canonical] or [], dtype=np.bytes_)}
    return Dataset(to_columns(canonical), data.split, data.properties, data.attributes, data.rejected, texts)


def _first_of_each_id(datasets: Mapping[str, Dataset], chosen: Sequence[Dataset]) -> list[NDArray[np.int64]]:
    seen: dict[str, str] = {}
    kept = []
    for name, data in zip(datasets, chosen, strict=True):
        rows = []
        for i, (material, label) in enumerate(zip(data.material_id.tolist(), data.label.tolist(), strict=True)):
            before = seen.setdefault(material, label)
            if before != label:
                raise DatasetError(f"{name}: {material} is {label} here and {before} in a dataset before it")
            if before is label:
                rows.append(i)
        kept.append(np.array(rows, np.int64))
    return kept


def _provenance(datasets: Mapping[str, Dataset]) -> dict[str, Any]:
    """Attributes on which all agree, and those of each under `merged_from`."""
    roots = [{k: plain(v) for k, v in data.attributes.items()} for data in datasets.values()]
    derived = {"n_read", "n_written", "n_rejected", "n_elements", "max_count", "format", "format_version", "profile"}
    common = {
        k: v for k, v in roots[0].items() if k not in derived and v is not None and all(r.get(k) == v for r in roots)
    }
    sources = [source for root in roots for source in json.loads(root.get("sources") or "[]")]
    merged = [{"name": name, **root} for name, root in zip(datasets, roots, strict=True)]
    return {**common, "sources": json.dumps(sources), "merged_from": json.dumps(merged)}


def rewrite(dataset: Dataset, output: Path, split: NDArray[np.uint8], rule: str) -> None:
    """The same materials with another split."""
    derived = {"format", "format_version", "n_elements", "max_count", "n_read", "n_written", "n_rejected", "profile"}
    kept = {name: value for name, value in dataset.attributes.items() if name not in derived}
    write_dataset(
        output,
        dataset.columns,
        material_id=dataset.texts["material_id"],
        label=dataset.texts["label"],
        split=split,
        properties=dataset.properties,
        rejected=dataset.rejected,
        n_elements=dataset.n_elements,
        profile=dataset.profile,
        attributes={**kept, "split_rule": rule},
    )
