"""Texts as vectors: the mean of what the network makes of their tokens."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..decode.evaluation import Evaluate, Evaluated
from ..errors import UserError
from ..models.transformer import Transformer
from ..types import Rows, State, Tags
from .arguments import plain
from .many import batches, each
from .trained import Trained


@torch.no_grad()
def embed(model: Trained, texts: Sequence[str], layer: int) -> Evaluated[Float[Tensor, "N D"]]:
    """See `LanguageModel.embed`."""
    network = model.trunk("asked for vectors of texts")
    depth = network.config.depth
    layer = plain("layer", int, layer)
    if isinstance(layer, bool) or not -depth - 1 <= layer <= depth:
        raise UserError(f"layer must lie between {-depth - 1} and {depth} (0: the embeddings), not {layer!r}")
    ids = each(texts, lambda text: _ids(model, text))
    found = torch.zeros(len(ids), network.config.width)
    for together in batches([len(text) for text in ids], [1] * len(ids)):
        part = [ids[number] for number in together]
        live = pad_sequence([torch.ones_like(text, dtype=torch.bool) for text in part], batch_first=True)
        yield Evaluate(int(live.sum()))
        hidden = _hidden(network, _rows(model, pad_sequence(part, batch_first=True), live), layer % (depth + 1))
        weights = live.to(hidden.device).float()[..., None]
        found[together] = ((hidden.float() * weights).sum(1) / weights.sum(1)).cpu()
    return found


def _ids(model: Trained, text: str) -> Tensor:
    ids = model.tokenizer.context(text)
    if not ids:
        raise UserError("an empty text has no vector")
    if len(ids) > model.room:
        raise UserError(f"the text has {len(ids)} tokens, and the model was trained on {model.room}: embed parts of it")
    return torch.tensor([*model.around.before, *ids, *model.around.after])


def _rows(model: Trained, ids: Tensor, live: Tensor) -> Rows:
    """Clean texts, which nobody may change."""
    ids, live = ids.to(model.device), live.to(model.device)
    tags = Tags(torch.arange(ids.shape[1], device=ids.device).expand_as(ids), live=live)
    clean = torch.zeros(ids.shape, dtype=torch.float64, device=ids.device)
    return model.predictor.rows(State(ids), clean, tags, torch.zeros_like(live))


def _hidden(network: Transformer, rows: Rows, layer: int) -> Tensor:
    """What enters a layer, or what the last one gives, normalized."""
    entered: list[Tensor] = []
    if layer == network.config.depth:
        return network.trunk(rows)
    hook = network.blocks[layer].register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    try:
        network.trunk(rows)
    finally:
        hook.remove()
    return entered[0]
