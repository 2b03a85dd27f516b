"""The end of a run: held-out bound, model, manifest and report, from the averaged weights."""

import os
import platform
from dataclasses import asdict
from typing import Any

import torch

from ..data.packing import CLOSING
from ..durable import write_json
from ..kinds import describe
from ..language_model import LanguageModel, adapters
from ..language_model.results import Score
from ..language_model.storage import MANIFEST, write
from ..language_model.voice import KEY
from ..models.lora import LowRank, is_update
from .answered import Answered, answered
from .answers import known_of
from .assembly import Assembly
from .loop import Job
from .plan import Plan
from .report import write_report
from .run_directory import RunDirectory
from .state import TrainingState


def finish(run: RunDirectory, plan: Plan, assembly: Assembly, job: Job, state: TrainingState) -> LanguageModel:
    """Writes report.md and the model; the manifest comes last, and says how many steps the model has seen."""
    score = job.validation.whole(state.average)
    training = _training(run, plan, assembly, job, state, score)
    closing = {"closing": CLOSING} if assembly.configuration.data.apart else {}
    manifest = {**closing, **_conversing(plan, assembly), "training": training}
    model = LanguageModel(assembly.trained(plan, state), assembly.tokenizer, manifest, name=str(run.path))
    changed = _answered(plan, assembly, job, model)
    if changed is not None:
        training["perplexity"] = {"kind": changed.kind, "before": changed.before, "after": changed.after}
    write_report(run, model, training, changed)
    (run.path / MANIFEST).unlink(missing_ok=True)  # an older one must never describe newer weights
    if assembly.adapters and assembly.start is not None:
        write_json(run.path / MANIFEST, {**manifest, "adapter": _adapter(run, plan, assembly, state)})
    else:
        write(model.trained, run.path)
    return model


def _answered(plan: Plan, assembly: Assembly, job: Job, model: LanguageModel) -> Answered | None:
    """What the run made of the answers of what it started from."""
    if assembly.start is None or not all(document.answers for document in assembly.valid.documents):
        return None
    predictor = assembly.begun(plan)
    begun = LanguageModel(predictor, assembly.tokenizer, model.manifest, name=assembly.start.name)
    return answered(assembly, plan.configuration.context, begun, job.validation.of(predictor), model)


def _conversing(plan: Plan, assembly: Assembly) -> dict[str, Any]:
    """How the model takes part in conversations: as it learned to, or as what it started from does."""
    found: dict[str, Any] = {}
    if any(document.answers for document in assembly.train.documents):
        canvas = assembly.answering(plan.configuration.context).canvas
        found = {"answer": canvas} if canvas else {}
    chat = assembly.chat or (None if assembly.start is None else known_of(assembly.start))
    return {**({} if chat is None else {KEY: dict(chat)}), **found}


def _adapter(run: RunDirectory, plan: Plan, assembly: Assembly, state: TrainingState) -> dict[str, Any]:
    """Writes the adapter's files; what the manifest says of it."""
    assert assembly.start is not None
    network = assembly.updated(plan, state)
    update = assembly.adapters[0]
    assert isinstance(update, LowRank)
    beside = {name: value for name, value in state.average.items() if not is_update(name)}
    return adapters.write(assembly.start.model, network, update, run.path, run.request["start"], beside)


def _training(
    run: RunDirectory, plan: Plan, assembly: Assembly, job: Job, state: TrainingState, score: Score
) -> dict[str, Any]:
    """What the manifest says about the run."""
    request = run.request
    train, valid = run.text
    return {
        "step": state.step,
        "ends": list(plan.ends),
        "courses": [asdict(course) for course in plan.courses],
        "seconds": round(state.seconds, 1),
        "tokens": state.step * job.rows * job.source.length,
        "epochs": state.step * job.rows / assembly.datasets(plan.configuration.context)[0].rows,
        "bound": score.json(),
        "loss_is_bound": job.objective.is_bound,
        "objective": describe(state.objective),
        "configuration": plan.configuration.to_dict(),
        "start": request.get("start"),
        "revision": request.get("revision"),
        "recipe": request["recipe"],
        "budget": request["budget"],
        "seed": request["seed"],
        "files": request["files"],
        "text": {
            part: {"documents": len(corpus.documents), "bytes": corpus.bytes, "sha256": corpus.digest}
            for part, corpus in (("train", train), ("valid", valid))
        },
        "parameters": job.parameters,
        "machine": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "device": request["device"],
            "threads": torch.get_num_threads(),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
