"""GGUF files as llama.cpp's converters write them, from a directory of the published layout."""

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize

import undiffuse as ud
from undiffuse.models.transformer import Transformer

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def renamed(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem.startswith("model.layers."):
        _, _, layer, rest = stem.split(".", 3)
        return f"blk.{layer}.{NAMES[rest]}.{kind}"
    return f"{NAMES[stem]}.{kind}"


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """What the converter of Llama does to q and k, with the words of llama.cpp."""
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
    )


def write_gguf(
    path: Path,
    architecture: str,
    network: Transformer,
    tensors: dict[str, np.ndarray],
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
    **more: Any,
) -> None:
    """Matrices in one format, everything else in float32; `more` are further keys of the metadata."""
    c = network.config
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(c.depth)
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.width)
    writer.add_feed_forward_length(c.hidden_width)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.groups)
    writer.add_key_length(c.head_width)
    writer.add_value_length(c.head_width)
    writer.add_rope_freq_base(c.rope_base)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    add_metadata(writer, more)
    for name, value in tensors.items():
        theirs = renamed(name)
        heads = {"attn_q": c.heads, "attn_k": c.groups}.get(theirs.split(".")[-2])
        value = permuted(value, heads) if heads and architecture == "llama" else value
        if value.ndim > 1 and kind != GGMLQuantizationType.F32:
            writer.add_tensor(theirs, quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(theirs, value.astype(np.float32))
    finish(writer)


def add_metadata(writer: GGUFWriter, values: dict[str, Any]) -> None:
    for key, value in values.items():
        name = key.replace("__", ".")
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_array(name, value)


def finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tokens_of(model: ud.LanguageModel) -> dict[str, Any]:
    """The metadata of a byte-level tokenizer, as converters write it."""
    content = model.tokenizer.content
    added = {token["content"]: token["id"] for token in content["added_tokens"]}
    rows = {row: text for text, row in {**content["model"]["vocab"], **added}.items()}
    tokens = [rows.get(row, f"[PAD{row}]") for row in range(model.tokenizer.vocabulary.rows)]
    kinds = [
        TokenType.CONTROL if text in added else TokenType.NORMAL if row in rows else TokenType.UNUSED
        for row, text in enumerate(tokens)
    ]
    return {
        "tokenizer__ggml__model": "gpt2",
        "tokenizer__ggml__tokens": tokens,
        "tokenizer__ggml__token_type": [int(kind) for kind in kinds],
        "tokenizer__ggml__merges": [" ".join(pair) for pair in content["model"]["merges"]],
    }
