"""The generator's modules, which lie in `tables/` and belong to no package."""

from __future__ import annotations

import sys
from pathlib import Path

TABLES = Path(__file__).resolve().parents[1] / "tables"

sys.path.insert(0, str(TABLES))
import exact  # noqa: E402
import flats  # noqa: E402
import generate  # noqa: E402
import normalizers  # noqa: E402
import positions  # noqa: E402
import settings  # noqa: E402
import symbols  # noqa: E402

sys.path.remove(str(TABLES))

__all__ = ["TABLES", "exact", "flats", "generate", "normalizers", "positions", "settings", "symbols"]
