"""An evaluation as one HTML file that works offline: `render(content)` of the JSON that `evaluate` writes.

figure, charts, periodic, tables, page, comparison: each uses those before it.
"""

from __future__ import annotations

from .comparison import render_comparison
from .page import render

__all__ = ["render", "render_comparison"]
