"""The tree is the pipeline: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each module imports only from those before it (DESIGN.md, layout).
ORDER = {
    "wyckoffkit": (
        "errors interrupts commandline commandhelp files cluster tables elements periodic_table spacegroup operations "
        "protostructure canonical label_rules label lenient repair wren collapse enumeration symmetry comparison "
        "supergroup subgroups encoding dense canonical_columns textlines csvrows labelrows spool dataset tensorfile "
        "sources build realize relax hull neutrality discover metrics "
    ).split(),
    "reference_model": (
        "threads devices element_features config batch transitions streams diffusion network sampler conditioning "
        "likelihood tensorfile torchfile reweighting checkpoint reference train extractor fwd measures report "
        "model score sample reweight evaluate export "
    ).split(),
}
# Methods of a core type that call a later module, deferred into the method.
DEFERRED = {("protostructure", "canonical"), ("protostructure", "label")}


def modules(package: str) -> dict[str, list[Path]]:
    """Files of each module of a package; a folder is one module."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if name not in ("__init__", "__main__"):
            found.setdefault(name, []).append(path)
    return found


def imports(path: Path, package: str) -> set[tuple[str, str]]:
    """(package, module) of every project import in a file, deferred ones included."""
    depth = len(path.relative_to(ROOT / package).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level and node.level < depth:
                continue  # within a module that is a folder
            base = f"{package}." * bool(node.level) + (node.module or "")
            names = [base.rstrip(".")] if node.module else [base + alias.name for alias in node.names]
            if node.module in ("wyckoffkit", "reference_model"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head in (*ORDER, "cli", "wyckoffkit.cli"):
                found.add((head, rest.split(".")[0]))
    return found


@pytest.mark.parametrize("package", ORDER)
def test_a_module_imports_only_from_those_before_it(package):
    order = ORDER[package]
    for name, paths in modules(package).items():
        if name == "cli":
            continue
        assert name in order, f"{package}/{name} has no place in the order"
        for path in paths:
            for other_package, other in imports(path, package):
                if other_package != package or other not in order or other == name or (name, other) in DEFERRED:
                    continue
                assert order.index(other) < order.index(name), f"{path}: {name} imports {other}, which comes later"


def test_the_toolkit_knows_neither_model_nor_command():
    for paths in modules("wyckoffkit").values():
        for path in paths:
            for package, module in imports(path, "wyckoffkit"):
                assert package != "reference_model", path
                assert (package, module) != ("wyckoffkit", "cli"), path


def test_nothing_but_the_command_imports_the_command():
    for package in ORDER:
        for paths in modules(package).values():
            for path in paths:
                assert not {"cli", "wyckoffkit.cli"} & {p for p, _ in imports(path, package)}, path


def test_importing_the_toolkit_loads_the_standard_library_alone():
    script = (
        "import sys; before = set(sys.modules); import wyckoffkit;"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'wyckoffkit'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tables_is_data_and_no_package():
    assert not (ROOT / "tables" / "__init__.py").exists()


def test_every_package_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {
        ".".join(path.relative_to(ROOT).parts[:-1]) for name in ORDER for path in (ROOT / name).rglob("__init__.py")
    }
    assert set(settings["packages"]) == found | {"wyckoffkit.cli", "wyckoffkit.data"}


def test_the_version_stands_in_one_place_and_the_citation_and_the_changelog_agree():
    import wyckoffkit

    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in told["project"]["dynamic"]
    assert told["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "wyckoffkit.__version__"}
    assert f"\nversion: {wyckoffkit.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
