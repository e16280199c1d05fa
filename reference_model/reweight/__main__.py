"""`python -m reference_model.reweight`. Little is imported before an interrupt is a sentence."""

from __future__ import annotations

from wyckoffkit.interrupts import interruptible


def _run() -> None:
    from wyckoffkit.commandline import named_errors

    with named_errors("reweight"):
        from .app import app

        app(prog_name="python -m reference_model.reweight")


if __name__ == "__main__":
    interruptible("reweight", _run)
