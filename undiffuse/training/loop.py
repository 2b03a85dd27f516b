"""The training loop: batch, loss, gradient, step, average; at times a line of metrics, a validation, a checkpoint."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from ..data.prompt_dropout import drop_prompts
from ..data.source import Source
from ..errors import UserError
from ..kinds import describe
from ..objective.objective import Objective
from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch
from .configuration import TrainingSettings
from .gradients import backward, normalize
from .learning_rate import factor
from .pilot import Pilot
from .plan import Course
from .progress import Progress, Watcher
from .state import TrainingState
from .validation import Validation


@dataclass(frozen=True, eq=False)
class Job:
    """What stays fixed during a run. `weights` are those that are trained.

    `ends` are the steps at which the run and its extensions end, ascending.
    """

    predictor: Predictor
    weights: tuple[nn.Parameter, ...]
    objective: Objective
    source: Source
    validation: Validation
    settings: TrainingSettings
    rows: int
    ends: tuple[int, ...]
    seed: int
    device: torch.device

    @property
    def parameters(self) -> int:
        """Numbers in the network, trained or not."""
        network = self.predictor.denoiser
        assert isinstance(network, nn.Module)
        return sum(parameter.numel() for parameter in network.parameters())

    @property
    def validation_steps(self) -> frozenset[int]:
        """Steps after which to validate: evenly over the run and over each extension, and at their ends."""
        count = self.settings.validations
        starts = (0, *self.ends)
        return frozenset(
            start + max(1, (end - start) * i // count)
            for start, end in zip(starts, self.ends, strict=False)
            for i in range(1, count + 1)
        )


def take_step(job: Job, state: TrainingState) -> None:
    """One optimizer step on one global batch, which its number alone determines."""
    batch = _shown(job, job.source.batch(state.step, job.rows)).to(job.device)
    draws = Draws.seeded(job.seed, job.device).stream("training").at(state.step)
    objective = state.objective.at(min(state.step / job.ends[0], 1.0))
    losses = backward(job.predictor, objective, batch, draws, job.weights, job.settings.accumulation)
    norm = normalize(job.weights, torch.stack([loss.weight for loss in losses]).sum(), job.settings.clip)
    state.optimizer.step(factor(state.step, job.ends, job.settings.warmup, job.settings.decay))
    state.average_weights()
    state.window.add(losses, norm)
    state.step += 1


def _shown(job: Job, batch: Batch) -> Batch:
    """The batch with the prompts that are dropped."""
    share, mask = job.settings.prompt_dropout, job.predictor.process.vocabulary.mask
    if not share:
        return batch
    assert mask is not None
    return drop_prompts(batch, share, mask, Draws.seeded(job.seed).stream("prompt dropout"))


def train(
    job: Job,
    state: TrainingState,
    write: Callable[[Mapping[str, Any]], None],
    save: Callable[[], None],
    watch: Watcher,
    stopping: Callable[[], bool],
    pilot: Pilot | None = None,
) -> None:
    """Takes the steps that are left, or those before `stopping` says to stop.

    `write` takes the records of metrics. `save` writes a checkpoint: it is called at least every `checkpoint_seconds`,
    and at the end either way. `pilot` says where the run ends, if not where the job says. UserError when the loss is no
    longer finite.
    """
    began = before = saved = time.monotonic()
    first, course = state.step, Course(0, job.ends) if pilot is None else pilot.begin(state.step)
    job = replace(job, ends=course.ends)
    shown = Progress("training", first, job.ends[-1], loss_is_bound=job.objective.is_bound)
    while state.step < job.ends[-1] and not stopping():
        last, started = job.ends[-1], time.monotonic()
        take_step(job, state)
        now = time.monotonic()
        state.seconds += now - before
        before = now
        pace = (now - began) / (state.step - first)
        shown = replace(shown, step=state.step, steps=last, seconds=pace * (last - state.step))
        if state.step % job.settings.report_every == 0 or state.step == last:
            line = _line(job, state)
            write(line | {"time": {"seconds": state.seconds, "seconds_per_step": pace}})
            state.window.clear()
            shown = replace(shown, bits_per_byte=line["bits_per_byte"])
        if state.step in job.validation_steps:
            watch(replace(shown, phase="validating"))
            score = job.validation.part(state.average)
            state.objective = job.validation.tuned(job.objective, state.average)
            write({"step": state.step, "validation": score.json(), "objective": describe(state.objective)})
            shown = replace(shown, validation_bits_per_byte=score.bits_per_byte[0])
        watch(shown)
        if pilot is not None and state.step < last:
            to_come = sum(step > state.step for step in job.validation_steps)
            after = pilot.after(state.step, now - started, state.seconds, to_come)
            if after != course:
                course, job = after, replace(job, ends=after.ends)
                began, first = now, state.step  # the pace is that of the course
                write({"step": state.step, "course": asdict(course)})
        if time.monotonic() - saved > job.settings.checkpoint_seconds:
            save()
            saved = time.monotonic()
    save()


def _line(job: Job, state: TrainingState) -> dict[str, Any]:
    """Means over the steps since the line before; the learning rate of the last step, as a share of its peak."""
    nats = state.window.nats_per_token
    if not math.isfinite(nats):
        raise UserError(
            f"the loss is {nats} after step {state.step}, and training cannot go on: start again with a lower learning "
            f"rate (optimizer.lr), or with training.dtype=float32"
        )
    return {
        "step": state.step,
        "tokens": state.step * job.rows * job.source.length,
        "nats_per_token": nats,
        "bits_per_byte": nats / math.log(2) * job.source.tokens / job.source.bytes,
        "buckets": state.window.buckets,
        "learning_rate": factor(state.step - 1, job.ends, job.settings.warmup, job.settings.decay),
        "gradient_norm": state.window.mean_gradient_norm,
    }
