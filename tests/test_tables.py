"""Every row of the tables against the facts of the specification and two independent libraries.

Expected numbers are those of CODEC.md section 1, counted there from spglib, moyo, pyxtal, pymatgen and cctbx.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import moyopy
import numpy as np
import pytest
from table_generator import TABLES, generate, positions, settings, symbols

from wyckoffkit import tables
from wyckoffkit.spacegroup import SpaceGroup

GROUPS = [SpaceGroup.from_number(n) for n in range(1, 231)]
ROWS = [(g, p) for g in GROUPS for p in g.positions]

# spglib 2.7 and newer warn on every call of the generator until it is told how to fail.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")


def test_there_are_1731_positions_616_718_167_230_by_degree_of_freedom():
    assert len(ROWS) == 1731
    assert Counter(p.dof for _, p in ROWS) == {0: 616, 1: 718, 2: 167, 3: 230}


def test_85_groups_have_no_constrained_position():
    assert sum(not g.constrained for g in GROUPS) == 85
    assert max(len(g.constrained) for g in GROUPS) == 8
    assert [g.number for g in GROUPS if len(g.constrained) == 8] == [2, 10, 16, 47, 49]
    assert [g.number for g in GROUPS if len(g.unconstrained) == 19] == [47]
    assert max(len(g.unconstrained) for g in GROUPS) == 19


def test_thirteen_groups_have_the_general_position_alone():
    alone = [g.number for g in GROUPS if len(g.positions) == 1]
    assert alone == [1, 4, 7, 9, 19, 29, 33, 76, 78, 144, 145, 169, 170]


def test_the_number_of_letters_a_group_is_distributed_as_in_the_specification():
    expected = "1:13 2:12 3:28 4:22 5:18 6:14 7:16 8:13 9:23 10:12 11:12 12:18 13:6 14:6 15:6 16:4 18:4 21:2 27:1"
    counted = Counter(len(g.positions) for g in GROUPS)
    assert " ".join(f"{k}:{n}" for k, n in sorted(counted.items())) == expected


def test_letters_run_from_a_without_gaps_and_only_group_47_reaches_A():
    assert all(g.letters == "abcdefghijklmnopqrstuvwxyzA"[: len(g.positions)] for g in GROUPS)
    assert [g.number for g in GROUPS if "A" in g.letters] == [47]


def test_multiplicity_never_falls_with_the_letter_but_dof_does_in_28_groups():
    def falls(values):
        return any(b < a for a, b in pairwise(values))

    assert not any(falls([p.multiplicity for p in g.positions]) for g in GROUPS)
    assert sum(falls([p.dof for p in g.positions]) for g in GROUPS) == 28


def test_constrained_letters_are_no_prefix_of_the_alphabet_in_27_groups():
    letters = {g.number: "".join(p.letter for p in g.constrained) for g in GROUPS}
    odd = [n for n, s in letters.items() if not GROUPS[n - 1].letters.startswith(s)]
    assert len(odd) == 27
    assert (letters[59], letters[63], letters[166]) == ("cd", "abd", "abde")


def test_the_general_position_is_last_and_holds_one_site_an_operation():
    for g in GROUPS:
        group = settings.group(g.number)
        general = g.positions[-1]
        assert (general.coordinates, general.site_symmetry, general.dof) == ("x,y,z", "1", 3)
        assert general.multiplicity == len(group.operations) * len(group.centrings)


def test_tables_are_what_the_generator_writes_byte_for_byte():
    for name in ("space_groups", "wyckoff_positions", "operations"):  # the fourth: test_relabelings.py
        assert (TABLES / f"{name}.csv").read_bytes() == generate.render(name).encode(), name


def test_the_check_names_the_file_that_was_changed(tmp_path, monkeypatch, capsys):
    text = (TABLES / "space_groups.csv").read_text(encoding="utf-8")
    (tmp_path / "space_groups.csv").write_text(text.replace("Fm-3m", "Fm3m"), encoding="utf-8")
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check", "space_groups"]) == 1
    assert "space_groups.csv" in capsys.readouterr().err


def test_operations_are_those_of_moyopy_in_its_standard_setting():
    ours: dict[int, set] = {}
    for row in tables.rows("operations"):
        rotation, translation = settings.parse_triplet(row["operation"])
        for t in settings.group(int(row["number"])).centrings:
            shift = tuple(round(float((w + c) % 1), 4) % 1 for w, c in zip(translation, t, strict=True))
            ours.setdefault(int(row["number"]), set()).add((rotation, shift))
    for number in range(1, 231):
        entry = moyopy.operations_from_number(number)
        theirs = {
            (tuple(map(tuple, r)), tuple(round(x % 1, 4) % 1 for x in t))
            for r, t in zip(entry.rotations, entry.translations, strict=True)
        }
        assert ours[number] == theirs, number


def test_every_row_agrees_with_pyxtal():
    from pyxtal.symmetry import Group

    for g in GROUPS:
        theirs = {w.letter: w for w in Group(g.number)}
        assert set(theirs) == set(g.letters)
        for p in g.positions:
            w = theirs[p.letter]
            w.get_site_symmetry()
            found = (w.multiplicity, w.site_symm, w.get_dof(), w.ops[0].as_xyz_str().replace(" ", ""))
            assert found == (p.multiplicity, p.site_symmetry, p.dof, p.coordinates), (g.number, p.letter)


def letter_at(number: int, x: np.ndarray) -> str:
    """The letter of the smallest derived position that a conventional point lies on, to 1e-3."""
    group = settings.group(number)
    primitive = np.linalg.inv(np.array(group.basis, dtype=float)) @ x
    on = []
    for index, (_, stratum) in enumerate(positions.positions(number)):
        for flat in stratum.flats:
            if flat.normals:
                gap = np.array(flat.normals) @ primitive - np.array(flat.offsets, dtype=float)
                if np.abs(gap - np.round(gap)).max() > 1e-3:
                    continue
            on.append((stratum.dof, index))
            break
    return positions.LETTERS[min(on)[1]]


@pytest.mark.parametrize("number", range(1, 231))
def test_moyopy_sees_the_same_letter_and_site_symmetry_on_every_position(number):
    group = settings.group(number)
    rows = SpaceGroup.from_number(number).positions
    points, species = [], []
    for i, triplet in enumerate([*(p.coordinates for p in rows), "x,y,z"]):
        orbit = symbols.sites(group, triplet, symbols.parameters(i))
        points += orbit
        species += [i + 1] * len(orbit)
    points = np.array(points, dtype=float)
    cell = moyopy.Cell(symbols.lattice(number).tolist(), points.tolist(), species)
    hall = settings.hall_numbers()[number - 1]
    dataset = moyopy.MoyoDataset(cell, symprec=1e-4, setting=moyopy.Setting.hall_number(hall))
    assert dataset.number == number
    # Moyo may choose another origin or other axes: its letters belong to the points in its own cell.
    back = np.linalg.inv(np.array(dataset.std_linear))
    by_letter = {p.letter: p for p in rows}
    counts = Counter(species)
    for kind in sorted(counts):
        i = species.index(kind)
        letter = letter_at(number, back @ (points[i] - np.array(dataset.std_origin_shift)))
        assert dataset.wyckoffs[i] == letter
        assert dataset.site_symmetry_symbols[i] == by_letter[letter].site_symmetry
        assert counts[kind] == by_letter[letter].multiplicity
