"""A tiny WordPiece as BERT publishes it: lower case, accents off, [CLS] and [SEP] around every text."""

import json
from functools import cache

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from undiffuse.text.word_pieces import WordPieces
from undiffuse.vocabulary import Vocabulary

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = [
    "The capital of France is Paris, and it isn't small.",
    "The capital of Norway is Oslo (in the north).",
    "A fox jumps over the lazy dog; foxes jumped over lazy dogs - 1234567890!",
    "yes or no? [qwertyuiopasdfghjklzxcvbnm]: 漢字",
]


@cache
def content(cased: bool = False) -> dict:
    """Of its `tokenizer.json`."""
    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(
        TEXT * 3, trainers.WordPieceTrainer(vocab_size=220, special_tokens=SPECIAL, show_progress=False)
    )
    cls, sep = (made.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    return json.loads(made.to_str())


def rows() -> Vocabulary:
    """Of a table with three rows to spare."""
    return Vocabulary(len(content()["model"]["vocab"]) + 3, mask=4, pad=0, reserved=frozenset((1, 2, 3)))


def pieces() -> WordPieces:
    return WordPieces(content(), rows())
