"""A small causal model with random weights, and what it says of texts by the chain rule, one pass for each length."""

import itertools
import math

import torch

from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.codec import Codec

MASK = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}


def causal(tokenizer: Codec, context: int = 24, offset: int = 0) -> LanguageModel:
    """Given the token before each position, as recipe `ar` is; or, with an offset of −1, as published models are."""
    torch.manual_seed(3)
    config = TransformerConfig(
        rows=tokenizer.vocabulary.rows, width=16, depth=2, heads=2, context=context, causal=True, output_offset=offset
    )
    network = Transformer(config).requires_grad_(False)
    for name, weight in network.named_parameters():
        if "out" in name or "unembedding" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return LanguageModel(Predictor(network, build_process(MASK, tokenizer.vocabulary), "leave_one_out"), tokenizer, {})


def nats(model: LanguageModel, rows: list[list[int]], after: int) -> list[float]:
    """ln p of the tokens of each row from one on, each given those before; rows of one length share a pass."""
    found = {}
    for size in {len(row) for row in rows}:
        ids = torch.tensor([row for row in rows if len(row) == size])
        log_p = model.logits(ids).double()
        log_p[..., list(model.tokenizer.vocabulary.unpredictable)] = -math.inf
        each = log_p.log_softmax(-1).gather(-1, ids[..., None])[:, after:, 0].sum(-1).tolist()
        found |= dict(zip(map(tuple, ids.tolist()), each, strict=True))
    return [found[tuple(row)] for row in rows]


def words(*sizes: int) -> list[str]:
    return ["".join(each) for size in sizes for each in itertools.product("abc", repeat=size)]


def law(model: LanguageModel, before: str, fills: list[str], after: str) -> dict[str, float]:
    """p(fill | before, after, it is one of these)."""
    each = nats(model, [model.tokenizer.encode(before + fill + after) for fill in fills], len(before))
    return dict(zip(fills, torch.tensor(each, dtype=torch.float64).softmax(0).tolist(), strict=True))
