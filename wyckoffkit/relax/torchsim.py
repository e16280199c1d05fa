"""Models of torch-sim, which evaluates many crystals at once, for the search along modes; not calculators of ASE.

torch-sim (Cohen et al. 2025) batches SevenNet, MACE and others. Only its models are used, not its optimizers: those do
not hold a space group's symmetry along with the cell.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RealizationError
from ..symmetry.crystal import Crystal

Floats = NDArray[np.float64]
Batched = Callable[[Sequence[Crystal]], list[tuple[float, Floats, Floats]]]
"""Energies (eV), forces (N, 3) and stresses (3, 3, eV/Å3) of crystals, each (N,) atoms."""


_SHIFTS = (np.zeros((2, 3)), np.array([[0.0, 0, 0], [1, -2, 0]]))


def batched_model(kind: str, detail: str) -> Batched:
    """Energies (eV), forces and stresses by the model of this kind: sevennet, mace or lj; see `calculator_named`."""
    if kind not in _MODELS:
        raise RealizationError(f"torchsim models are {', '.join(_MODELS)}, got {kind!r}: write torchsim:sevennet, say")
    try:
        torch_sim = importlib.import_module("torch_sim")
        model = _MODELS[kind](detail)
        of = _batched(torch_sim, model)
        _check_translations(kind, of)
    except (ImportError, NameError, AttributeError) as error:  # versions of torch-sim and the model that do not fit
        needs = f" (it needs {_NEEDS[kind]})" if isinstance(error, ModuleNotFoundError) else ""
        raise RealizationError(f"torch-sim's model {kind} cannot be used here: {error}{needs}") from None
    return of


def _batched(torch_sim: Any, model: Any) -> Batched:
    def of(crystals: Sequence[Crystal]) -> list[tuple[float, Floats, Floats]]:
        Atoms: Any = importlib.import_module("ase").Atoms
        atoms = [Atoms(numbers=c.numbers, scaled_positions=c.frac, cell=c.lattice, pbc=True) for c in crystals]
        found = model(torch_sim.io.atoms_to_state(atoms, model.device, model.dtype))
        energies, forces, stresses = (
            found[name].detach().cpu().double().numpy() for name in ("energy", "forces", "stress")
        )
        ends = np.cumsum([len(c.numbers) for c in crystals])
        by_crystal = np.split(forces, ends[:-1])
        return list(zip(energies.tolist(), by_crystal, stresses, strict=True))

    return of


def _check_translations(kind: str, of: Batched) -> None:
    """Refuse a model that gives a crystal another energy when an atom is moved by a cell vector.

    As torch-sim 0.3.0's Lennard-Jones does in oblique cells.
    """
    lattice = np.array([[4.0, 0, 0], [0.8, 4.5, 0], [0.4, 0.6, 5.0]])
    here = np.array([[0.1, 0.1, 0.1], [0.5, 0.55, 0.6]])
    energies = [found[0] for found in of([Crystal(lattice, here + shift, np.array([11, 17])) for shift in _SHIFTS])]
    if not np.isclose(energies[0], energies[1], atol=1e-3):
        raise RealizationError(
            f"torch-sim's model {kind}, as installed, gives one crystal the energies {energies[0]:.4f} and "
            f"{energies[1]:.4f} eV, written in two ways; use another version, or the calculator of ASE"
        )


def _sevennet(detail: str) -> Any:
    calculator = importlib.import_module("sevenn.calculator").SevenNetCalculator(detail or "7net-0", device="cpu")
    return importlib.import_module("torch_sim.models.sevennet").SevenNetModel(calculator.model, device="cpu")


def _mace(detail: str) -> Any:
    torch = importlib.import_module("torch")
    if not detail:
        raise RealizationError("MACE's wheel holds no model: name a file, as torchsim:mace:/path/to/model.model")
    # torch-sim 0.3 takes a loaded model and no file; MACE's own calculator loads it.
    calculator = importlib.import_module("mace.calculators").MACECalculator(model_paths=detail, device="cpu")
    return importlib.import_module("torch_sim.models.mace").MaceModel(calculator.models[0], device=torch.device("cpu"))


def _lj(detail: str) -> Any:
    torch = importlib.import_module("torch")
    make = importlib.import_module("torch_sim.models.lennard_jones").LennardJonesModel
    return make(2.3, 0.2, torch.device("cpu"), torch.float64, compute_stress=True, cutoff=7.0)


_NEEDS = {"sevennet": "sevenn", "mace": "mace-torch", "lj": "torch-sim-atomistic"}
_MODELS: dict[str, Callable[[str], Any]] = {"sevennet": _sevennet, "mace": _mace, "lj": _lj}
