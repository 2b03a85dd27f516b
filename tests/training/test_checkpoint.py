import errno
import os
import shutil

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.training.checkpoint import Checkpoint, load_latest, save


def made(step: int) -> Checkpoint:
    tensors = {
        "a": torch.full((3,), float(step)),
        "b": torch.tensor([step], dtype=torch.bfloat16),
        "c": torch.zeros(()),
    }
    return Checkpoint(step, tensors, {"metrics": 10 * step})


def test_the_newest_comes_back_and_two_are_kept(tmp_path):
    assert load_latest(tmp_path) is None
    for step in (9, 10, 100):
        save(tmp_path, made(step))
    found = load_latest(tmp_path)
    assert (found.step, found.facts) == (100, {"metrics": 1000})
    assert found.tensors.keys() == made(100).tensors.keys()
    for name, tensor in made(100).tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000010", "step-000000100"]


@pytest.mark.parametrize("flush", range(1, 5))
def test_a_full_disk_leaves_the_checkpoints_before(tmp_path, monkeypatch, flush):
    save(tmp_path, made(1))
    count = iter(range(1, 100))

    def full(descriptor: int) -> None:
        if next(count) == flush:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*step-000000002: No space left on device; what was there"):
        save(tmp_path, made(2))
    monkeypatch.undo()
    if flush < 4:  # the fourth flush is that of the parent, after the rename: the checkpoint is there already
        assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
        assert load_latest(tmp_path).step == 1


@pytest.mark.parametrize("damage", ["truncated", "other", "no state"])
def test_damage_is_noticed(tmp_path, damage):
    save(tmp_path, made(1))
    save(tmp_path, made(2))
    newest = tmp_path / "step-000000002"
    if damage == "truncated":
        content = (newest / "tensors.safetensors").read_bytes()
        (newest / "tensors.safetensors").write_bytes(content[:-1])
    elif damage == "other":
        shutil.copy(tmp_path / "step-000000001" / "tensors.safetensors", newest)
    else:
        (newest / "state.json").write_text("[]")
    with pytest.raises(
        UserError, match=r"step-000000002 is damaged .*: delete that directory to go on from the one bef"
    ):
        load_latest(tmp_path)
