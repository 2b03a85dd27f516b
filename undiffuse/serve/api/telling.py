"""What is said of a job: patches, what was used, and the log-probabilities of its tokens."""

from collections.abc import Sequence
from typing import Any

from ...language_model import LanguageModel
from ...language_model.defaults import answering, filling, generating
from ...language_model.settings import Settings
from ...text.form import SPACE, unspaced
from ..following import Follower, Told
from ..job import Job


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
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "diffusion": work}
    assert job is not None
    work = used["diffusion"]
    work["nfe"] += job.work.nfe
    work["rows_forwarded"] += job.work.rows
    work["committed"] += job.work.committed
    work["tokens_per_forward"] = round(work["committed"] / work["nfe"], 4) if work["nfe"] else None
    used["completion_tokens"] += tokens
    return used


def commits(job: Job, follower: Follower) -> list[dict[str, Any]]:
    """The written tokens in order with `commit` log-probabilities.

    That is ln p of a token in the step that decided it, from the model's distribution over what was allowed there,
    without temperature and filters: what the model thought then. It is no likelihood of the text (/v1/score has that).
    """
    if job.canvas is None:
        return []
    canvas = job.canvas.select(slice(0, 1))
    found = []
    mine = canvas.editable[0] & ~canvas.pending[0] & (canvas.commit_step[0] >= 0)
    for token, logp in zip(canvas.ids[0][mine].tolist(), canvas.commit_logp[0][mine].tolist(), strict=True):
        if token in follower.ends:
            break
        data = follower.model.tokenizer.token_bytes(token)
        found.append({"token": follower.text(token), "logprob": logp, "bytes": list(data)})
    return found
