"""The report: one file that loads nothing, says what the JSON says, and keeps foreign text as text."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from reference_model.evaluate.app import app
from reference_model.evaluate.compare import difference, read_evaluations
from reference_model.extractor.weights import SHIPPED
from reference_model.report import charts, render
from reference_model.report.figure import Scale, number
from reference_model.report.periodic import on_page
from wyckoffkit import CheckpointError, DatasetError

KNOWN = ("AB_cF8_225_a_b:Cl-Na", "AB_cP2_221_a_b:Cl-Cs", "AB2_cF12_225_a_c:Ca-F", "A3BC_cP5_221_c_a_b:O-Sr-Ti")
SAMPLES = ("AB_cF8_225_a_b:Cl-Na", "<script>alert(1)</script>", "AB_cF8_225_a_b:K-Br", "AB_cF8_225_a_b:Br-K")
runner = CliRunner()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An evaluation without an extractor, as JSON and as a report."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "known.txt").write_text("\n".join(KNOWN))
    (folder / "samples.txt").write_text("\n".join(SAMPLES * 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        arguments = [folder / "samples.txt", "--reference", folder / "known.txt", "--no-fwd"]
        result = runner.invoke(
            app, [*map(str, arguments), "--json", f"{folder}/a.json", "--report", f"{folder}/a.html"]
        )
    assert result.exit_code == 0, result.exception
    return folder


@pytest.fixture
def content(files):
    return json.loads((files / "a.json").read_text())


def with_embedding(content):
    """The evaluation as if it had an extractor, with made-up numbers."""
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    distance = {"raw": estimate, "corrected": estimate, "infinite": estimate, "floor": 0.1}
    names = ("all", "novel", "training")
    content["embedding"] = {
        "definition": "d", "extractor": "x", "digest": "a" * 64, "embedded": 9, "without_features": 0,
        "fwd": distance, "fwd_of_novel": None, "anchors": {"train, train at 10000": estimate},
        **dict.fromkeys(("kernel_distance", "precision", "recall", "density", "coverage"), estimate),
        "predicted_formation_energy_ev_per_atom": {name: {"Q50": estimate} for name in names},
        "energy_histogram": {"edges": [0.0, 0.5, 1.0], **{name: [0.25, 0.75] for name in names}},
    }  # fmt: skip
    held_out = {"value": 0.3, "low": 0.2, "high": 0.4, "n": 9}
    content["embedding"]["held_out"] = {
        "fwd": {"raw": held_out, "corrected": held_out}, "fwd_of_novel": None, "precision": held_out,
    }  # fmt: skip
    content["likelihoods"] = {
        "model": "m", "bits_a_material": dict.fromkeys(("samples", "held-out", "training"), estimate),
        "differences": {"held-out less training": held_out}, "beyond": {"samples": 2, "held-out": 0, "training": 0},
    }  # fmt: skip
    return content


class Tags(HTMLParser):
    """Every tag opened is closed again, and no attribute fetches anything."""

    VOID = ("meta", "br", "input")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links = [], set(), set()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert tag not in ("script", "link", "img", "iframe"), tag
        assert "src" not in attributes
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])
        if "href" in attributes:
            self.links.add(attributes["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_report_is_one_well_formed_file_that_loads_nothing(files, content):
    for page in ((files / "a.html").read_text(), render(with_embedding(content))):
        tags = Tags()
        tags.feed(page)
        assert tags.open == []
        assert all(link.startswith("#") and link[1:] in tags.ids for link in tags.links)
        assert "url(" not in page
        assert "@import" not in page
        assert re.findall(r"https?:", page) == []
        assert "prefers-color-scheme: dark" in page


def test_every_chart_is_well_formed_and_has_no_wrong_number(content):
    charts = re.findall(r"<svg.*?</svg>", render(with_embedding(content)), re.S)
    assert len(charts) > 8
    for chart in charts:
        ElementTree.fromstring(chart)
        assert not re.search(r'="[^"]*(nan|inf)', chart), chart[:200]


def test_the_report_shows_the_numbers_of_the_json(content):
    page = render(content)
    assert content["metrics"]["valid"]["value"] == 0.5
    assert "<td>valid</td><td>50.00 %</td>" in page
    for rejection in content["samples"]["rejected"][:2]:
        assert rejection["reason"].split("'")[0] in page


def test_a_generator_that_draws_no_held_out_label_has_an_infinite_ratio(content):
    content["metrics"]["training label over held-out label"] = {"value": None, "low": 103.0, "high": None, "n": 9}
    assert "<td>training label over held-out label</td><td>∞</td>" in render(content)
    content["metrics"]["training label over held-out label"]["n"] = 0
    assert "<td>training label over held-out label</td><td>–</td>" in render(content)


def test_text_from_outside_stays_text(content):
    page = render(content)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_report_can_be_made_from_saved_json(files, content):
    assert render(content) == (files / "a.html").read_text()


@pytest.mark.skipif(not SHIPPED.exists(), reason="no extractor is shipped")
@pytest.mark.parametrize(
    "labels", [KNOWN[:1], KNOWN[:1] * 3, ("AB_cF8_225_a_b:Br-K",), ("AB_cF8_225_a_b:Cl-Og",), KNOWN]
)
def test_the_smallest_samples_have_a_whole_report(files, tmp_path, monkeypatch, labels):
    monkeypatch.setenv("XDG_CACHE_HOME", str(files / "cache"))
    (tmp_path / "few.txt").write_text("\n".join(labels))
    arguments = [tmp_path / "few.txt", "--reference", files / "known.txt", "--json", tmp_path / "few.json"]
    result = runner.invoke(app, [*map(str, arguments), "--report", str(tmp_path / "few.html"), "--symprec-sweep"])
    assert result.exit_code == 0, result.exception
    page = (tmp_path / "few.html").read_text()
    for chart in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(chart)
        assert not re.search(r'="[^"]*(nan|inf)', chart)
    json.loads((tmp_path / "few.json").read_text(), parse_constant=pytest.fail)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Each page in a frame as wide as a phone, and as a desktop: how wide its contents are, and how many charts have a size.
PROBE = """<body><script>
const found = [];
for (const page of PAGES) for (const width of [400, 1200]) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px"; frame.srcdoc = page; document.body.append(frame);
  frame.onload = () => {
    const inside = frame.contentDocument, charts = [...inside.querySelectorAll("figure svg.chart")];
    const drawn = charts.filter(chart => chart.getBoundingClientRect().height > 5).length;
    found.push({width, wide: inside.documentElement.scrollWidth, charts: charts.length, drawn});
    document.title = JSON.stringify(found);
  };
}
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_no_page_is_wider_than_a_phone_and_every_chart_is_drawn(tmp_path, files, content):
    from reference_model.evaluate.compare import html_table, plots
    from reference_model.report import render_comparison

    both = [("one", with_embedding(content)), ("a model with a name that is much too long", with_embedding(content))]
    pages = [render(content), render_comparison([name for name, _ in both], plots(both), html_table(both))]
    (tmp_path / "probe.html").write_text(PROBE.replace("PAGES", json.dumps(pages).replace("</", "<\\/")))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    asked = [*command, "--virtual-time-budget=10000", "--dump-dom", f"file://{tmp_path / 'probe.html'}"]
    shown = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=300).stdout
    found = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", shown)[1]))
    assert len(found) == 4
    for page in found:
        assert page["wide"] <= page["width"]
        assert page["drawn"] == page["charts"] > 5


def test_every_element_has_its_own_place():
    places = [on_page(z) for z in range(1, 119)]
    assert len(set(places)) == 118
    # IUPAC's table: noble gases in column 18, alkali metals in column 1, copper above silver above gold.
    assert {on_page(z)[1] for z in (2, 10, 18, 36, 54, 86, 118)} == {17}
    assert {on_page(z)[1] for z in (1, 3, 11, 19, 37, 55, 87)} == {0}
    assert len({on_page(z)[1] for z in (29, 47, 79, 111)}) == 1


def test_ticks_are_round_and_within():
    for low, high in ((0, 1), (-3.2, 0.7), (0, 12345), (0.001, 0.0042)):
        ticks = Scale(low, high, 0, 1).ticks()
        assert 3 <= len(ticks) <= 12
        assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert [number(v) for v in (0, 12000, 0.05, 1.2e-6)] == ["0", "12,000", "0.05", "1.2e-06"]


def test_comparing_a_file_with_itself_finds_no_difference(files):
    paths = [str(files / "a.json")] * 2
    result = runner.invoke(app, ["--compare", *paths, "--report", str(files / "both.html")])
    assert result.exit_code == 0, result.exception
    assert "*" not in result.stdout.replace("* excludes 0", "")
    tags = Tags()
    tags.feed((files / "both.html").read_text())
    assert tags.open == []


def test_the_interval_of_a_difference_is_the_published_one():
    # Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10: 56/70 - 48/80.
    from wyckoffkit.metrics import proportion

    value, low, high = difference(proportion(48, 80).to_dict(), proportion(56, 70).to_dict())
    assert (round(value, 4), round(low, 4), round(high, 4)) == (0.2, 0.0524, 0.3339)


def test_evaluations_that_do_not_compare_are_refused(files, content, tmp_path):
    other = copy.deepcopy(content)
    other["reference"]["key"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(DatasetError, match="another reference"):
        read_evaluations([files / "a.json", tmp_path / "other.json"])
    one, two = with_embedding(copy.deepcopy(content)), with_embedding(copy.deepcopy(content))
    two["embedding"]["digest"] = "b" * 64
    for name, value in (("one", one), ("two", two)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    with pytest.raises(CheckpointError, match="two extractors"):
        read_evaluations([tmp_path / "one.json", tmp_path / "two.json"])
    (tmp_path / "text.json").write_text("hello")
    with pytest.raises(DatasetError, match="not the JSON of an evaluation"):
        read_evaluations([tmp_path / "text.json"])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DatasetError, match="in format 2"):
        read_evaluations([tmp_path / "list.json"])


@given(st.lists(st.tuples(st.sampled_from([100.0, 600.0, 620.0]), st.floats(20, 250), st.just(1.0)), max_size=6))
def test_numbers_at_the_ends_of_lines_do_not_lie_on_one_another(ends):
    placed = [(x, y) for x, y, _ in charts._apart(ends)]
    assert sorted(x for x, _ in placed) == sorted(x for x, _, _ in ends)
    for (x, y), (other, above) in combinations(placed, 2):
        assert abs(x - other) >= 44 or abs(y - above) >= 12 - 1e-9
