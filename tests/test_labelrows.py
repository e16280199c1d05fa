"""A list of labels is the same list in every form that our commands write, and others do."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import wyckoffkit
from hypothesis import given
from hypothesis import strategies as st
from real_labels import WBM_LABELS

from wyckoffkit import DatasetError
from wyckoffkit.labelrows import label_rows

LABELS = WBM_LABELS[:5]
FORMS = {
    "lines": "".join(f"{label}\n" for label in LABELS),
    "lines of Windows": "\n".join([*LABELS, ""]).replace("\n", "\r\n"),
    "commas": "n,label,e\n" + "".join(f"{i},{label},0.5\n" for i, label in enumerate(LABELS)),
    "tabs": "label\tn\n" + "".join(f"{label}\t{i}\n" for i, label in enumerate(LABELS)),
    "semicolons": "\ufeffn;label\n" + "".join(f"{i};{label}\n" for i, label in enumerate(LABELS)),
    "one column": "label\n" + "".join(f"{label}\n" for label in LABELS),
    "JSON lines": "".join(json.dumps({"n": i, "label": label}) + "\n\n" for i, label in enumerate(LABELS)),
}


def rows(text: str, column: str | None = None) -> tuple[list[tuple[int, str]], list[str]]:
    """(what was read, what was refused)."""
    refused: list[str] = []
    lines = iter(text.splitlines(keepends=True))
    found = label_rows(Path("x"), lines, lambda where, error: refused.append(f"{where}: {error}"), column)
    return list(found), refused


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_labels(form, tmp_path):
    found, refused = rows(FORMS[form])
    assert [label for _, label in found] == list(LABELS)
    assert not refused
    lines = FORMS[form].splitlines()
    assert all(label in lines[number - 1] for number, label in found)
    path = tmp_path / "x.txt"
    path.write_text(FORMS[form], encoding="utf-8", newline="")
    assert wyckoffkit("validate", path) == (0, "5 valid labels\n", "")


@pytest.mark.parametrize("form", ["commas", "tabs", "semicolons", "JSON lines"])
def test_the_column_may_have_another_name(form):
    assert rows(FORMS[form].replace("label", "wyckoff"), "wyckoff") == rows(FORMS[form])


def test_a_table_without_labels_is_told_its_columns():
    with pytest.raises(DatasetError, match="x: a table with the columns id, wyckoff, none of them 'label'"):
        rows("id,wyckoff\n1,AB_cF8_225_a_b:Cl-Na\n")


def test_broken_lines_of_json_cost_themselves_alone():
    good = json.dumps({"label": LABELS[0]})
    found, refused = rows("\n".join([good, '{"label": 3}', "[1]", "{", '{"label": ' * 100_000, '{"name": "a"}', good]))
    assert found == [(1, LABELS[0]), (7, LABELS[0])]
    assert [line.partition(" ")[0] for line in refused] == ["x:2:", "x:3:", "x:4:", "x:5:", "x:6:"]
    assert refused[0] == "x:2: no text under 'label' in this line of JSON"
    assert refused[2].startswith("x:4: not JSON: ")


@given(st.text(), st.none() | st.text())
def test_any_text_is_labels_faults_or_a_named_error(text, column):
    with suppress(DatasetError):
        found, refused = rows(text, column)
        assert all(number >= 1 and label for number, label in found)
        assert all(line.startswith("x:") for line in refused)
