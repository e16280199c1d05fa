"""Every code block of README.md and docs/ does what the page says, in a folder like a newcomer's."""

from __future__ import annotations

import bz2
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documented_code import CodeBlock, Command, code_blocks, commands, matches, run_page
from real_structures import real_structures

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CRYSTALS = [f"crystals/{real.material_id}.cif" for real in real_structures()[:6]]
EXAMPLES = ["labels.txt", "table.csv", "wbm.json.bz2", *CRYSTALS]
# Pages that train, evaluate or relax: minutes.
SLOW = {"README.md", "crystals.md", "quickstart.md", "train-on-your-crystals.md", "evaluate-other-models.md"}


@pytest.fixture
def newcomer(tmp_path):
    """A copy of examples/, whose files the pages name."""
    for name in EXAMPLES:
        to = tmp_path / name
        to.parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / "examples" / name, to)
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


def test_the_examples_are_the_structures_of_the_tests():
    from pymatgen.core import Structure

    from wyckoffkit import find_protostructure

    folder, known = ROOT / "examples", real_structures()
    assert (folder / "labels.txt").read_text().split() == [real.label for real in known[:20]]
    rows = [line.split(",") for line in (folder / "table.csv").read_text().split()[1:]]
    assert rows == [[real.material_id, real.label] for real in known]
    steps = json.loads(bz2.decompress((folder / "wbm.json.bz2").read_bytes()))
    assert steps == {f"step_1_{i}": {"org": r.structure, "opt": r.structure} for i, r in enumerate(known)}
    for name, real in zip(CRYSTALS, known, strict=False):
        assert str(find_protostructure(Structure.from_file(str(folder / name)))) == real.label, name


def test_who_reads_one_page_after_another_in_one_folder_finds_no_file_of_another_page_in_the_way():
    writers: dict[str, set[str]] = {}
    for page in PAGES:
        texts = [c.text for b in code_blocks(page) if b.language == "console" for c in commands(b)]
        for text in texts:
            for name in re.findall(r"(?:-o|>) (\S+)", text):
                writers.setdefault(name.rstrip("/;"), set()).add(re.sub(r" --workers 1| +#.*", "", text))
    clashes = {name: found for name, found in writers.items() if len(found) > 1}
    assert len(writers) > 20
    assert not clashes


def block(text):
    return CodeBlock(Path("page.md"), 1, "console", text)


def test_commands_and_their_output_are_told_apart():
    assert commands(block("$ a \\\n  b\nx\n\ny\n$ c\n")) == [Command("a \\\n  b", "x\n\ny"), Command("c", "")]


def test_what_is_shown_must_be_what_is_printed():
    assert matches("a ... c\nd", "a b\nb c  \nd\n")
    assert not matches("a ... c\nd", "a b c\n")


def test_a_page_that_is_wrong_is_found_out(tmp_path):
    page = tmp_path / "page.md"
    console = "```console\n$ echo b\na\n$ false\n$ false\n...\n```\n\n"
    page.write_text(f"{console}```python\n>>> 1 + 1\n3\n```\n\n```\nx\n```\n")
    assert len(code_blocks(page)) == 3
    assert len(run_page(page, tmp_path)) == 5


def test_the_pictures_are_as_drawn_from_the_tables():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/figures/draw.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
