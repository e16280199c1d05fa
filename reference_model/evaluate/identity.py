"""What counts as the same composition or chemical system, read off a label."""

from __future__ import annotations

from collections.abc import Iterable

IDENTITIES = ("composition", "chemical system")


def identities(kind: str, labels: Iterable[str]) -> list[str]:
    """The reduced composition or the chemical system of each label.

    >>> identities("composition", ["AB2_cF12_225_a_c:Ca-F"]), identities("chemical system", ["AB2_cF12_225_a_c:Ca-F"])
    (['AB2:Ca-F'], ['Ca-F'])
    """
    if kind == "chemical system":
        return [label.partition(":")[2] for label in labels]
    # The formula is reduced and in the order of the elements, so it names the composition.
    return [f"{label.partition('_')[0]}:{label.partition(':')[2]}" for label in labels]
