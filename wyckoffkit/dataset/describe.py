"""A look into a dataset, and whether all of it holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..canonical import AS_GIVEN
from ..elements import SYMBOLS
from ..label import parse_label
from ..spacegroup import SpaceGroup
from .form import SPLITS, Dataset, unit_of
from .statistics import statistics


def describe(dataset: Dataset) -> dict[str, Any]:
    """Provenance, sizes and statistics of a dataset, as values that JSON can hold."""
    root = {name: plain(value) for name, value in dataset.attributes.items()}
    for name in ("sources", "problems", "cleaning"):
        if isinstance(root.get(name), str):
            root[name] = json.loads(root[name] or "null")
    found = statistics(dataset.columns, n_elements=dataset.n_elements)
    groups = np.argsort(-found.space_group, kind="stable")
    elements = np.argsort(-found.element, kind="stable")
    n = max(1, len(dataset))
    return {
        "attributes": root,
        "n_materials": len(dataset),
        "splits": {name: int((dataset.split == i).sum()) for i, name in enumerate(SPLITS)},
        "properties": {
            name: {
                "units": unit_of(name),
                "known": int(np.isfinite(column).sum()),
                "mean": float(np.nanmean(column)) if np.isfinite(column).any() else None,
            }
            for name, column in dataset.properties.items()
        },
        "rejected": dict(Counter(_kind(reason) for reason in dataset.rejected.reason).most_common()),
        "max_count": found.max_count,
        "mean_positions": dict(zip(("L", "L0", "Linf"), found.mean_positions, strict=True)),
        "mean_tokens": float(len(dataset.columns.element) / n),
        "space_groups": len(np.flatnonzero(found.space_group)),
        "fraction_group_1": float(found.space_group[1] / n),
        "fraction_groups_1_to_15": float(found.space_group[1:16].sum() / n),
        "frequent_space_groups": {
            SpaceGroup.from_number(int(g)).symbol: float(found.space_group[g] / n) for g in groups[:10] if g
        },
        "frequent_elements": {SYMBOLS[e]: float(found.element[e] / n) for e in elements[:10] if found.element[e]},
    }


def plain(value: Any) -> Any:
    """An HDF5 attribute as JSON has it."""
    value = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    return None if isinstance(value, float) and value != value else value


def _kind(reason: str) -> str:
    """A reason without its numbers and names, so that equal ones can be counted."""
    words = (word for word in reason.split("\n")[0].split() if not any(c.isdigit() for c in word))
    return " ".join(list(words)[:12])


def faults(dataset: Dataset) -> list[str]:
    """What does not hold in a dataset that could be read: one sentence each, ids named; empty if all does."""
    found: list[str] = []
    names = Counter(dataset.material_id.tolist())
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        found.append(f"{len(repeated)} material ids stand more than once, {repeated[0]!r} among them")
    claimed: Mapping[str, int] = {"n_written": len(dataset), "n_rejected": len(dataset.rejected)}
    for name, count in claimed.items():
        if name in dataset.attributes and int(dataset.attributes[name]) != count:
            found.append(f"the attribute {name} is {int(dataset.attributes[name])}, the file holds {count}")
    if len(dataset) and int(dataset.columns.count.max()) > dataset.max_count:
        found.append(f"a count of {dataset.columns.count.max()} is above max_count = {dataset.max_count}")
    if len(dataset) and int(dataset.columns.element.max()) > dataset.n_elements:
        found.append(f"element {dataset.columns.element.max()} is beyond n_elements = {dataset.n_elements}")
    for i, (name, label) in enumerate(zip(dataset.material_id.tolist(), dataset.label.tolist(), strict=True)):
        fault = _fault_of(dataset, i, label)
        if fault:
            found.append(f"row {i} ({name}): {fault}")
    return found


def _fault_of(dataset: Dataset, i: int, label: str) -> str | None:
    try:
        protostructure = parse_label(label)
        if dataset.columns.protostructure(i) != protostructure:
            return f"the columns hold {dataset.columns.protostructure(i)}, the label is {label}"
        if dataset.profile == AS_GIVEN:
            return None
        canonical = protostructure.canonical(dataset.profile)
    except ValueError as error:
        return str(error)
    return None if canonical == protostructure else f"{label} is not canonical under the profile {dataset.profile}"
