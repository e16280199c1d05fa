"""What a run writes down: JSON lines that forget what was not saved, and TensorBoard."""

from __future__ import annotations

import sys

import pytest

from reference_model.train.runlog import JsonLines, TensorBoard, require_tensorboard
from wyckoffkit import WyckoffkitError


def test_a_log_forgets_what_a_killed_run_wrote_after_its_checkpoint(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    log = JsonLines(path, after_step=2)
    log({"step": 3, "loss": 0.5})
    log.close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "loss": 0.5}\n'


def test_tensorboard_gets_the_numbers_of_the_log(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TensorBoard(tmp_path)
    log({"step": 20, "seconds": 3.0, "loss": 0.5, "lr": 0.25})
    log({"step": 40, "seconds": 5.0, "validation": {"bits": 60.0}})
    log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["training/loss", "training/lr", "validation/bits"]
    assert [(e.step, e.value) for e in events.Scalars("validation/bits")] == [(40, 60.0)]


def test_without_tensorboard_the_option_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(WyckoffkitError, match=r"pip install 'wyckoffkit\[tensorboard\]'"):
        require_tensorboard()
