"""The console script, and `python -m wyckoffkit.cli.main`. Little is imported before an interrupt is a sentence."""

from __future__ import annotations

from wyckoffkit.interrupts import interruptible


def run() -> None:
    """The console script."""
    interruptible("wyckoffkit", _run)


def _run() -> None:
    from wyckoffkit.commandline import named_errors

    with named_errors("wyckoffkit"):
        from .app import app

        app()


if __name__ == "__main__":
    run()
