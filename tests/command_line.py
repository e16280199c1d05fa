"""The `wyckoffkit` command as a user runs it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

TOOL = [sys.executable, "-m", "wyckoffkit.cli.main"]


def wyckoffkit(*arguments: object, text: str | None = None) -> tuple[int, str, str]:
    """Run the command, with this on stdin; (exit code, stdout, stderr)."""
    done = subprocess.run([*TOOL, *map(str, arguments)], input=text, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr
