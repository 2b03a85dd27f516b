"""Runs that earlier versions wrote are read, or refused with what to do.

`tests/golden/run_format_1` was stopped at step 13 of 24, in the last version of format 1; `expected.safetensors` holds
the weights in which that version ended.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from undiffuse import load
from undiffuse.errors import UserError
from undiffuse.training.metrics import read_metrics
from undiffuse.training.run import resume
from undiffuse.training.run_directory import FORMAT, RunDirectory

OLD = Path(__file__).parents[1] / "golden" / "run_format_1"


@pytest.fixture
def old(tmp_path) -> Path:
    shutil.copytree(OLD, tmp_path / "run")
    return tmp_path / "run"


def flat(path: Path) -> torch.Tensor:
    return torch.cat([weight.flatten() for _, weight in sorted(load_file(path).items())])


def test_a_run_of_format_1_is_a_run_from_new_weights_and_goes_on_to_where_it_would_have_ended(old):
    run = RunDirectory.open(old)
    assert run.request["format"] == 1 < FORMAT
    assert run.start() is None
    assert run.plan().ends == (24,)
    assert run.configuration.training.train == ("*",)
    before = flat(old / "model.safetensors")
    assert resume(old).complete
    after, expected = flat(old / "model.safetensors"), flat(old / "expected.safetensors")
    # the same bits on the machine that recorded it; elsewhere bfloat16 in Muon rounds its sums otherwise (3.5 % on an
    # AMD EPYC), while steps of other noise end 20 % away
    assert (after - expected).norm() < 0.08 * (expected - before).norm()
    assert [line["step"] for line in read_metrics(old / "metrics.jsonl") if "buckets" in line] == [10, 20, 24]


def test_the_model_of_an_old_run_loads(old):
    model = load(old)
    assert model.manifest["training"]["step"] == 13
    assert model.fill("ab [MASK:2] cd")[0].text.startswith("ab ")


@pytest.mark.parametrize("number", [0, FORMAT + 1, None])
def test_formats_of_other_versions_are_refused_with_what_to_do(old, number):
    request = json.loads((old / "run.json").read_text())
    (old / "run.json").write_text(json.dumps({**request, "format": number}))
    with pytest.raises(UserError, match=rf"run\.json has format {number}, and .* reads 1 to {FORMAT}: use the version"):
        resume(old)
    manifest = json.loads((old / "manifest.json").read_text())
    (old / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(UserError, match="has format 99, and this version of undiffuse reads 1: use the version that"):
        load(old)
