"""Checkpoints: written whole, read strictly, and never a pickle."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from reference_model.checkpoint import DEFAULT, Checkpoint, checkpoint_file, read_checkpoint, write_checkpoint
from reference_model.config import ModelConfig
from reference_model.network import build_network
from reference_model.tensorfile import CONTENT, HEADER_KEY, SEALED, content_digest, read_tensors, write_tensors
from wyckoffkit import CheckpointError

CONFIG = ModelConfig.named(
    "paper", prior="zeros", hidden_size=8, n_layers=1, embedding_size=4, n_elements=5, max_count=3
)


@pytest.fixture
def checkpoint():
    torch.manual_seed(0)
    weights = build_network(CONFIG).state_dict()
    return Checkpoint(
        config=CONFIG,
        weights=weights,
        ema={name: tensor + 1 for name, tensor in weights.items()},
        constrained_prior=torch.eye(6, dtype=torch.float64)[0],
        unconstrained_prior=torch.eye(4, dtype=torch.float64)[0],
        profile="affine",
        training={"step": 7, "seconds": 1.5},
        dataset={"sha256": "00ff", "licence": "CC BY 4.0"},
    )


def rewrite(path, change_header=None, change_tensors=None):
    """The same file with another header or other tensors, as one would have written it who means it."""
    tensors = load_file(path)
    with opened(path) as file:
        header = json.loads(file.metadata()[HEADER_KEY])
    header = change_header(header) if change_header else header
    tensors = change_tensors(tensors) if change_tensors else tensors
    if isinstance(header, dict):
        header |= {CONTENT: content_digest(header, tensors)}
    save_file(tensors, path, {HEADER_KEY: json.dumps(header)})


def opened(path):
    from safetensors import safe_open

    return safe_open(path, framework="pt")


def test_what_is_read_is_what_was_written(checkpoint, tmp_path):
    write_checkpoint(tmp_path / "a.safetensors", checkpoint)
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert found.config == checkpoint.config
    for part in ("weights", "ema"):
        wanted = getattr(checkpoint, part)
        assert getattr(found, part).keys() == wanted.keys()
        assert all(torch.equal(getattr(found, part)[name], tensor) for name, tensor in wanted.items())
    assert torch.equal(found.constrained_prior, checkpoint.constrained_prior)
    assert torch.equal(found.unconstrained_prior, checkpoint.unconstrained_prior)
    assert (found.profile, found.training, found.dataset) == (
        checkpoint.profile,
        checkpoint.training,
        checkpoint.dataset,
    )


def test_equal_checkpoints_give_equal_bytes(checkpoint, tmp_path):
    write_checkpoint(tmp_path / "a.safetensors", checkpoint)
    write_checkpoint(tmp_path / "b.safetensors", read_checkpoint(tmp_path / "a.safetensors"))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_network_of_a_checkpoint_has_its_averaged_weights(checkpoint):
    name, tensor = next(iter(checkpoint.network().state_dict().items()))
    assert torch.equal(tensor, checkpoint.ema[name])
    assert torch.equal(checkpoint.network(average=False).state_dict()[name], checkpoint.weights[name])
    exported = checkpoint.exported()
    assert not exported.ema
    assert torch.equal(exported.weights[name], checkpoint.ema[name])


def test_a_half_precision_export_is_read_back_into_a_float32_network(checkpoint, tmp_path):
    write_checkpoint(tmp_path / "half.safetensors", checkpoint.exported(torch.bfloat16))
    network = read_checkpoint(tmp_path / "half.safetensors").network()
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_the_shipped_checkpoint_has_a_name_and_of_a_run_the_best_is_meant(tmp_path):
    assert checkpoint_file() == checkpoint_file("shipped") == DEFAULT
    assert checkpoint_file(tmp_path) == tmp_path / "checkpoint.safetensors"
    (tmp_path / "best.safetensors").touch()
    assert checkpoint_file(tmp_path) == tmp_path / "best.safetensors"


def test_a_failed_write_leaves_the_old_file_and_no_other(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, checkpoint)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(path, replace(checkpoint, profile="pymatgen"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"not safetensors at all", "not a safetensors file"),
        (b"\x80\x04\x95pickled", "not a safetensors file"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_its_name(tmp_path, content, sentence):
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_a_file_cut_off_anywhere_is_refused(checkpoint, tmp_path):
    path = tmp_path / "x.safetensors"
    write_checkpoint(path, checkpoint)
    data = path.read_bytes()
    for end in (1, 7, 8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(CheckpointError, match="not a safetensors file, or is cut off"):
            read_checkpoint(path)


def test_a_folder_and_a_foreign_safetensors_file_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        read_checkpoint(tmp_path)
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="not one of ours"):
        read_checkpoint(tmp_path / "x.safetensors")
    write_tensors(tmp_path / "y.safetensors", "reference pack", 1, {"x": torch.zeros(2)}, {})
    with pytest.raises(CheckpointError, match="holds a reference pack, expected a checkpoint"):
        read_checkpoint(tmp_path / "y.safetensors")


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda h: h | {"format_version": 99}, "format version 99, this toolkit reads version 1"),
        (lambda h: h | {"table_digest": "0" * 64}, "made with other tables of Wyckoff positions"),
        (lambda h: {k: v for k, v in h.items() if k != "profile"}, "lacks 'profile'"),
        (lambda h: h | {"config": h["config"] | {"colour": 3}}, "colour"),
        (lambda h: h | {"config": h["config"] | {"n_layers": 2}}, "is missing"),
        (lambda h: h | {"config": h["config"] | {"hidden_size": 16}}, "its configuration asks for"),
        (lambda h: [], "expected a checkpoint"),
    ],
)
def test_another_header_is_refused(checkpoint, tmp_path, change, sentence):
    path = tmp_path / "x.safetensors"
    write_checkpoint(path, checkpoint)
    rewrite(path, change_header=change)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda t: {k: v for k, v in t.items() if not k.startswith("prior.c")}, "prior.constrained is missing"),
        (lambda t: t | {"weights.extra": torch.zeros(1)}, "unknown tensor weights.extra"),
        (lambda t: t | {"extra": torch.zeros(1)}, "unknown tensor extra"),
        (lambda t: t | {"prior.constrained": torch.zeros(9)}, r"has shape \(9,\)"),
    ],
)
def test_a_tensor_too_many_or_too_few_is_refused(checkpoint, tmp_path, change, sentence):
    path = tmp_path / "x.safetensors"
    write_checkpoint(path, checkpoint)
    rewrite(path, change_tensors=change)
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(path)


def test_a_file_whose_content_is_not_what_was_written_or_that_has_no_digest_is_refused(checkpoint, tmp_path):
    path = tmp_path / "x.safetensors"
    write_checkpoint(path, checkpoint)
    tensors = load_file(path)
    with opened(path) as file:
        header = json.loads(file.metadata()[HEADER_KEY])
    tensors["prior.constrained"][0] += 1e-9
    save_file(tensors, path, {HEADER_KEY: json.dumps(header)})
    with pytest.raises(CheckpointError, match="is damaged: its content is not what was written"):
        read_checkpoint(path)
    for name in (CONTENT, SEALED):  # as where damage has changed a name, and the other too
        del header[name]
        save_file(tensors, path, {HEADER_KEY: json.dumps(header)})
        with pytest.raises(CheckpointError, match="is damaged: its content is not what was written"):
            read_checkpoint(path)


def test_reading_a_checkpoint_unpickles_nothing(checkpoint, tmp_path, monkeypatch):
    import pickle

    write_checkpoint(tmp_path / "a.safetensors", checkpoint)

    def refuse(*arguments, **options):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    read_checkpoint(tmp_path / "a.safetensors").network()


def test_tensor_files_keep_views_and_integers_of_64_bits(tmp_path):
    import numpy as np

    base = torch.arange(6.0).reshape(2, 3)
    write_tensors(tmp_path / "v.safetensors", "k", 1, {"a": base.T, "b": base[0]}, {})
    tensors, _ = read_tensors(tmp_path / "v.safetensors", "k", 1)
    assert torch.equal(tensors["a"], base.T)
    assert torch.equal(tensors["b"], base[0])
    large = np.array([2**64 - 1, 0], dtype=np.uint64)
    write_tensors(tmp_path / "n.safetensors", "k", 1, {"a": large}, {})
    arrays, _ = read_tensors(tmp_path / "n.safetensors", "k", 1, framework="np")
    assert arrays["a"].dtype == np.uint64
    assert (arrays["a"] == large).all()
