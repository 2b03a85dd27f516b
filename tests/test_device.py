"""Names of devices, and the one that is taken where none is named."""

import pytest
import torch

from undiffuse.device import device_of
from undiffuse.errors import UserError


@pytest.mark.parametrize("name", [None, "auto"])
@pytest.mark.parametrize(("gpu", "found"), [(False, "cpu"), (True, "cuda")])
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, name, gpu, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert device_of(name) == torch.device(found)


def test_a_device_that_is_there_stays_what_it_is():
    assert device_of(torch.device("cpu")) == device_of("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mps", "device mps: Apple's GPUs have no float64"),
        ("cudda", "device cudda: there is no such device; did you mean 'cuda'"),
        ("cuda:x", "device cuda:x: there is no such device"),
        ("cpu:7", "device cpu:7: this machine has 1 cpu devices; use cpu"),
        (torch.device("cuda:99"), "device cuda:99: this machine has"),
        (7, "device must be a name such as 'cuda', not 7"),
    ],
)
def test_others_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        device_of(name)
