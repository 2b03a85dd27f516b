"""Tiny networks of transformers' own classes, every parameter random, and what they say: an oracle for our layouts.

Run as a program it writes the recorded ones of tests/golden again: python tests/language_model/theirs.py FAMILY…
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).parents[1] / "golden"
LENGTH, NEW = 40, 16
SHAPE = {
    "vocab_size": 272,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 48,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 258,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("Qwen2", {"rope_theta": 1e4, "rms_norm_eps": 1e-6}),
    "qwen3": ("Qwen3", {"head_dim": 16, "rope_theta": 1e6, "tie_word_embeddings": True}),
    "llama": ("Llama", {"rope_theta": 5e5, "rms_norm_eps": 1e-5}),
}
"""The name of the class, and what its config says beside the shape."""


def network(family: str, **changes: Any) -> Any:
    """A causal network of transformers: norms around 1, everything else wide enough that mistakes show."""
    import transformers

    name, own = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**{**SHAPE, **own, **changes})
    torch.manual_seed(3)
    made = getattr(transformers, f"{name}ForCausalLM")(config).eval().requires_grad_(False)
    for key, value in made.state_dict().items():
        if value.is_floating_point():
            norm = key.endswith("norm.weight")
            value.normal_(float(norm), 0.15 if norm or key.endswith("bias") else 1.5 * value.shape[-1] ** -0.5)
    return made


def ids_of(rows: int = 2, length: int = LENGTH, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(seed))


def continued(model: Any, prompt: Tensor, count: int) -> Tensor:
    """The most probable next token, again and again, without a cache."""
    for _ in range(count):
        prompt = torch.cat((prompt, model(prompt).logits[:, -1:].argmax(-1)), dim=1)
    return prompt


def tokenizer(start: bool) -> dict[str, Any]:
    """A `tokenizer.json` of single bytes, as byte-level BPE spells them, that may put a start symbol before a text."""
    from undiffuse.text.tokenizer import BYTE_OF

    spelled = {byte: text for text, byte in BYTE_OF.items()}
    special = ["<start>", "<end>", "<pad>"]
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<start>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<start>": {"id": "<start>", "ids": [256], "tokens": ["<start>"]}},
    }
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 256 + n, "content": text, **flags} for n, text in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": template if start else None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {spelled[byte]: byte for byte in range(256)}, "merges": []},
    }


def record(family: str) -> None:
    """Checkpoint, logits and a greedy continuation into tests/golden."""
    from transformers import __version__

    directory = ROOT / family
    shutil.rmtree(directory, ignore_errors=True)
    model, ids = network(family), ids_of()
    model.save_pretrained(directory / "checkpoint")
    (directory / "checkpoint" / "generation_config.json").unlink(missing_ok=True)
    (directory / "checkpoint" / "tokenizer.json").write_text(json.dumps(tokenizer(family == "llama")))
    prompt = ids[:, :11].contiguous()
    save_file(
        {
            "forward.input_ids": ids,
            "forward.logits": model(ids).logits.contiguous(),
            "decode.greedy.prompt_ids": prompt,
            "decode.greedy.sequence": continued(model, prompt, NEW),
        },
        directory / "expected.safetensors",
    )
    about = {
        "family": family,
        "reference": f"transformers {__version__}, {type(model).__name__}, torch {torch.__version__}, float32",
        "forward": "raw logits: row i speaks of position i + 1",
        "tolerances": {"logits_atol": 1e-4},
        "decode_runs": {"greedy": {"settings": {"max_new_tokens": NEW}}},
    }
    (directory / "fixture.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        record(each)
