"""Parameters that are spread over devices: norms, optimizer steps, averages and checkpoints are those of whole ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from sharded import built, saved, steps
from test_optimizer import network
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from undiffuse.errors import UserError
from undiffuse.training import checkpoint
from undiffuse.training.optimizers.muon import Muon
from undiffuse.training.sharding import norm, put, whole
from undiffuse.training.validation import take

PROGRAM = Path(__file__).with_name("sharded.py")


@pytest.fixture
def alone():
    """A group of one process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_end_where_one_does_and_resume_from_their_checkpoint(tmp_path):
    command = [sys.executable, "-W", "error", PROGRAM]
    both = [
        subprocess.Popen([*command, str(rank), tmp_path], env=os.environ, stderr=subprocess.PIPE) for rank in range(2)
    ]
    for process in both:
        message = process.communicate(timeout=120)[1].decode()
        assert process.returncode == 0, message
    _, state = one = built(shard=False)
    steps(*one, 3)
    expected = saved(state, tmp_path / "one").tensors
    for rank in range(2):
        found = checkpoint.load_latest(tmp_path / str(rank))
        assert found is not None
        assert found.tensors.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found.tensors[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_a_spread_tensor_is_written_and_read_whole(alone):
    mesh = init_device_mesh("cpu", (1,))
    content = torch.arange(12.0).view(4, 3)
    spread = distribute_tensor(torch.zeros(4, 3), mesh, [Shard(0)])
    put(spread, content)
    assert torch.equal(whole(spread), content)
    assert norm([spread, torch.tensor([2.0])]) == torch.cat([content.flatten(), torch.tensor([2.0])]).norm()
    module = torch.nn.Linear(3, 4, bias=False)
    take(module, {"weight": spread})
    assert torch.equal(module.weight, content)


def test_muon_says_that_it_needs_whole_matrices(alone):
    from torch.distributed.fsdp import fully_shard

    model = network()
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(UserError, match="'muon' needs whole matrices, and these are spread over devices; use 'adamw'"):
        Muon().build(model)
