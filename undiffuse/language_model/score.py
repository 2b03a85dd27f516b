"""The likelihood of texts."""

from ..decode.evaluation import Evaluated
from ..errors import UserError, not_finite
from ..likelihood.bound import bounded
from ..likelihood.convention import convention_of
from ..likelihood.windows import cut, windows
from ..randomness import check_seed
from .arguments import real, whole
from .results import Score, TextScore, TokenScore
from .trained import Trained


def score(
    model: Trained,
    texts: list[str],
    prompts: list[str | None],
    draws: int | None,
    precision: float | None,
    per_token: bool,
    seed: int,
    as_: str | None,
) -> Evaluated[Score]:
    """See `LanguageModel.score`."""
    draws = None if draws is None else whole("draws", draws)
    precision = None if precision is None else real("precision", precision)
    seed = check_seed(seed)
    if as_ is not None and not isinstance(as_, str):
        raise UserError(f"a convention is named by a string, not {as_!r}")
    convention = None if as_ is None else convention_of(as_)
    if len(prompts) != len(texts):
        raise UserError(f"{len(texts)} texts cannot follow {len(prompts)} prompts: give one prompt, or None, for each")
    for text in (*texts, *filter(None, prompts)):
        if not isinstance(text, str):
            raise UserError(f"texts and prompts must be strings, not {text!r}")
    codecs = [model.tokenizer.continuing if prompt else model.tokenizer for prompt in prompts]
    pieces = [codec.pieces(text) for codec, text in zip(codecs, texts, strict=True)]
    documents = [[row for row, _ in each] for each in pieces]
    traits = model.predictor.traits
    led = traits.first_given or (traits.floating and bool(model.begins))
    if not any(documents):
        raise UserError("there is nothing to score: the text is empty")
    before = [model.begins + model.tokenizer.context(prompt or "") for prompt in prompts]
    for number, (prompt, ids, given) in enumerate(zip(before, documents, prompts, strict=True), start=1):
        if given and len(prompt) + len(ids) > model.room:
            raise UserError(
                f"text {number} takes {len(ids)} tokens after a prompt of {len(prompt)}, and the model was trained on "
                f"{model.room}: shorten or leave out this record, or use a model with a longer context"
            )
    joined = [prompt + ids for prompt, ids in zip(before, documents, strict=True)]
    conditions = [len(prompt) if text else 0 for prompt, text in zip(before, prompts, strict=True)]
    around = model.around.before, model.around.after
    batch = windows(joined, model.room, conditions, led, around).to(model.device)
    if led and not bool(batch.editable.any()):
        raise UserError(
            "there is nothing to score: this model has no start symbol, so the first token of a text is a condition; "
            "give a longer text, or a prompt"
        )
    estimate = yield from bounded(
        model.predictor,
        batch,
        draws=draws,
        precision=precision,
        seed=seed,
        convention=convention,
    )
    if bool(estimate.per_token.isnan().any()):
        raise not_finite(model.predictor.denoiser.number_format)
    per_text, row = [], 0
    # a first token that nothing stands before is neither scored nor counted
    skipped = [int(led and not prompt) for prompt in before]
    for text, found, taken, condition, first in zip(texts, pieces, joined, conditions, skipped, strict=True):
        rows = 1 if condition else len(cut(len(taken), model.room, led))
        nats, stderr = estimate.of_rows(row, row := row + rows)
        size = len(text.encode()) - sum(len(data) for _, data in found[:first])
        per_text.append(TextScore(nats, stderr, len(found[first:]), size))
    tokens: tuple[TokenScore, ...] = ()
    if per_token:
        scored = (data for found, first in zip(pieces, skipped, strict=True) for _, data in found[first:])
        tokens = tuple(
            TokenScore(data.decode(errors="replace"), nats)
            for data, nats in zip(scored, estimate.per_token.tolist(), strict=True)
        )
    size = sum(text.bytes for text in per_text)
    return Score(estimate, size, tokens, sum(map(bool, prompts)), convention, tuple(per_text))
