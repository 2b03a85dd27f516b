"""One of two processes that train a network whose parameters are spread over both (FSDP2); a program of its own.

`sharded.py RANK FOLDER`: three steps, a checkpoint, and one step from that checkpoint. Both read the same batches, so
the mean of their gradients is that of one process.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from test_optimizer import backward, network
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from undiffuse.objective.bound import Bound
from undiffuse.training import checkpoint
from undiffuse.training.gradients import normalize
from undiffuse.training.optimizers.adamw import AdamW
from undiffuse.training.sharding import local
from undiffuse.training.state import TrainingState


def built(shard: bool) -> tuple[torch.nn.Module, TrainingState]:
    model = network()
    if shard:
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for name in ("trunk", "head"):
            register_fsdp_forward_method(model, name)
        assert all(isinstance(p, DTensor) for p in model.parameters())
    return model, TrainingState(AdamW().build(model), 0.9, Bound())


def steps(model: torch.nn.Module, state: TrainingState, count: int) -> None:
    for _ in range(count):
        backward(model, state.step)
        state.window.add([], normalize(tuple(model.parameters()), torch.tensor(2.0), 0.1))
        state.optimizer.step(1.0)
        state.average_weights()
        state.step += 1


def saved(state: TrainingState, folder: Path) -> checkpoint.Checkpoint:
    """Three steps' worth, as it comes back from the disk."""
    checkpoint.save(folder, checkpoint.Checkpoint(state.step, state.tensors(), {}))
    found = checkpoint.load_latest(folder)
    assert found is not None
    return found


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    model, state = built(shard=True)
    steps(model, state, 3)
    found = saved(state, folder / str(rank))
    again, resumed = built(shard=True)
    resumed.load(3, 0.0, found.tensors)
    steps(model, state, 1)
    steps(again, resumed, 1)
    for name, tensor in state.tensors().items():
        other = resumed.tensors()[name]
        assert torch.equal(local(tensor), local(other)), name
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
