"""The likelihood of texts."""

from ..errors import UserError, not_finite
from ..likelihood.bound import bound
from ..likelihood.convention import convention_of
from ..likelihood.windows import windows
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
) -> Score:
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
    documents = [model.tokenizer.encode(text) for text in texts]
    if not any(documents):
        raise UserError("there is nothing to score: the text is empty")
    before = [model.tokenizer.encode(prompt or "") for prompt in prompts]
    for number, (prompt, ids) in enumerate(zip(before, documents, strict=True), start=1):
        if prompt and len(prompt) + len(ids) > model.context:
            raise UserError(
                f"text {number} takes {len(ids)} tokens after a prompt of {len(prompt)}, and the model was trained on "
                f"{model.context}: shorten or leave out this record, or use a model with a longer context"
            )
    joined = [prompt + ids for prompt, ids in zip(before, documents, strict=True)]
    batch = windows(joined, model.context, [len(prompt) for prompt in before]).to(model.device)
    estimate = bound(
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
    for text, ids, taken in zip(texts, documents, joined, strict=True):
        nats, stderr = estimate.of_rows(row, row := row + -(-len(taken) // model.context))
        per_text.append(TextScore(nats, stderr, len(ids), len(text.encode())))
    tokens: tuple[TokenScore, ...] = ()
    if per_token:
        scored = (token for document in documents for token in document)
        tokens = tuple(
            TokenScore(model.tokenizer.decode([token]), nats)
            for token, nats in zip(scored, estimate.per_token.tolist(), strict=True)
        )
    size = sum(text.bytes for text in per_text)
    return Score(estimate, size, tokens, sum(map(bool, before)), convention, tuple(per_text))
