"""The end of a run: held-out bound, model, manifest and report, from the averaged weights."""

import os
import platform
from dataclasses import asdict
from typing import Any

import torch

from ..data.packing import CLOSING
from ..kinds import describe
from ..language_model import LanguageModel
from ..language_model.results import Score
from ..language_model.storage import MANIFEST, write
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
    manifest = {**closing, "training": training}
    model = LanguageModel(assembly.trained(plan, state), assembly.tokenizer, manifest, name=str(run.path))
    write_report(run, model, training)
    (run.path / MANIFEST).unlink(missing_ok=True)  # an older one must never describe newer weights
    write(model.trained, run.path)
    return model


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
