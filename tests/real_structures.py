"""Real structures with their labels, from tests/data (see the README there)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wyckoffkit.symmetry import Crystal, crystal_from_dict

PATH = Path(__file__).with_name("data") / "wbm_structures.jsonl"


@dataclass(frozen=True)
class RealStructure:
    material_id: str
    label: str
    structure: dict[str, Any]

    @property
    def crystal(self) -> Crystal:
        return crystal_from_dict(self.structure)


def in_wbm_layout(structures: Iterable[dict[str, Any]]) -> bytes:
    """JSON as the authors of WBM write it: named steps, each with a structure before relaxation and one after."""
    steps = {f"step_1_{i}": {"org": structure, "opt": structure} for i, structure in enumerate(structures)}
    return json.dumps(steps).encode()


@cache
def real_structures() -> tuple[RealStructure, ...]:
    return tuple(RealStructure(**json.loads(line)) for line in PATH.read_text().splitlines())
