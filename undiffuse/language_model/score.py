"""The likelihood of texts."""

from typing import TYPE_CHECKING

from ..errors import UserError
from ..likelihood.bound import PASSES, REPETITIONS, bound
from ..likelihood.windows import windows
from .results import Score, TokenScore

if TYPE_CHECKING:
    from .model import LanguageModel


def score(
    model: "LanguageModel",
    texts: list[str],
    draws: int | None,
    precision: float | None,
    per_token: bool,
    seed: int,
) -> Score:
    """See `LanguageModel.score`."""
    documents = [model.tokenizer.encode(text) for text in texts]
    if not any(documents):
        raise UserError("there is nothing to score: the text is empty")
    batch = windows(documents, model.context).to(model.device)
    estimate = bound(
        model.predictor,
        batch,
        draws=REPETITIONS * PASSES if draws is None else draws,
        precision=precision,
        seed=seed,
    )
    tokens: tuple[TokenScore, ...] = ()
    if per_token:
        ids = (token for document in documents for token in document)
        tokens = tuple(
            TokenScore(model.tokenizer.decode([token]), nats)
            for token, nats in zip(ids, estimate.per_token.tolist(), strict=True)
        )
    return Score(estimate, sum(len(text.encode()) for text in texts), tokens)
