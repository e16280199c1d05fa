"""Model configurations: frozen, strict, and the same after a trip through JSON."""

from __future__ import annotations

import json

import pytest

from reference_model.config import ModelConfig
from wyckoffkit.errors import CheckpointError


@pytest.mark.parametrize("name", ["paper", "released", "compact"])
def test_a_configuration_survives_json(name):
    config = ModelConfig.named(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_name_option_or_value_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="huge"):
        ModelConfig.named("huge")
    values = ModelConfig.named("paper").to_dict()
    with pytest.raises(CheckpointError, match=r"n_layer$"):
        ModelConfig.from_dict({**values, "n_layer": 3})
    with pytest.raises(CheckpointError, match="prior is one of zeros, marginal, uniform, got 'ones'"):
        ModelConfig.from_dict({**values, "prior": "ones"})
    with pytest.raises(CheckpointError, match="name"):
        ModelConfig.from_dict({key: value for key, value in values.items() if key != "name"})
    for bad in (0, 2.5, True, "3"):
        with pytest.raises(CheckpointError, match="n_layers is a whole number above 0"):
            ModelConfig.from_dict({**values, "n_layers": bad})


def test_the_papers_network_has_no_jump_objective():
    with pytest.raises(ValueError, match="jump"):
        ModelConfig.named("paper", objective="jump")
