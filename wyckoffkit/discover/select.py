"""Which labels are worth a relaxation: new, realizable, of wanted elements, neutral if asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ..collapse import collapses
from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..errors import ProtostructureError
from ..label import format_label
from ..neutrality import balances_charges
from ..operations import operations
from ..periodic_table import NOBLE_GASES, place
from ..protostructure import Protostructure

_NOBLE_GASES = frozenset(SYMBOLS[z] for z in NOBLE_GASES[1:])


def elements_of(words: Iterable[str]) -> frozenset[str]:
    """The elements that these words name: symbols, blocks (s, p, d, f) written as `s-block`, or `noble-gases`.

    Raises ProtostructureError for a word that names none.
    """
    found: set[str] = set()
    for word in words:
        if word in ATOMIC_NUMBER:
            found.add(word)
        elif word == "noble-gases":
            found |= _NOBLE_GASES
        elif word in ("s-block", "p-block", "d-block", "f-block"):
            found |= {symbol for symbol, z in ATOMIC_NUMBER.items() if place(z)[2] == word[0]}
        else:
            raise ProtostructureError(f"{word!r} names no elements: write a symbol, s-block … f-block, or noble-gases")
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a candidate must be."""

    allowed: frozenset[str] = frozenset(ATOMIC_NUMBER)
    """Elements it may hold."""
    without: frozenset[str] = _NOBLE_GASES
    """Elements it must not hold."""
    most_atoms: int | None = None
    """In the primitive cell, at most."""
    charge_neutral: bool = False
    """Oxidation states that add up to nothing exist, by smact."""
    known: Collection[str] = frozenset()
    """Labels (canonical, affine) that are not novel."""

    def words(self) -> str:
        """In words, to tell whether a folder was begun with others; of what is known, how much."""
        parts = [
            "all elements" if len(self.allowed) == len(ATOMIC_NUMBER) else ",".join(sorted(self.allowed)),
            "without " + ",".join(sorted(self.without)),
            f"at most {self.most_atoms} atoms" if self.most_atoms else "",
            "charge neutral" if self.charge_neutral else "",
            f"{len(self.known)} known",
        ]
        return "; ".join(part for part in parts if part)


@dataclass(slots=True)
class Selection:
    """Goes through protostructures once and remembers why some were not chosen."""

    wanted: Wanted
    refused: Counter[str] = field(default_factory=Counter)

    def choose(self, protostructures: Iterable[Protostructure]) -> Iterator[Protostructure]:
        """Those that are wanted, each once."""
        seen: set[str] = set()
        for protostructure in protostructures:
            label = format_label(protostructure.canonical("affine"))
            reason = "chosen before" if label in seen else self._refusal(protostructure, label)
            seen.add(label)
            if reason:
                self.refused[reason] += 1
            else:
                yield protostructure

    def _refusal(self, protostructure: Protostructure, label: str) -> str:
        wanted, elements = self.wanted, set(protostructure.composition)
        if label in wanted.known:
            return "known"
        if elements & wanted.without:
            return "an element that is not wanted"
        if not elements <= wanted.allowed:
            return "an element that is not allowed"
        if wanted.most_atoms is not None and primitive_atoms(protostructure) > wanted.most_atoms:
            return "too many atoms"
        if collapses(protostructure):
            return "collapses"
        if wanted.charge_neutral and not balances_charges(protostructure.composition):
            return "not charge neutral"
        return ""


def primitive_atoms(protostructure: Protostructure) -> int:
    """Atoms in the primitive cell."""
    return protostructure.n_atoms // operations(protostructure.space_group.number).n_centrings
