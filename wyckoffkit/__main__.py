"""`python -m wyckoffkit`: the `wyckoffkit` command."""

from __future__ import annotations

from wyckoffkit.cli.main import run

if __name__ == "__main__":
    run()
