"""A small model with random weights in float64: batches of other shapes round otherwise, and that changes no token."""

import torch

from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.tokenizer import Tokenizer

TEXT = "The quick brown fox jumps over the lazy dog. Größe, naïve — 漢字 and emoji 🙂 too.\n" * 30
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


def model() -> LanguageModel:
    tokenizer = Tokenizer.train([TEXT], 320)
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=32))
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    spec = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}
    process = build_process(spec, tokenizer.vocabulary)
    predictor = Predictor(network.double().requires_grad_(False), process, "leave_one_out")
    return LanguageModel(predictor, tokenizer, {}).with_template(TEMPLATE)


def causal() -> LanguageModel:
    """One that reads from the left alone."""
    tokenizer = Tokenizer.train([TEXT], 300)
    torch.manual_seed(1)
    config = TransformerConfig(rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=32, causal=True)
    network = Transformer(config).double()
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    process = build_process(
        {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}, tokenizer.vocabulary
    )
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


MODEL = model()
