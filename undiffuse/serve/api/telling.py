"""What is said of a job: patches, what was used, and the log-probabilities of its tokens."""

import math
from collections.abc import Sequence
from typing import Any

from ...language_model import LanguageModel
from ...language_model.defaults import answering, filling, generating
from ...language_model.settings import Settings
from ...text.form import SPACE, unspaced
from ..following import Follower, Told
from ..job import Job
from . import calls


def follower_of(
    model: LanguageModel,
    options: dict[str, Any],
    stops: Sequence[str] = (),
    patches: bool = False,
    *,
    prompt: str = "",
    prefix: bool = True,
    chat: bool = False,
    fill: bool = False,
) -> Follower:
    """A follower for a call with these options. UserError for those that no strategy has."""
    given = dict(options)
    kind, heat = given.pop("strategy", None), given.pop("temperature", None)
    samples = given.pop("samples", 1)
    if fill:
        kind, heat = filling(model.predictor, kind, heat, samples)
        settings = Settings.of(kind, temperature=heat, **given)
    else:
        own: dict[str, Any] = {name: given.pop(name) for name in ("seed", "steps") if name in given}
        choose = answering if chat else generating
        named, chosen = choose(model.trained, kind, {"temperature": heat, **given})
        settings = Settings.of(named, **own, **chosen)
    vocabulary = model.tokenizer.vocabulary
    ends = set(model.trained.voice.stops) if chat else {vocabulary.eos}
    cut = SPACE if (model.tokenizer.spaced if chat else unspaced(prompt, model.tokenizer)) else ""
    return Follower(
        model,
        revocable=settings.strategy.revocable,
        patches=patches,
        prefix=prefix,
        stops=stops,
        ends=frozenset(row for row in ends if row is not None),
        cut=cut,
    )


def patches_of(told: Told) -> dict[str, Any]:
    """What a step changed, for the page and for clients that asked."""
    head = {"step": told.step, "nfe": told.nfe, "pending": told.pending, "part": told.part, "begins": told.begins}
    return {**head, "patches": [told.patches[place] for place in sorted(told.patches)]}


def usage(used: dict[str, Any] | None = None, job: Job | None = None, tokens: int = 0) -> dict[str, Any]:
    """What was used so far, with a job more."""
    if used is None:
        work = {"nfe": 0, "rows_forwarded": 0, "committed": 0, "tokens_per_forward": None}
        found = {"prompt_tokens_details": {"cached_tokens": 0}, "diffusion": work}
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, **found}
    assert job is not None
    work = used["diffusion"]
    work["nfe"] += job.work.nfe
    work["rows_forwarded"] += job.work.rows
    work["committed"] += job.work.committed
    work["tokens_per_forward"] = round(work["committed"] / work["nfe"], 4) if work["nfe"] else None
    used["completion_tokens"] += tokens
    used["prompt_tokens_details"]["cached_tokens"] += job.work.shared
    return used


def written(asked: calls.Wanted, follower: Follower) -> list[dict[str, Any]]:
    """The written tokens in order with their log-probabilities."""
    return [
        {"token": follower.text(token), "logprob": logp, "bytes": list(follower.model.tokenizer.token_bytes(token))}
        for part in asked.found
        for token, logp in zip(part.tokens, part.log_p, strict=True)
    ]


def named(asked: calls.Wanted) -> dict[str, Any]:
    """What the numbers are; of several parts each is an estimate of its own, and the errors add as of independent."""
    facts = [part.facts for part in asked.found if part.facts]
    if not facts:
        return {"definition": asked.name}
    errors = [each["stderr"] for each in facts]
    stderr = None if None in errors else math.sqrt(sum(float(error or 0) ** 2 for error in errors))
    return {"definition": asked.name, **facts[0], "stderr": stderr}
