"""An evaluation as one HTML file that works offline: `render(content)` of the JSON that `evaluate` writes.

figure, charts, periodic, tables, page: each uses those before it.
"""

from __future__ import annotations

from .page import render, render_comparison

__all__ = ["render", "render_comparison"]
