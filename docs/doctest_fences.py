"""A griffe extension: doctests in docstrings are shown as code, where Markdown would take ">>>" for a quotation."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

# A paragraph that begins with a prompt.
_EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


class DoctestFences(Extension):
    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```", obj.docstring.value)
