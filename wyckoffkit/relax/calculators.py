"""ASE calculators by name, what scale their energies are on, and which elements they know."""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..errors import RealizationError
from ..symmetry.crystal import Crystal
from .torchsim import Batched, Floats, batched_model

DEFAULT_CALCULATOR = "chgnet"


# Names of energy scales; energies of two scales are never compared (see `hull`).
MP2020 = "PBE(+U), MP2020-corrected"
PBE = "PBE(+U), uncorrected"


@dataclass(frozen=True, slots=True, eq=False)
class Calculator:
    """An ASE calculator and what must be known about its energies."""

    name: str
    """With the model's version, as `chgnet-0.3.0`."""
    scale: str
    """The name of the energy scale that its energies are on."""
    ase: Any
    """The ase.calculators.calculator.Calculator; None where it is `batched` alone."""
    elements: frozenset[str] | None = None
    """The symbols it knows; None: not known beforehand."""
    batched: Batched | None = None
    """Energies (eV), forces (N, 3) and stresses (3, 3, eV/Å3) of several crystals at once, where it can."""

    def check(self, elements: Iterable[str]) -> None:
        """Raise RealizationError for an element that the calculator does not know."""
        missing = sorted(set(elements) - self.elements) if self.elements is not None else []
        if missing:
            raise RealizationError(f"{self.name} does not know {', '.join(missing)}")


def calculator_named(name: str = DEFAULT_CALCULATOR) -> Calculator:
    """The calculator of a name: chgnet, sevennet, mace:MODEL-FILE, emt, lj, or package.module:Class of any other.

    What stands behind a colon is a model's file or, for sevennet, its name. torchsim:sevennet and torchsim:mace:FILE
    evaluate many crystals at once. Raises RealizationError for names that are none, for files that are no models, and
    where a package is not installed; the message names the extra to install.
    """
    kind, _, detail = name.partition(":")
    if kind in _MAKERS:
        package, extra, make = _MAKERS[kind]
        if importlib.util.find_spec(package) is None:
            raise RealizationError(
                f"the calculator {kind} needs {package}, which is not installed: pip install {extra}"
            )
        return _made(name, lambda: make(detail))
    if detail:
        return _made(name, lambda: _any_class(kind, detail))
    raise RealizationError(
        f"{name!r} is not a calculator: there are {', '.join(_MAKERS)}, and package.module:Class of any other"
    )


def _made(name: str, make: Callable[[], Calculator]) -> Calculator:
    try:
        return make()
    except RealizationError:
        raise
    except Exception as error:  # every package has its own for a file that is missing, damaged or not its model
        told = str(error) or type(error).__name__
        raise RealizationError(f"the calculator {name} cannot be loaded: {told}") from error


def _load(module: str, name: str) -> Any:
    """A class of a package that need not be installed, and has no types."""
    return getattr(importlib.import_module(module), name)


def _chgnet(detail: str) -> Calculator:
    CHGNet = _load("chgnet.model", "CHGNet")
    with redirect_stdout(io.StringIO()):  # it prints which device it runs on
        model = CHGNet.from_file(detail) if detail else CHGNet.load(use_device="cpu", verbose=False)
        make = _load("chgnet.model.dynamics", "CHGNetCalculator")
        ase = make(model=model, use_device="cpu", on_isolated_atoms="ignore")
    version = detail or model.version
    # Trained on the Materials Project's corrected energies (Deng et al., Nat. Mach. Intell. 5, 1031, 2023).
    return Calculator(f"chgnet-{version}", MP2020, ase, _first_elements(94), _chgnet_batched(model))


def _chgnet_batched(model: Any) -> Batched:
    gigapascal = _load("ase.units", "GPa")

    def of(crystals: Sequence[Crystal]) -> list[tuple[float, Floats, Floats]]:
        Structure = _load("pymatgen.core", "Structure")
        graphs = [
            model.graph_converter(Structure(c.lattice, [SYMBOLS[z] for z in c.numbers.tolist()], c.frac))
            for c in crystals
        ]
        found = model.predict_graph(graphs, task="efs", batch_size=len(graphs))
        return [
            (float(f["e"]) * len(c.numbers), f["f"].astype(np.float64), f["s"].astype(np.float64) * gigapascal)
            for c, f in zip(crystals, found, strict=True)
        ]

    return of


def _sevennet(detail: str) -> Calculator:
    ase = _load("sevenn.calculator", "SevenNetCalculator")(detail or "7net-0", device="cpu")
    return Calculator(f"sevennet-{detail or '7net-0'}", PBE, ase)


def _mace(detail: str) -> Calculator:
    if not detail:
        raise RealizationError("MACE's wheel holds no model: name a file, as mace:/path/to/model.model")
    ase = _load("mace.calculators", "MACECalculator")(model_paths=detail, device="cpu")
    return Calculator(f"mace-{detail}", PBE, ase)


def _torchsim(detail: str) -> Calculator:
    kind, _, rest = detail.partition(":")
    batched = batched_model(kind, rest)
    scale = f"Lennard-Jones of {detail}" if kind == "lj" else PBE
    return Calculator(f"torchsim-{detail.replace(':', '-')}", scale, None, batched=batched)


def _emt(detail: str) -> Calculator:
    known = frozenset(_load("ase.calculators.emt", "parameters"))
    return Calculator("emt", "effective medium theory of ASE", _load("ase.calculators.emt", "EMT")(), known)


def _lj(detail: str) -> Calculator:
    ase = _load("ase.calculators.lj", "LennardJones")(sigma=2.3, epsilon=0.2, rc=7.0, smooth=True)
    return Calculator("lj", "Lennard-Jones, sigma 2.3 Å, epsilon 0.2 eV", ase)


def _any_class(module: str, name: str) -> Calculator:
    return Calculator(f"{module}:{name}", f"{module}:{name}", _load(module, name)())


def _first_elements(n: int) -> frozenset[str]:
    return frozenset(symbol for symbol, z in ATOMIC_NUMBER.items() if z <= n)


# The package that must be there, what installs it, and who makes the calculator.
_MAKERS: dict[str, tuple[str, str, Callable[[str], Calculator]]] = {
    "chgnet": ("chgnet", "'wyckoffkit[screen]'", _chgnet),
    "sevennet": ("sevenn", "sevenn", _sevennet),
    "mace": ("mace", "mace-torch", _mace),
    "torchsim": ("torch_sim", "torch-sim-atomistic", _torchsim),
    "emt": ("ase", "'wyckoffkit[structures]'", _emt),
    "lj": ("ase", "'wyckoffkit[structures]'", _lj),
}
