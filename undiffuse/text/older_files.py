"""What directories held before there was a tokenizer.json, as the content of one: vocab.txt, vocab.json and merges.txt.

Only families whose tokenizer class says the rest are read so: BERT's WordPiece, and RoBERTa's byte-level BPE, which
cuts as GPT-2 does. Both put marks around every text.
"""

import json
from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from ..errors import UserError

Json = Mapping[str, Any]
BERT = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
ROBERTA = {"unk": "<unk>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>"}


def word_pieces(vocabulary: str, settings: Json) -> dict[str, Any]:
    """BERT's, of a `vocab.txt`, one token a line, and the settings of a `tokenizer_config.json`."""
    rows = {token: row for row, token in enumerate(vocabulary.removesuffix("\n").split("\n"))}
    marks = _marks(BERT, settings)
    _check(rows, marks, "vocab.txt")
    if settings.get("do_basic_tokenize") is False:
        raise UserError("tokenizer_config.json: do_basic_tokenize = false is not read: put a tokenizer.json beside it")
    library = tokenizers.Tokenizer(
        models.WordPiece(rows, unk_token=marks["unk"], max_input_chars_per_word=100, continuing_subword_prefix="##")
    )
    library.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=_flag(settings, "tokenize_chinese_chars") is not False,
        strip_accents=_flag(settings, "strip_accents"),
        lowercase=_flag(settings, "do_lower_case") is not False,
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix="##")
    return _marked(library, marks, rows)


def byte_pairs(rows: Json, merges: str, settings: Json) -> dict[str, Any]:
    """RoBERTa's, of a `vocab.json` and a `merges.txt`."""
    marks = _marks(ROBERTA, settings)
    _check(rows, marks, "vocab.json")
    lines = [line for line in merges.splitlines() if line and not line.startswith("#version")]
    pairs = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    try:
        library = tokenizers.Tokenizer(models.BPE(dict(rows), pairs))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"vocab.json and merges.txt do not belong together ({error}); copy both again") from error
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=_flag(settings, "add_prefix_space") is True)
    library.decoder = decoders.ByteLevel()
    return _marked(library, marks, rows)


def _marked(library: tokenizers.Tokenizer, marks: Mapping[str, str], rows: Json) -> dict[str, Any]:
    """With its marks as added tokens, two of them around every text."""
    library.post_processor = processors.TemplateProcessing(
        single=f"{marks['cls']} $A {marks['sep']}",
        special_tokens=[(marks[name], rows[marks[name]]) for name in ("cls", "sep")],
    )
    spaced = marks["mask"] == ROBERTA["mask"]  # takes the space before it along
    listed = [AddedToken(text, lstrip=spaced and name == "mask", normalized=False) for name, text in marks.items()]
    library.add_special_tokens([token for token in listed if token.content in rows])
    return json.loads(library.to_str())


def _marks(usual: Mapping[str, str], settings: Json) -> dict[str, str]:
    found = {}
    for name, text in usual.items():
        said = settings.get(f"{name}_token")
        said = said.get("content") if isinstance(said, Mapping) else said
        found[name] = said if isinstance(said, str) else text
    return found


def _check(rows: Json, marks: Mapping[str, str], where: str) -> None:
    """UserError where what stands for unknown text, or around every text, has no row."""
    for name in ("unk", "cls", "sep"):
        if marks[name] not in rows:
            raise UserError(f"{where} has no {marks[name]!r}, the {name}_token of this tokenizer; copy it again")


def _flag(settings: Json, name: str) -> bool | None:
    value = settings.get(name)
    if value is not None and not isinstance(value, bool):
        raise UserError(f"tokenizer_config.json: {name} must be true or false, not {value!r}")
    return value
