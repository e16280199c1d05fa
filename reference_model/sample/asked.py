"""From options to samples: free ones by any sampler, or particles where a condition is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wyckoffkit import WyckoffkitError

from ..conditioning import Filter, Request
from ..model import Model, guided, load_model
from . import filters
from .conditioned import Fulfilment, iterate_request
from .draw import Sample, Tally
from .draw import iterate as iterate_free
from .filters import EnergyRange, parse_energy


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What samples are asked to be; all of it holds together."""

    space_groups: int | Iterable[int] | None = None
    elements: str | Iterable[str] | None = None
    """Only these: "Li,O,Fe", or a list."""
    require: str | Iterable[str] | None = None
    forbid: str | Iterable[str] | None = None
    chemical_system: str | Iterable[str] | None = None
    """Exactly these: "Li-Mn-O"."""
    composition: str | Mapping[str, float] | None = None
    anonymous: str | None = None
    max_atoms: int | None = None
    """In the conventional cell."""
    sites: str | None = None
    """Occupied positions: "a=Ca,c=2O"."""
    prototype: str | None = None
    no_collapse: bool = False
    charge_neutral: bool = False
    e_form: str | float | None = None
    """Formation energy in eV/atom: a range, "< -1" or "-2..-1", that holds by the shipped regressor's prediction; or a
    number that a model trained with --condition is steered towards."""
    guidance: float | None = None
    """How far: 1 is the law at that number, more goes beyond."""
    novel_only: bool = False
    reweight: bool | None = None
    """As often new, at each likelihood, as held-out data: by the weights that were fitted to the model. None: where it
    has some and no condition is asked for that needs particles; False: the model's own law.
    """

    @cached_property
    def energy(self) -> EnergyRange | float | None:
        if self.e_form is None:
            if self.guidance is not None:
                raise WyckoffkitError("guidance steers towards a formation energy: give a number, as --e-form -2")
            return None
        asked = parse_energy(str(self.e_form))
        if isinstance(asked, EnergyRange) and self.guidance is not None:
            raise WyckoffkitError(f"guidance steers towards a number, as --e-form -2, got the range {self.e_form}")
        return asked

    @cached_property
    def request(self) -> Request:
        names = ("elements", "require", "forbid", "chemical_system", "composition", "anonymous", "max_atoms", "sites")
        return Request.of(
            space_group=self.space_groups, prototype=self.prototype, **{name: getattr(self, name) for name in names}
        )

    def is_free(self) -> bool:
        """Whether any sampler can draw samples one by one: nothing but space groups and novelty is asked for."""
        finished = self.no_collapse or self.charge_neutral or isinstance(self.energy, EnergyRange)
        return self.request.is_plain and not finished

    def reweights(self, model: Model) -> bool:
        """Whether samples follow the weights for novelty. WyckoffkitError where they are asked of a steered law."""
        steered = isinstance(self.energy, float)
        if self.reweight and steered:
            raise WyckoffkitError("the weights for novelty are those of the model's own law, not of a steered one")
        if self.reweight is not None:
            return self.reweight
        return model.checkpoint.reweighting is not None and self.is_free() and not steered

    def filters(self) -> list[Filter]:
        """Those that only finished materials can be asked, but for novelty and its weights."""
        chosen: list[Filter] = []
        if self.no_collapse:
            chosen.append(filters.no_collapse())
        if self.charge_neutral:
            chosen.append(filters.charge_neutral())
        energy = self.energy
        if isinstance(energy, EnergyRange):
            chosen.append(energy.filter())
        return chosen


def iterate(
    model: Model,
    n: int,
    *,
    seed: int = 0,
    sampler: str = "auto",
    n_steps: int = 100,
    batch_size: int = 512,
    first: int = 0,
    distinct: bool = False,
    seen: set[int] | None = None,
    tally: Tally | None = None,
    fulfilment: Fulfilment | None = None,
    progress: Callable[[int], None] | None = None,
    **conditions: Any,
) -> Iterator[Sample]:
    """Samples number `first` … until n have been yielded, in constant memory; `conditions` are those of `Conditions`.

    With `distinct` no label comes twice, nor any whose fingerprint is among those `seen`.
    By any sampler where nothing but space groups, novelty and guidance is asked for, else by particles of the jump
    sampler. Raises WyckoffkitError for what cannot be read, cannot hold, or is more than the model was trained for.
    """
    asked = Conditions(**conditions)
    energy = asked.energy
    seen = (seen if seen is not None else set()) if distinct else None
    reweights = asked.reweights(model)
    if isinstance(energy, float):
        model = guided(model, energy, 1.0 if asked.guidance is None else asked.guidance)
    request, wanted = asked.request, asked.filters()
    if asked.is_free():
        return iterate_free(
            model,
            n,
            seed=seed,
            sampler=sampler,
            n_steps=n_steps,
            first=first,
            tally=tally,
            progress=progress,
            batch_size=batch_size,
            space_groups=request.space_groups,
            novel_only=asked.novel_only,
            reweight=reweights,
            seen=seen,
        )
    if sampler not in ("auto", "jump"):
        raise WyckoffkitError(f"conditions are met by the jump sampler, not by {sampler}")
    if asked.novel_only:
        wanted = [filters.novel(model), *wanted]
    if reweights:
        wanted = [*wanted, filters.reweighted(model)]
    return iterate_request(
        model, n, request, wanted=wanted, seen=seen, seed=seed, first=first, tally=tally, fulfilment=fulfilment
    )


def sample(
    n: int,
    checkpoint: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    sampler: str = "auto",
    n_steps: int = 100,
    batch_size: int = 512,
    distinct: bool = False,
    space_groups: int | Iterable[int] | None = None,
    elements: str | Iterable[str] | None = None,
    require: str | Iterable[str] | None = None,
    forbid: str | Iterable[str] | None = None,
    chemical_system: str | Iterable[str] | None = None,
    composition: str | Mapping[str, float] | None = None,
    anonymous: str | None = None,
    max_atoms: int | None = None,
    sites: str | None = None,
    prototype: str | None = None,
    no_collapse: bool = False,
    charge_neutral: bool = False,
    e_form: str | float | None = None,
    guidance: float | None = None,
    novel_only: bool = False,
    reweight: bool | None = None,
    device: str = "cpu",
) -> list[Sample]:
    """n samples of a checkpoint (the shipped one by default), those of the command.

    From `space_groups` on, the options are the conditions that `Conditions` explains, the others those of `iterate`.

    >>> [s.label for s in sample(1, composition="NaCl", space_groups=[225])]
    ['AB_cF8_225_a_b:Cl-Na']
    """
    options = locals()  # all of them, by name
    n, checkpoint, device = (options.pop(name) for name in ("n", "checkpoint", "device"))
    return list(iterate(load_model(checkpoint, device), n, **options))
