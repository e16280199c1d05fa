"""What a user asks for, parsed once and checked for sense before any network is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wyckoffkit.elements import SYMBOLS
from wyckoffkit.errors import WyckoffkitError
from wyckoffkit.label import parse_prototype
from wyckoffkit.spacegroup import SpaceGroup

from ..batch import Batch
from .constraints import Constraint, Elements, MaxAtoms
from .formula import Formula
from .reading import (
    Site,
    atomic_number,
    element_sets,
    formula_of,
    joined,
    parse_formula,
    parse_sites,
    prototype_sites,
    reduced,
)
from .reading import space_groups as read_groups

LARGEST_CELL = 120
"""Atoms in the conventional cell up to which a formula is multiplied where no limit is given."""


@dataclass(frozen=True, eq=False)
class Laws:
    """What of the model is not in the network."""

    space_group: Tensor
    """p̂(s), (231,)."""
    n_tokens: Tensor
    """p̂(n | s), (231, N + 1)."""


@dataclass(frozen=True)
class Request:
    """Conditions on materials; all of them hold together. Make one with `Request.of`."""

    space_groups: tuple[int, ...] | None = None
    allowed: frozenset[int] | None = None
    """Atomic numbers; None allows all."""
    required: frozenset[int] = frozenset()
    formula: tuple[int, ...] | None = None
    """Amounts, their greatest common divisor 1."""
    formula_elements: tuple[int, ...] | None = None
    """Atomic numbers of the amounts; None where the formula is anonymous."""
    max_atoms: int | None = None
    """In the conventional cell."""
    sites: tuple[Site, ...] = ()
    site_elements: tuple[int, ...] = ()
    """The atomic number of each role; 0 where the model chooses an element that no other role has."""
    whole: bool = False
    """Whether the sites are all there is (a prototype)."""

    @classmethod
    def of(
        cls,
        *,
        space_group: int | Iterable[int] | None = None,
        elements: str | Iterable[str] | None = None,
        require: str | Iterable[str] | None = None,
        forbid: str | Iterable[str] | None = None,
        chemical_system: str | Iterable[str] | None = None,
        composition: str | Mapping[str, float] | None = None,
        anonymous: str | None = None,
        max_atoms: int | None = None,
        sites: str | None = None,
        prototype: str | None = None,
    ) -> Request:
        """From the text of options: "Li,O", "Li-Mn-O", "LiMn2O4", "AB2C4", "a=Ca,c=2O", "ABC3_cP5_221_a_b_c".

        Elements may be listed, and a composition given as amounts by symbol.
        Raises WyckoffkitError where a condition cannot be read, or where two cannot hold together.
        """
        groups = read_groups(space_group)
        elements, require, forbid = (joined(given, ",") for given in (elements, require, forbid))
        chemical_system, composition = joined(chemical_system, "-"), formula_of(composition)
        allowed, required = element_sets(elements, require, forbid, chemical_system)
        if composition is not None and anonymous is not None:
            raise WyckoffkitError("a composition has an anonymous formula of its own: give one of the two")
        formula, formula_elements = None, None
        if composition is not None:
            amounts = reduced(parse_formula(composition))
            formula, formula_elements = tuple(amounts.values()), tuple(atomic_number(symbol) for symbol in amounts)
            wrong = [SYMBOLS[z] for z in sorted(set(formula_elements) - (allowed or set(formula_elements)))]
            if wrong:
                raise WyckoffkitError(f"composition {composition} has {', '.join(wrong)}, which is not allowed")
            strangers = [SYMBOLS[z] for z in sorted(required - set(formula_elements))]
            if strangers:
                raise WyckoffkitError(f"composition {composition} lacks the required {', '.join(strangers)}")
            allowed, required = frozenset(formula_elements), frozenset(formula_elements)
        elif anonymous is not None:
            formula = tuple(reduced(parse_formula(anonymous, anonymous=True)).values())
            if len(required) > len(formula):
                raise WyckoffkitError(f"{anonymous} has {len(formula)} elements, {len(required)} are required")
        if max_atoms is not None and max_atoms < 1:
            raise WyckoffkitError(f"a cell has at least one atom, got a limit of {max_atoms}")
        if sites is not None and prototype is not None:
            raise WyckoffkitError("a prototype names all sites: give either sites or a prototype")
        found, site_elements = ((), ()) if sites is None else parse_sites(sites)
        for z in site_elements:
            if allowed is not None and z not in allowed:
                raise WyckoffkitError(f"sites {sites} hold {SYMBOLS[z]}, which is not allowed")
        if prototype is not None:
            parsed = parse_prototype(prototype)
            if groups is not None and parsed.space_group.number not in groups:
                raise WyckoffkitError(
                    f"{prototype} is in space group {parsed.space_group.number}, not in {', '.join(map(str, groups))}"
                )
            groups = (parsed.space_group.number,)
            found, site_elements = prototype_sites(parsed), (0,) * len(parsed.fields)
        return cls(
            groups, allowed, required, formula, formula_elements, max_atoms, found, site_elements, prototype is not None
        )

    @property
    def is_plain(self) -> bool:
        """Nothing but space groups is asked for, so that any sampler will do."""
        return self == Request(space_groups=self.space_groups)

    def constraints(self, n_elements: int, max_count: int, device: torch.device | str = "cpu") -> list[Constraint]:
        """The conditions as masks for a model of E elements and P orbits."""
        beyond = [z for z in self.required | set(self.site_elements) if z > n_elements]
        if self.allowed is not None and min(self.allowed) > n_elements:
            beyond += self.allowed
        if beyond:
            raise WyckoffkitError(f"the model ends at {SYMBOLS[n_elements]}, got {SYMBOLS[min(beyond)]}")
        allowed = torch.ones(n_elements, dtype=torch.bool, device=device)
        required = torch.zeros_like(allowed)
        if self.allowed is not None:
            allowed = torch.zeros_like(allowed)
            allowed[[z - 1 for z in self.allowed if z <= n_elements]] = True
        required[[z - 1 for z in self.required]] = True
        out: list[Constraint] = []
        if self.allowed is not None or self.required:
            out.append(Elements(allowed, required))
        if self.max_atoms is not None:
            out.append(MaxAtoms(self.max_atoms, allowed))
        if self.formula is not None:
            limit = LARGEST_CELL if self.max_atoms is None else self.max_atoms
            out.append(Formula(self.formula, self.formula_elements, limit, max_count))
        return out

    def fits_sites(self, number: int) -> bool:
        """Whether a group has the positions of all sites, and room on them."""
        group = SpaceGroup.from_number(number)
        taken: set[int] = set()
        for site in self.sites:
            if site.position >= len(group.positions):
                return False
            if group.positions[site.position].is_constrained:
                if site.position in taken or site.count > 1:
                    return False
                taken.add(site.position)
        return True

    @cached_property
    def n_equal_roles(self) -> int:
        """In how many ways the roles of a prototype can be exchanged without a change."""
        fields: dict[tuple[tuple[int, int], ...], int] = {}
        if self.whole:
            for role in range(len(self.site_elements)):
                field = tuple(sorted((site.position, site.count) for site in self.sites if site.role == role))
                fields[field] = fields.get(field, 0) + 1
        return math.prod(math.factorial(n) for n in fields.values())

    def law(self, space_group: Tensor, n_tokens: Tensor, constraints: list[Constraint], n_elements: int) -> Tensor:
        """p̂(s) p̂(n | s) where the request can be met at all, else 0: (231, N + 1) float64, not normalised.

        Raises WyckoffkitError with the condition that leaves nothing.
        """
        joint = space_group.double()[:, None] * n_tokens.double()
        joint[:, 0] = 0  # an empty material is none
        if self.space_groups is not None:
            chosen = torch.zeros(len(joint), 1, dtype=torch.float64)
            chosen[list(self.space_groups)] = 1
            joint = _left(joint * chosen, f"the model's training set has no material in {self._where()}")
        if self.sites:
            fits = [number > 0 and self.fits_sites(number) for number in range(len(joint))]
            joint = _left(joint * torch.tensor(fits)[:, None], f"{self._where()} has no room for these sites")
            n = torch.arange(joint.shape[1])
            enough = n == len(self.sites) if self.whole else n >= len(self.sites)
            joint = _left(
                joint * enough, f"no material of the training set occupies as much as {len(self.sites)} sites"
            )
        for constraint in constraints:
            number, n = joint.nonzero(as_tuple=True)
            device = torch.device("cpu") if not isinstance(constraint, Elements) else constraint.allowed.device
            allowed = constraint.n_allowed(Batch.empty(number.to(device), n_elements), n.to(device)).cpu()
            met = torch.zeros_like(joint)
            met[number, n] = allowed.double()
            joint = _left(joint * met, self._cannot(constraint))
        return joint

    def _where(self) -> str:
        if self.space_groups is None:
            return "any space group"
        named = [f"{SpaceGroup.from_number(n).symbol} ({n})" for n in self.space_groups[:3]]
        return ", ".join(named) + (" …" if len(self.space_groups) > 3 else "")

    def _cannot(self, constraint: Constraint) -> str:
        where = f"in {self._where()}"
        if isinstance(constraint, Formula):
            symbols = [SYMBOLS[z] for z in self.formula_elements] if self.formula_elements else "ABCDEFGHIJKLMNOP"
            amounts = zip(symbols, constraint.amounts, strict=False)
            formula = "".join(f"{symbol}{'' if n == 1 else n}" for symbol, n in amounts)
            return (
                f"no occupation of the positions {where} has the formula {formula} within {constraint.max_atoms} atoms "
                "and as many occupied sites as materials of the training set have"
            )
        if isinstance(constraint, MaxAtoms):
            return f"no material {where} has {constraint.limit} atoms or fewer in its conventional cell"
        return f"no material of the training set {where} has as many sites as there are required elements"


def _left(joint: Tensor, otherwise: str) -> Tensor:
    if not bool(joint.sum() > 0):
        raise WyckoffkitError(f"the request cannot be met: {otherwise}")
    return joint
