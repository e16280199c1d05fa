"""Every code block of README.md and docs/ does what the page says, in a folder like a newcomer's."""

from __future__ import annotations

import bz2
import json
import subprocess
import sys
from pathlib import Path

import pytest
from documented_code import CodeBlock, Command, code_blocks, commands, matches, run_page
from real_structures import real_structures

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages that train, evaluate or relax: minutes.
SLOW = {"README.md", "crystals.md", "quickstart.md", "train-on-your-crystals.md", "evaluate-other-models.md"}


@pytest.fixture
def newcomer(tmp_path):
    """What the pages assume: labels.txt, table.csv, crystals/*.cif and wbm.json.bz2, all of WBM."""
    from pymatgen.core import Structure

    known = real_structures()
    (tmp_path / "labels.txt").write_text("".join(f"{real.label}\n" for real in known[:20]))
    rows = "".join(f"{real.material_id},{real.label}\n" for real in known)
    (tmp_path / "table.csv").write_text(f"material_id,wyckoff_spglib\n{rows}")
    (tmp_path / "crystals").mkdir()
    for real in known[:6]:
        Structure.from_dict(real.structure).to(str(tmp_path / "crystals" / f"{real.material_id}.cif"))
    steps = {f"step_1_{i}": {"org": real.structure, "opt": real.structure} for i, real in enumerate(known)}
    (tmp_path / "wbm.json.bz2").write_bytes(bz2.compress(json.dumps(steps).encode()))
    return tmp_path


def pages(slow):
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES if (page.name in SLOW) == slow]


@pytest.mark.parametrize("page", pages(slow=False))
def test_the_blocks_of_a_page_do_what_it_says(page, newcomer):
    assert not run_page(page, newcomer)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages(slow=True))
def test_the_blocks_of_a_long_page_do_what_it_says(page, newcomer):
    assert not run_page(page, newcomer)


def block(text):
    return CodeBlock(Path("page.md"), 1, "console", text)


def test_commands_and_their_output_are_told_apart():
    assert commands(block("$ a \\\n  b\nx\n\ny\n$ c\n")) == [Command("a \\\n  b", "x\n\ny"), Command("c", "")]


def test_what_is_shown_must_be_what_is_printed():
    assert matches("a ... c\nd", "a b\nb c  \nd\n")
    assert not matches("a ... c\nd", "a b c\n")


def test_a_page_that_is_wrong_is_found_out(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo b\na\n$ false\n```\n\n```python\n>>> 1 + 1\n3\n```\n\n```\nx\n```\n")
    assert len(code_blocks(page)) == 3
    assert len(run_page(page, tmp_path)) == 4


def test_the_pictures_are_as_drawn_from_the_tables():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/figures/draw.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
