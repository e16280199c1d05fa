"""The extractor against aviary's own code, and what its loader accepts."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import protostructures

from reference_model.extractor.embed import Extractor
from reference_model.extractor.features import N_FEATURES, element_features, has_features, position_features
from reference_model.extractor.known import KNOWN
from reference_model.extractor.weights import SHIPPED, of_network, read_extractor, write_extractor
from reference_model.extractor.wrenformer import Wrenformer, WrenformerConfig
from wyckoffkit import CheckpointError, DatasetError, parse_label
from wyckoffkit.canonical import equivalent_settings
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import format_label

pytest.importorskip("aviary", reason="aviary-models is an extra")

SMALL = WrenformerConfig(d_model=16, n_attn_layers=2, n_attn_heads=2, trunk_hidden=(16,), out_hidden=(8,))
# The paper's table 4 (groups with up to four settings, counts, several orbits) and others of ours.
LABELS = (
    "AB6C_hR24_166_a_h_b:Cs-F-Sn A2B6CD_cF40_225_c_e_a_b:Cs-F-Ni-Rb A6B3C_mC20_12_ij_ai_d:F-Rb-V "
    "A5B2C_tP8_123_bj_e_a:F-K-Zn A2BC7D2_hR36_155_c_a_bf_c:Al-Ba-O-Sb AB4C_oC24_63_c_fg_c:Ca-O-S "
    "A2BC_hR12_166_c_a_b:Ca-I-P AB_cF8_225_a_b:Ca-O"
).split() + [label for label, _ in KNOWN]


def extractor(config=SMALL, seed=0) -> Extractor:
    torch.manual_seed(seed)
    network = Wrenformer(config).eval().requires_grad_(False)
    return of_network(network, config, name="small", energy_scale=(0.0, 1.0))


OURS = extractor()


@pytest.fixture(scope="module")
def aviary():
    """aviary's featuriser, collation and network; importing them takes seconds and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aviary.wrenformer import data, model
    return data, model


def theirs(aviary, config, labels, weights=None):
    """Aggregated embeddings and outputs of aviary's network with these weights, OURS by default."""
    data, model = aviary
    params = {k: v for k, v in config.to_dict().items() if k != "norm_first"}
    network = model.Wrenformer(**params, task_dict={"e": "regression"}, device="cpu").eval()
    network.load_state_dict(weights or OURS.network.state_dict())
    seen = []
    network.trunk_nn.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    features = tuple(data.wyckoff_embedding_from_protostructure_label(label) for label in labels)
    inputs, *_ = data.collate_batch(features, torch.zeros(len(labels)), list(labels))
    with torch.no_grad():
        output = network(*inputs)[0]
    return seen[0].numpy(), output[:, 0].numpy()


def test_features_are_645_and_end_with_lawrencium():
    assert 1 + element_features().shape[1] + position_features().shape[1] == N_FEATURES == 645
    assert np.flatnonzero(has_features()).tolist() == list(range(1, 104))
    assert position_features().shape[0] == 1731


def test_embeddings_and_energies_equal_those_of_aviary(aviary):
    expected = theirs(aviary, SMALL, LABELS)
    found = OURS.embed(to_columns(map(parse_label, LABELS)))
    assert np.allclose(found.embedding, expected[0], atol=3e-6)
    assert np.allclose(found.energy, expected[1], atol=3e-6)
    # Negative control: the settings matter, so leaving them out would be seen.
    alone = extractor()
    identity = [np.arange(40, dtype=np.uint8)[None]]
    alone._featurisers.append(type(OURS.featuriser())(lambda number: identity[0], OURS.position_class))
    assert not np.allclose(alone.embed(to_columns(map(parse_label, LABELS))).embedding, expected[0], atol=1e-4)


@settings(max_examples=40)
@given(st.lists(protostructures(n_elements=103, max_orbits=8), min_size=1, max_size=6))
def test_any_label_is_embedded_as_aviary_does(aviary, materials):
    expected = theirs(aviary, SMALL, [format_label(p) for p in materials])[0]
    assert np.allclose(OURS.embed(to_columns(materials)).embedding, expected, atol=1e-5)


@given(protostructures(n_elements=103))
def test_all_settings_of_a_protostructure_have_one_embedding(protostructure):
    found = OURS.embed(to_columns(equivalent_settings(protostructure))).embedding
    assert np.allclose(found, found[0], atol=1e-5)


@settings(max_examples=50)
@given(st.lists(protostructures(n_elements=103), min_size=2, max_size=8), st.randoms())
def test_an_embedding_does_not_depend_on_its_neighbours_in_the_batch(materials, random):
    order = list(range(len(materials)))
    random.shuffle(order)
    found = OURS.embed(to_columns(materials)).embedding
    assert np.allclose(OURS.embed(to_columns([materials[i] for i in order])).embedding, found[order], atol=1e-5)


def test_layers_that_normalise_after_are_torch_s_own():
    config = WrenformerConfig(**{**SMALL.to_dict(), "norm_first": False})
    ours = extractor(config)
    label = "A6B3C_mC20_12_ij_ai_d:F-Rb-V"
    rows = ours.featuriser().rows(to_columns([parse_label(label)]))[0]
    element, position = rows.element.astype(int), rows.position.astype(int)
    h = ours.tables.element[element] + ours.tables.position[position]
    h = h + torch.from_numpy(rows.ratio)[..., None] * ours.tables.ratio
    with torch.enable_grad():  # torch's fast path is off
        encoded = ours.network.transformer_encoder.requires_grad_(True)(h)
    expected = (encoded.mean(dim=1).detach() * torch.from_numpy(rows.weight)[:, None]).sum(dim=0)
    assert np.allclose(ours.embed(to_columns([parse_label(label)])).embedding[0], expected.numpy(), atol=1e-5)


def test_elements_without_features_are_marked_and_the_rest_is_embedded():
    labels = ["AB_cF8_225_a_b:Cl-Na", "AB_cF8_225_a_b:Cl-Og", "AB_cP2_221_a_b:Cl-Cs"]
    found = OURS.embed(to_columns(map(parse_label, labels)))
    assert found.is_known.tolist() == [True, False, True]
    assert np.isnan(found.energy).tolist() == [False, True, False]


def test_what_is_shipped_is_what_was_trained_to_half_precision(tmp_path):
    path = tmp_path / "w.safetensors"
    write_extractor(path, SMALL, OURS.network.state_dict(), energy_scale=(-1.0, 2.0), card={"licence": "CC BY 4.0"})
    found = read_extractor(path)
    columns = to_columns(map(parse_label, LABELS))
    assert np.allclose(found.embed(columns).embedding, OURS.embed(columns).embedding, atol=5e-3)
    assert np.allclose(found.embed(columns).energy, -1 + 2 * OURS.embed(columns).energy, atol=5e-3)
    assert found.card == {"licence": "CC BY 4.0"}
    assert found.digest == read_extractor(path).digest != OURS.digest


def test_weights_that_were_changed_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    write_extractor(path, SMALL, OURS.network.state_dict(), energy_scale=(0.0, 1.0), card={})
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="damaged"):
        read_extractor(path)


def aviary_checkpoint(path, network, config, **extra):
    params = {k: v for k, v in config.to_dict().items() if k not in ("norm_first", "dropout")}
    content = {"model_params": {**params, "task_dict": {"e": "regression"}}, "model_state": network.state_dict()}
    torch.save({**content, "epoch": 3, **extra}, path)
    return path


def fitted(norm_first):
    """A network that knows the energies of KNOWN, in one order of normalisation."""
    from reference_model.extractor.embed import tensors
    from reference_model.extractor.wrenformer import average_settings, embed_rows, predict, project

    config = WrenformerConfig(**{**SMALL.to_dict(), "norm_first": norm_first, "n_attn_layers": 1, "robust": False})
    torch.manual_seed(1)
    network = Wrenformer(config)
    rows = OURS.featuriser().rows(to_columns(parse_label(label) for label, _ in KNOWN))
    target = torch.tensor([energy for _, energy in KNOWN])
    features = torch.from_numpy(element_features()), torch.from_numpy(position_features())
    optimiser = torch.optim.Adam(network.parameters(), lr=6e-3)
    for _ in range(100):
        total = torch.zeros(len(KNOWN), 16)
        tables = project(network, *features)
        for part in rows:
            weight, material = torch.from_numpy(part.weight), torch.from_numpy(part.material)
            embedded = embed_rows(network, tables, *tensors(part, slice(None)))
            total = total + average_settings(embedded, weight, material, n_materials=len(KNOWN))
        loss = (predict(network, total)[:, 0] - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network, config


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_order_of_normalisation_is_found_by_known_energies(tmp_path, norm_first):
    path = aviary_checkpoint(tmp_path / "checkpoint.pth", *fitted(norm_first))
    found = read_extractor(path)
    assert found.card["norm"] == ("pre" if norm_first else "post")
    assert found.digest == read_extractor(path, norm="pre" if norm_first else "post").digest
    wrong = read_extractor(path, norm="post" if norm_first else "pre")
    columns = to_columns(map(parse_label, LABELS[:3]))
    assert not np.allclose(found.embed(columns).embedding, wrong.embed(columns).embedding, atol=0.01)
    assert found.digest != wrong.digest


def test_an_order_that_nothing_tells_is_asked_for_and_not_guessed(tmp_path):
    path = aviary_checkpoint(tmp_path / "untrained.pth", OURS.network, SMALL)
    with pytest.raises(CheckpointError, match="say norm='pre'"):
        read_extractor(path)
    assert read_extractor(path, norm="pre").card["norm"] == "pre"


def test_averaged_and_older_checkpoints_are_read(tmp_path):
    path = tmp_path / "swa.pth"
    state = {f"module.{name}": value for name, value in OURS.network.state_dict().items()} | {
        "n_averaged": torch.tensor(4)
    }
    params = {k: v for k, v in SMALL.to_dict().items() if k != "norm_first"}
    torch.save({"model_params": params, "state_dict": state}, path)
    columns = to_columns(map(parse_label, LABELS))
    found = read_extractor(path, norm="pre").embed(columns).embedding
    assert np.allclose(found, OURS.embed(columns).embedding, atol=1e-6)


class Bomb:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


def test_a_pickle_with_objects_is_refused_and_not_run(tmp_path):
    path = aviary_checkpoint(tmp_path / "bomb.pth", OURS.network, SMALL, extra=Bomb())
    with pytest.raises(CheckpointError, match=r"unpickling those can run any code.*weights_only=False"):
        read_extractor(path, norm="pre")


def test_a_checkpoint_as_aviary_s_training_saves_it_is_read_and_none_of_its_objects_is_built(tmp_path, monkeypatch):
    # CompRhys/aviary aviary/train.py, train_model: what Matbench Discovery's runs were saved by.
    core, losses = ModuleType("aviary.core"), ModuleType("aviary.losses")

    class Normalizer:
        mean = None

        def __setstate__(self, state):
            pytest.fail("an object of the checkpoint was built")

    def robust_loss():
        pytest.fail("a function of the checkpoint was run")

    for made, module, name in ((Normalizer, core, "Normalizer"), (robust_loss, losses, "RobustL1Loss")):
        made.__module__, made.__qualname__, made.__name__ = module.__name__, name, name
        setattr(module, name, made)
    normalizer = Normalizer()
    normalizer.std = torch.ones(1)
    optimiser = torch.optim.AdamW(OURS.network.requires_grad_(True).parameters())
    scores = {"MAE": np.float64(0.05), "RMSE": np.float32(0.1), "R2": 0.9, "errors": np.ones(3)}
    with monkeypatch.context() as patched:
        for module in (core, losses):
            patched.setitem(sys.modules, module.__name__, module)
        path = aviary_checkpoint(
            tmp_path / "checkpoint.pth",
            OURS.network,
            SMALL,
            optimizer_state=optimiser.state_dict(),
            scheduler_state={"base_lrs": [0.001], "last_epoch": 3},
            loss_dict={"e": ("regression", robust_loss), "f": ("regression", torch.nn.L1Loss())},
            metrics=scores,
            run_name="wrenformer-robust",
            normalizer_dict={"e": normalizer},
            run_params={"losses": {"e": ("regression", robust_loss)}, "learning_rate": 3e-4},
        )
    OURS.network.requires_grad_(False)
    columns = to_columns(map(parse_label, LABELS))
    found = read_extractor(path, norm="pre").embed(columns).embedding
    assert np.allclose(found, OURS.embed(columns).embedding, atol=1e-6)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "no such file"),
        (b"", "no torch file"),
        (b"hello", "is no torch file"),
        (b"PK\3\4cut", "is cut off"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_one_named_error(tmp_path, content, sentence):
    path = tmp_path / "x.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_extractor(path)
    assert str(path) in str(caught.value)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    torch.save({"epoch": 1}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="model_params and model_state"):
        read_extractor(tmp_path / "other.pth")
    params = {"n_features": 200, "d_model": 8}
    torch.save({"model_params": params, "model_state": {}}, tmp_path / "roost.pth")
    with pytest.raises(CheckpointError, match="645 input features, this one has 200"):
        read_extractor(tmp_path / "roost.pth")
    torch.save({"model_params": {"n_features": 645, "d_model": 8}, "model_state": {}}, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="do not fit their configuration"):
        read_extractor(tmp_path / "empty.pth", norm="pre")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label,energy\n", "has the columns label and e_form_per_atom"),
        ("label,e_form_per_atom\nAB_cF8_225_a_b:Ca-O,-3\nAB_cF8_225_a_b:Mg-O,low\n", "t.csv:3: .* a number, got 'low'"),
        ("label,e_form_per_atom\nAB_cF8_225_a_b:Ca-O\n", "t.csv:2: .* a number, got None"),
    ],
)
def test_a_table_without_energies_is_refused_by_line(tmp_path, text, said):
    from reference_model.extractor.energies import read_energies

    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DatasetError, match=said):
        read_energies(tmp_path / "t.csv")


def test_training_runs_resumes_and_ships(tmp_path, aviary):
    from reference_model.extractor.trainer import train_extractor

    with gzip.open(tmp_path / "wbm.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "e_form_per_atom"])
        writer.writerows([*KNOWN, ("AB_cF8_225_a_b:Cl-Og", -1.0), ("nonsense", 0.0), ("AB_cF8_225_a_b:Ca-O", 99.0)])
    threads = torch.get_num_threads()
    try:
        source, run, given = tmp_path / "wbm.csv.gz", tmp_path / "run", {"layers": 1, "licence": "CC0"}
        train_extractor(source, run, minutes=0.02, **given)
        begun = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
        # What is spent is told to 0.01 minutes: however slow the first part was, there is time left for a step.
        train_extractor(source, run, minutes=begun["minutes"] + 0.01, **given)
    finally:
        torch.set_num_threads(threads)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] > log[0]["step"] > 0
    found = read_extractor(tmp_path / "run" / "wrenformer.safetensors")
    assert found.card["training_materials"] + found.card["held_out_materials"] == len(KNOWN)
    assert 0 < found.card["held_out_mae_ev_per_atom"] < 10


shipped = pytest.mark.skipif(not SHIPPED.exists(), reason="no extractor is shipped")


@shipped
def test_the_shipped_extractor_is_what_its_card_says():
    found = read_extractor()
    card = SHIPPED.with_suffix(".md").read_text(encoding="utf-8")
    assert found.digest in card
    assert f"{found.card['held_out_mae_ev_per_atom']:.3f} eV/atom" in card
    assert "CC BY 4.0" in card
    energy = found.embed(to_columns(parse_label(label) for label, _ in KNOWN)).energy
    assert np.abs(energy - [e for _, e in KNOWN]).mean() < 0.25


@shipped
def test_the_shipped_extractor_is_aviary_s_network(aviary):
    found = read_extractor()
    expected = theirs(aviary, found.network.config, LABELS, found.network.state_dict())
    embedded = found.embed(to_columns(map(parse_label, LABELS)))
    assert np.allclose(embedded.embedding, expected[0], atol=1e-4)
    mean, std = found.energy_scale
    assert np.allclose(embedded.energy, mean + std * expected[1], atol=1e-4)


@shipped
def test_the_shipped_extractor_needs_no_aviary_and_others_say_that_they_do(tmp_path, monkeypatch):
    import importlib.util

    from reference_model.extractor import features

    expected = read_extractor().embed(to_columns(map(parse_label, LABELS))).embedding
    checkpoint = aviary_checkpoint(tmp_path / "c.pth", OURS.network, SMALL)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for cached in (features.position_features, features.element_features, features.position_classes):
        cached.cache_clear()
    assert np.array_equal(read_extractor().embed(to_columns(map(parse_label, LABELS))).embedding, expected)
    with pytest.raises(features.MissingExtra, match=r"pip install 'wyckoffkit\[evaluate\]'"):
        read_extractor(checkpoint, norm="pre")
