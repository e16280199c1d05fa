"""Kinds of files that the project reads: how a sound one is written, and what reading it gives."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import json
import lzma
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from wyckoffkit import WyckoffkitError  # noqa: E402 - after the path


@dataclass(frozen=True)
class Format:
    """A kind of file: how a sound one is written, and what reading it gives (anything that can be compared)."""

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], object]
    checked: bool
    """The format carries checksums: damage must be noticed."""


def digest(values: Iterable[object]) -> str:
    sha = hashlib.sha256()
    for value in values:
        sha.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return sha.hexdigest()


def real() -> list[Any]:
    from real_structures import real_structures

    return list(real_structures())


def write_hdf5(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.dataset import write_dataset
    from wyckoffkit.encoding import to_columns

    labels = [entry.label for entry in real()]
    columns = to_columns(map(parse_label, labels))
    write_dataset(
        path,
        columns,
        material_id=[entry.material_id for entry in real()],
        label=labels,
        properties={"e_form_per_atom": np.linspace(-3, 1, len(labels))},
    )


def read_hdf5(path: Path) -> str:
    from wyckoffkit.dataset import read_dataset

    data = read_dataset(path)
    columns = data.columns
    arrays = (columns.space_group, columns.offset, columns.position, columns.element, columns.count, data.split)
    return digest([*arrays, data.profile, data.n_elements, data.label.tolist(), data.material_id.tolist(),
                   sorted((name, column.tolist()) for name, column in data.properties.items())])  # fmt: skip


def write_encoded(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.tensorfile import write_tensors

    write_tensors(((entry.label, parse_label(entry.label)) for entry in real()), path, n_elements=100)


def read_encoded(path: Path) -> str:
    from wyckoffkit.tensorfile import read_tensors

    found = []
    for _, decoded in read_tensors(path):
        try:
            found.append(str(decoded()))
        except WyckoffkitError as error:
            found.append(f"error {error}")
    return digest(found)


def write_checkpoint_file(path: Path) -> None:
    import torch

    from reference_model.checkpoint import Checkpoint, write_checkpoint
    from reference_model.config import ModelConfig
    from reference_model.network import build_network
    from reference_model.transitions import Prior

    torch.manual_seed(0)
    config = ModelConfig.named("compact", hidden_size=8, n_heads=2, n_layers=1, n_elements=20, max_count=3)
    weights = dict(build_network(config).state_dict())
    write_checkpoint(path, Checkpoint(config, weights, {}, Prior.zeros(21).m, Prior.zeros(4).m))


def read_checkpoint_file(path: Path) -> str:
    from reference_model.checkpoint import read_checkpoint

    found = read_checkpoint(path)
    weights = [tensor.numpy() for _, tensor in sorted(found.weights.items())]
    return digest([*weights, sorted(found.config.to_dict().items()), found.profile, found.constrained_prior.numpy()])


def write_structures(path: Path) -> None:
    from real_structures import in_wbm_layout

    data = in_wbm_layout(entry.structure for entry in real()[:20])
    path.write_bytes(bz2.compress(data) if path.suffix == ".bz2" else data)


def write_cif(path: Path) -> None:
    from pymatgen.core import Structure

    structure = real()[4].structure
    path.write_text(Structure.from_dict(structure).to(fmt="cif"), encoding="utf-8")


def write_table(path: Path) -> None:
    rows = "".join(f"{entry.material_id},{entry.label}\n" for entry in real())
    path.write_text(f"material_id,wyckoff_spglib\n{rows}", encoding="utf-8")


def read_sources(path: Path) -> str:
    from wyckoffkit.sources import Source, read_entry

    records = [read_entry(entry, "org") for entry in Source(path).entries()]
    return digest((record.material_id, str(record.protostructure or record.crystal)) for record in records)


def write_toml(path: Path) -> None:
    lines = ["[model]", 'name = "compact"', "hidden_size = 160", "[train]", "minutes = 120", "lr = 1e-3", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def read_toml(path: Path) -> str:
    from reference_model.train.choices import choose

    return digest(map(repr, choose(str(path), {}, {}, [])))


def write_lines(path: Path) -> None:
    from real_labels import LABEL_FILE

    data = LABEL_FILE.read_bytes()
    match path.suffix:
        case ".gz":
            data = gzip.compress(data, mtime=0)
        case ".xz":
            data = lzma.compress(data)
        case ".zst":
            import zstandard

            data = zstandard.compress(data)
    path.write_bytes(data)


def read_label_lines(path: Path) -> str:
    from wyckoffkit import parse_label
    from wyckoffkit.textlines import open_lines

    found = []
    with open_lines(path) as lines:
        for line in lines:
            try:
                found.append(str(parse_label(line.rstrip("\n"))))
            except WyckoffkitError as error:
                found.append(str(error))
    return digest(found)


def whole_record(rows: list[object]) -> str:
    """A record may end anywhere: what a killed process left is continued."""
    if len(rows) < len(METALS):
        raise WyckoffkitError("a record of less")
    return digest(rows)


METALS = ("AB3_cP4_221_a_c:Au-Cu", "AB_tP2_123_a_d:Au-Cu", "AB2_hP3_164_a_d:Ag-Au")


def write_relaxed(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.relax import RelaxOptions, StageOptions, relax_many

    options = RelaxOptions(stage=StageOptions(steps=60), attempts=2)
    made = path.parent / "made"
    list(relax_many(map(parse_label, METALS), made, options, calculator="emt"))
    path.write_bytes((made / "relaxed.jsonl").read_bytes())


def read_relaxed_rows(path: Path) -> str:
    from wyckoffkit.relax import read_relaxed
    from wyckoffkit.relax.many import crystal_in

    return whole_record([(row["label"], row["energy"], str(crystal_in(row))) for row in read_relaxed(path)])


def write_trials(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.realize import RealizeOptions, realize_many

    made = path.parent / "made"
    list(realize_many(map(parse_label, METALS), made, RealizeOptions()))
    path.write_bytes((made / "trials.jsonl").read_bytes())


def read_trials(path: Path) -> str:
    from wyckoffkit.realize import read_realized

    return whole_record([(label, copy, str(found.crystal)) for label, copy, found in read_realized(path.parent)])


def write_hull_json(path: Path) -> None:
    importlib.import_module("wyckoffkit.hull.compatibility")  # and pymatgen, once, before processes are forked
    from wyckoffkit.hull import Reference, References
    from wyckoffkit.hull.references import write_references

    names = ("Ag", "Au", "Cu")
    entries = tuple(Reference(name, ((name, 1.0),), 0.1 * i) for i, name in enumerate(names))
    write_references(path, References("a scale", "total", entries, "metals"))


def write_entries(path: Path) -> None:
    fields = {"@module": "pymatgen.entries.computed_entries", "@class": "ComputedEntry", "correction": 0.0}
    run = {"run_type": "GGA", "is_hubbard": False, "hubbards": {}, "potcar_symbols": ["PBE Na_pv", "PBE Cl"]}
    rows = [
        {**fields, "composition": amounts, "energy": energy, "entry_id": f"mp-{i}", "parameters": run, "data": {}}
        for i, (amounts, energy) in enumerate([({"Na": 1}, -1.3), ({"Cl": 2}, -3.6), ({"Na": 1, "Cl": 1}, -6.8)])
    ]
    data = json.dumps(rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def write_genes(path: Path) -> None:
    gene = {"group": 225, "sites": [["4a"], ["4b"]], "species": ["Na", "Cl"], "numIons": [4, 4]}
    path.write_text(json.dumps([gene] * 20), encoding="utf-8")


def write_columns(path: Path) -> None:
    row = '225,"[11, 17, 0]","[1, 2, 0]"\n'
    path.write_text(f"G,A,W\n{row * 20}", encoding="utf-8")


def write_hull_csv(path: Path) -> None:
    rows = "".join(f"{entry.material_id},{entry.label},{-0.1 * i}\n" for i, entry in enumerate(real()))
    path.write_text(f"material_id,label,e_form_per_atom\n{rows}", encoding="utf-8")


def read_hull(path: Path) -> str:
    from wyckoffkit.hull import read_references

    scale = "mp2020" if path.suffix == ".csv" else None
    found = read_references(path, scale=scale)
    return digest((found.scale, found.kind, *map(asdict, found.entries)))


def read_property_table(path: Path) -> str:
    from wyckoffkit.build.attach import read_properties

    found = read_properties(path)
    return digest([found.names, sorted(found.rows.items())])


def write_split(path: Path) -> None:
    sides = ("train", "validation", "test")
    rows = "".join(f"{entry.material_id},{sides[i % 3]}\n" for i, entry in enumerate(real()))
    path.write_text(f"material_id,split\n{rows}", encoding="utf-8")


def read_split_file(path: Path) -> str:
    from wyckoffkit.dataset.split import read_split

    return digest(sorted(read_split(path).items()))


def write_ranked(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.discover.rank import Candidate, write_candidates

    write_candidates(path, [Candidate(parse_label(label), 12.5, -0.25, None) for label in METALS])


def read_ranked(path: Path) -> str:
    from wyckoffkit.discover.rank import read_candidates

    return digest(map(str, read_candidates(path)))


def write_shard(path: Path) -> None:
    from wyckoffkit.build.options import BuildOptions
    from wyckoffkit.build.work import work
    from wyckoffkit.sources import Entry

    entries = [Entry(e.material_id, e.material_id, "label", e.label.encode()) for e in real()]
    path.write_bytes(work(entries, BuildOptions(), {}, lambda _: None).to_bytes())


def read_shard(path: Path) -> str:
    from wyckoffkit.build.work import Shard

    shard = Shard.from_bytes(path.read_bytes())
    columns = shard.columns
    arrays = (columns.space_group, columns.offset, columns.position, columns.element, columns.count)
    return digest([*arrays, *(v for _, v in sorted({**shard.texts, **shard.properties}.items())), shard.notes])


def write_pack(path: Path) -> None:
    from reference_model.reference import build_reference, write_reference
    from wyckoffkit import parse_label
    from wyckoffkit.encoding import to_columns

    labels = [entry.label for entry in real()]
    write_reference(path, build_reference(to_columns(map(parse_label, labels)), labels, n_elements=100, max_count=99))


def read_pack(path: Path) -> str:
    from reference_model.reference import read_reference

    pack = read_reference(path)
    return digest([pack.space_group_count, pack.token_count, pack.labels, pack.prototypes, pack.profile])


def write_evaluation(path: Path) -> None:
    estimate = {"value": 0.5, "n": 100, "low": 0.4, "high": 0.6}
    divergence = {"jensen_shannon_bits": {**estimate, "floor": 0.01}}
    content = {
        "format_version": 2, "metrics": {"valid": estimate, "novel": estimate}, "lines": {"novel": estimate},
        "resampled": {"novel": 0.7}, "embedding": None, "likelihoods": None, "divergences": {"elements": divergence},
        "reference": {"key": "0123456789abcdef"},
    }  # fmt: skip
    path.write_text(json.dumps(content), encoding="utf-8")


def read_evaluation(path: Path) -> str:
    from reference_model.evaluate.compare import html_table, read_evaluations

    return digest([html_table(read_evaluations([path, path]))])


def read_generated(path: Path) -> str:
    from reference_model.evaluate.samples import read_samples

    found = read_samples(path)
    return digest([*found.labels, *found.rejected])


FORMATS = {
    "dataset.h5": Format("dataset (HDF5)", write_hdf5, read_hdf5, checked=True),
    "tensors.npz": Format("tensors (npz)", write_encoded, read_encoded, checked=True),
    "tensors.jsonl": Format("tensors (JSON lines)", write_encoded, read_encoded, checked=False),
    "model.safetensors": Format("checkpoint (safetensors)", write_checkpoint_file, read_checkpoint_file, checked=True),
    "wbm.json": Format("structures (JSON)", write_structures, read_sources, checked=False),
    "wbm.json.bz2": Format("structures (JSON, bz2)", write_structures, read_sources, checked=True),
    "one.cif": Format("structure (CIF)", write_cif, read_sources, checked=False),
    "table.csv": Format("labels (CSV)", write_table, read_sources, checked=False),
    "run.toml": Format("settings (TOML)", write_toml, read_toml, checked=False),
    "labels.txt.gz": Format("labels (gzip)", write_lines, read_label_lines, checked=True),
    "labels.txt.xz": Format("labels (xz)", write_lines, read_label_lines, checked=True),
    "labels.txt.zst": Format("labels (zstd)", write_lines, read_label_lines, checked=False),
    "samples.csv": Format("samples (CSV)", write_table, read_generated, checked=False),
    "relaxed.jsonl": Format("record of relax", write_relaxed, read_relaxed_rows, checked=True),
    "trials.jsonl": Format("record of realize", write_trials, read_trials, checked=True),
    "references.json": Format("references", write_hull_json, read_hull, checked=False),
    "entries.json.gz": Format("entries (JSON, gzip)", write_entries, read_hull, checked=True),
    "samples.txt.xz": Format("samples (xz)", write_lines, read_generated, checked=True),
    "genes.json": Format("genes of WyFormer", write_genes, read_generated, checked=False),
    "columns.csv": Format("columns of CrystalFormer", write_columns, read_generated, checked=False),
    "entries.json": Format("entries of pymatgen", write_entries, read_hull, checked=False),
    "references.csv": Format("references (CSV)", write_hull_csv, read_hull, checked=False),
    "properties.csv": Format("properties (CSV)", write_hull_csv, read_property_table, checked=False),
    "split.csv": Format("split (CSV)", write_split, read_split_file, checked=False),
    "ranked.csv": Format("candidates (CSV)", write_ranked, read_ranked, checked=False),
    "shard.npz": Format("part of a build (npz)", write_shard, read_shard, checked=True),
    "model.reference.safetensors": Format("pack (safetensors)", write_pack, read_pack, checked=True),
    "evaluation.json": Format("evaluation (JSON)", write_evaluation, read_evaluation, checked=False),
}
