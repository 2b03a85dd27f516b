"""The checksum of what is read: that of all bytes, whatever runs beside it, and given up with what it is for."""

import hashlib
import threading
import time

import pytest

from undiffuse.errors import UserError
from undiffuse.language_model import checksum as module
from undiffuse.language_model import load
from undiffuse.language_model.checksum import checksum
from undiffuse.language_model.mapped import mapped


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 29])
def test_all_bytes_count(size, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 8)
    content = bytes(range(size))
    with checksum(content) as found:
        assert found() == hashlib.sha256(content).hexdigest()


def test_of_a_mapped_file_beside_other_work(tmp_path):
    (tmp_path / "file").write_bytes(content := bytes(range(256)) * 4096)
    with checksum(mapped(tmp_path / "file")) as found:
        other = hashlib.sha256(content).hexdigest()
    assert found() == other


def test_whoever_leaves_early_does_not_wait(monkeypatch):
    taken = []

    class Slow:
        def update(self, piece):
            taken.append(len(piece))
            time.sleep(0.01)

        def hexdigest(self):
            return ""

    monkeypatch.setattr(module, "PIECE", 1)
    monkeypatch.setattr(module.hashlib, "sha256", Slow)
    with pytest.raises(KeyboardInterrupt), checksum(bytes(10_000)):
        raise KeyboardInterrupt
    assert len(taken) < 10_000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checksum")]


def test_an_interrupted_load_leaves_no_thread(model, tmp_path):
    model.save(tmp_path / "run")

    def interrupted(done, whole):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "run", progress=interrupted)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checksum")]


def test_nothing_is_handed_out_of_a_damaged_file(model, tmp_path):
    """All numbers were read when the last byte turns out to be another."""
    model.save(tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    read = []
    with pytest.raises(UserError, match=f"{weights} is not the file that was saved .*wrong checksum"):
        load(tmp_path / "run", progress=lambda done, whole: read.append(done == whole))
    assert read[-1]


def test_what_is_compared_is_what_is_read(model, tmp_path):
    """An index beside a run, as checkpoints in shards have it, names no other weights."""
    model.save(tmp_path / "run")
    (tmp_path / "run" / "model.safetensors.index.json").write_text('{"weight_map": {"embedding.weight": "other"}}')
    assert load(tmp_path / "run").predictor.process == model.predictor.process
