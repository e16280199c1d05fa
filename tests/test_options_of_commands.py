"""Every option of a command reaches the function that does the work: none is taken and then forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer.main
from given_to_work import LABEL, Command, check_option, options_of
from real_structures import real_structures
from wyckoffkit.cli.app import app

from wyckoffkit import parse_label
from wyckoffkit.build import BuildOptions
from wyckoffkit.dataset import write_dataset
from wyckoffkit.discover import elements_of
from wyckoffkit.encoding import to_columns

pytest.importorskip("ase", reason="needs the extra structures: pip install 'wyckoffkit[structures]'")

ADDRESS = "tcp://there:8786"
OF_ALL = {
    "--seed": ("7", "options.seed", 7),
    "--jobs": ("2", "jobs", 2),
    "--scheduler": (ADDRESS, "scheduler", ADDRESS),
    "--output": ("other", "folder", Path("other")),
}
COMMANDS = {
    "encode": Command(
        app,
        ["encode", "labels.txt", "-o", "out.h5"],
        "wyckoffkit.tensorfile:write_tensors",
        {
            "--output": ("other.npz", "path", Path("other.npz")),
            "--n-elements": ("30", "n_elements", 30),
            "--profile": ("affine", "profile", "affine"),
        },
        frozenset({"--column"}),
    ),
    "build-dataset": Command(
        app,
        ["build-dataset", "labels.txt"],
        "wyckoffkit.build:build_dataset",
        {
            "--output": ("other.h5", "output", Path("other.h5")),
            "--workers": ("99", "workers", 99),
            "--symprec": ("0.02", "options", BuildOptions(symprec=0.02)),
            "--angle-tolerance": ("0.5", "options", BuildOptions(angle_tolerance=0.5)),
            "--engine": ("spglib", "options", BuildOptions(engine="spglib")),
            "--profile": ("affine", "options", BuildOptions(profile="affine")),
            "--structure": ("opt", "options", BuildOptions(structure="opt")),
            "--clean": ("wbm", "options", BuildOptions(clean=("misaligned", "extreme-energy"))),
            "--properties": ("summary.csv", "properties", Path("summary.csv")),
            "--split": ("0.8,0.15,0.05", "split.fractions", (0.8, 0.15, 0.05)),
            "--split-counts": ("3,2", "split.counts", (3, 2)),
            "--split-file": ("split.csv", "split.by_id", {"a": 2, "b": 1}),
            "--seed": ("7", "split.seed", 7),
            "--timeout": ("5", "timeout", 5.0),
            "--scheduler": (ADDRESS, "scheduler", ADDRESS),
            "--licence": ("CC0", "licence", "CC0"),
        },
    ),
    "realize": Command(
        app,
        ["realize", "labels.txt", "-o", "out"],
        "wyckoffkit.realize:realize_many",
        OF_ALL
        | {
            "--format": ("poscar, json", "formats", ["poscar", "json"]),
            "--copies": ("3", "options.copies", 3),
            "--engine": ("both", "options.engine", "both"),
            "--trials": ("4", "options.trials", 4),
            "--symprec": ("0.002", "options.symprec", 0.002),
            "--timeout": ("5", "options.timeout", 5.0),
        },
    ),
    "relax": Command(
        app,
        ["relax", "labels.txt", "-o", "out"],
        "wyckoffkit.relax:relax_many",
        OF_ALL
        | {
            "--calculator": ("lj", "calculator", "lj"),
            "--attempts": ("3", "options.attempts", 3),
            "--agreement": ("0.002", "options.agreement", 0.002),
            "--fmax": ("0.003", "options.stage.fmax", 0.003),
            "--steps": ("44", "options.stage.steps", 44),
            "--optimizer": ("FIRE", "options.stage.optimizer", "FIRE"),
            "--timeout": ("5", "options.stage.timeout", 5.0),
            "--symprec": ("0.006", "options.symprec", 0.006),
            "--seed": ("7", "options.realize.seed", 7),
            "--batch": ("9", "batch", 9),
        },
    ),
    "discover": Command(
        app,
        ["discover", "labels.txt", "-o", "out", "--calculator", "emt", "--against", "metals.json", "--scale", "emt"],
        "wyckoffkit.discover:discover",
        OF_ALL
        | {
            "--known": ("known.txt", "options.wanted.known", frozenset({"A_cF4_225_a:Cu"})),
            "--allow": ("f-block,O", "options.wanted.allowed", elements_of(["f-block", "O"])),
            "--without": ("O", "options.wanted.without", frozenset({"O"})),
            "--most-atoms": ("12", "options.wanted.most_atoms", 12),
            "--charge-neutral": (None, "options.wanted.charge_neutral", True),
            "--attempts": ("3", "options.relax.attempts", 3),
            "--no-rank": (None, "judge", None),
            "--budget": ("1.5", "options.budget", 1.5),
            "--seed": ("7", "options.relax.realize.seed", 7),
            "--jobs": ("2", "options.jobs", 2),
            "--batch": ("9", "options.batch", 9),
            "--scheduler": (ADDRESS, "options.scheduler", ADDRESS),
        },
        # What is sampled: below. The hull and the report: tests/test_discover.py and tests/test_hull.py.
        frozenset({"--sample", "--against", "--scale", "--elements", "--calculator", "--best", "--rank"}),
    ),
    "same": Command(
        app,
        ["same", LABEL, LABEL],
        "wyckoffkit.comparison:compare",
        {
            "--profile": ("pymatgen", "profile", "pymatgen"),
            "--engine": ("spglib", "engine", "spglib"),
            "--symprec": ("0.02", "symprec", 0.02),
        },
        frozenset({"--structure", "--json"}),
    ),
    "label": Command(
        app,
        ["label", "one.json"],
        "wyckoffkit.symmetry:protostructure_of",
        {
            "--engine": ("spglib", "engine", "spglib"),
            "--symprec": ("0.02", "symprec", 0.02),
            "--angle-tolerance": ("0.5", "angle_tolerance", 0.5),
            "--profile": ("affine", "profile", "affine"),
        },
        frozenset({"--structure", "--sweep", "--json"}),
    ),
    "enumerate": Command(
        app,
        ["enumerate", "TiO2", "--space-group", "2"],
        "wyckoffkit.enumeration:enumerate_protostructures",
        {
            "--space-group": ("136", "number", 136),
            "--formula-units": ("3", "composition", {"Ti": 3, "O": 6}),
            "--profile": ("pymatgen", "profile", "pymatgen"),
        },
        frozenset({"--count", "--realisable", "--json"}),
    ),
    "dataset split": Command(
        app,
        ["dataset", "split", "x.h5", "-o", "other.h5", "--fractions", "0.9,0.05,0.05"],
        "wyckoffkit.dataset:random_split",
        {"--fractions": ("0.8,0.15,0.05", "fractions", (0.8, 0.15, 0.05)), "--seed": ("7", "seed", 7)},
        frozenset({"--output", "--counts", "--by", "--test-ids"}),  # tests/test_dataset_commands.py
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the words name, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text(f"{LABEL}\n")
    Path("known.txt").write_text("A_cF4_225_a:Cu\n")
    Path("split.csv").write_text("material_id,split\na,test\nb,validation\n")
    Path("one.json").write_text(json.dumps(real_structures()[0].structure))
    columns = to_columns([parse_label(LABEL)])
    write_dataset(Path("x.h5"), columns, material_id=["a"], label=[LABEL])
    Path("metals.json").write_text(json.dumps({"Ca": -1.0, "O": -2.0}))


@pytest.mark.parametrize(
    "name, option", [(name, option) for name, found in COMMANDS.items() for option in found.options]
)
def test_an_option_reaches_the_work_and_is_not_its_default(name: str, option: str) -> None:
    check_option(COMMANDS[name], option)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_missing_above(name: str) -> None:
    parser = typer.main.get_command(app)
    for word in name.split():
        parser = parser.commands[word]  # type: ignore[attr-defined]
    assert options_of(parser) == {*COMMANDS[name].options, *COMMANDS[name].elsewhere}


def test_what_is_to_be_sampled_is_what_the_sampler_is_asked_for() -> None:
    words = ["discover", "-o", "out", *COMMANDS["discover"].words[4:], "--known", "known.txt"]
    command = Command(app, words, "wyckoffkit.discover:discover", {})
    given = command.given("-n", "5", "--sample", "--chemical-system Li-O --max-atoms 9", "--seed", "3")
    assert given["options"].source == "sampled with -n 5 --seed 3 --chemical-system Li-O --max-atoms 9"


def test_the_version_is_printed() -> None:
    from typer.testing import CliRunner

    from wyckoffkit import __version__

    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"wyckoffkit {__version__}\n")
