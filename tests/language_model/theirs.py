"""Tiny networks of transformers' own classes, every parameter random, and what they say: an oracle for our layouts.

Run as a program it writes the recorded ones of tests/golden again: python tests/language_model/theirs.py FAMILY…
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
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
MOE = {"head_dim": 16, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 24, "mlp_only_layers": [0]}


@dataclass(frozen=True)
class Theirs:
    """A class of transformers by its name, and what its config says beside the shape.

    With `full` attention its causal mask is left out. `stored` makes of the config one of a family that has the tensors
    of this class and keys of its own.
    """

    name: str
    own: dict[str, Any]
    full: bool = False
    stored: Callable[[dict[str, Any]], dict[str, Any]] | None = None


def _renamed(kind: str, name: str, **more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda config: {**config, "model_type": kind, "architectures": [name], "mask_token_id": 270, **more}


def _llada_moe(config: dict[str, Any]) -> dict[str, Any]:
    """The words of LLaDA-MoE for those of Qwen3."""
    inner, dense = config.pop("moe_intermediate_size"), config.pop("mlp_only_layers")
    for word in ("decoder_sparse_step", "intermediate_size", "num_local_experts", "norm_topk_prob"):
        config.pop(word, None)
    return {
        **_renamed("lladamoe", "LLaDAMoEModelLM")(config),
        "num_experts": MOE["num_experts"],
        "expert_intermediate_size": inner,
        "dense_intermediate_size": SHAPE["intermediate_size"],
        "shared_expert_intermediate_size": None,
        "moe_layer_freq": [int(layer not in dense) for layer in range(config["num_hidden_layers"])],
        "qk_layernorm": True,
    }


FAMILIES = {
    "qwen2": Theirs("Qwen2", {"rope_theta": 1e4, "rms_norm_eps": 1e-6}),
    "qwen3": Theirs("Qwen3", {"head_dim": 16, "rope_theta": 1e6, "tie_word_embeddings": True}),
    "llama": Theirs("Llama", {"rope_theta": 5e5, "rms_norm_eps": 1e-5}),
    "qwen3-moe": Theirs("Qwen3Moe", {**MOE, "norm_topk_prob": True}),
    "llada-moe": Theirs("Qwen3Moe", {**MOE, "norm_topk_prob": False}, full=True, stored=_llada_moe),
    "illada": Theirs(
        "Llama",
        {"tie_word_embeddings": True},
        full=True,
        stored=_renamed("illada", "ILLaDAForCausalLM", layer_norm_eps=None),
    ),
    "llada-repack": Theirs("Llama", {"rope_theta": 5e5}, full=True, stored=_renamed("llada", "LLaDAModelLM")),
    "open-dcoder": Theirs("Qwen2", {"tie_word_embeddings": True}, full=True),
}
CAUSAL = ("qwen2", "qwen3", "llama", "qwen3-moe")


def network(family: str, **changes: Any) -> Any:
    """A causal network of transformers: norms around 1, everything else wide enough that mistakes show."""
    import transformers

    theirs = FAMILIES[family]
    config = getattr(transformers, f"{theirs.name}Config")(**{**SHAPE, **theirs.own, **changes})
    torch.manual_seed(3)
    made = getattr(transformers, f"{theirs.name}ForCausalLM")(config).eval().requires_grad_(False)
    for key, value in made.state_dict().items():
        if value.is_floating_point():
            norm = "norm" in key
            value.normal_(float(norm), 0.15 if norm or key.endswith("bias") else 1.5 * value.shape[-1] ** -0.5)
    return made


def ids_of(rows: int = 2, length: int = LENGTH, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(seed))


def logits_of(family: str, model: Any, ids: Tensor) -> Tensor:
    """Raw logits of every row; where a family sees everything, without the causal mask."""
    if not FAMILIES[family].full:
        return model(ids).logits
    nothing = torch.zeros(len(ids), 1, ids.shape[1], ids.shape[1])
    found, changed = model(ids, attention_mask=nothing).logits, ids.clone()
    changed[:, -1] += 1
    assert (model(changed, attention_mask=nothing).logits - found)[:, 0].abs().max() > 0.1  # every row sees the last
    return found


def save(family: str, model: Any, directory: Path) -> None:
    """A directory as the family publishes it."""
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    if (stored := FAMILIES[family].stored) is not None:
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps(stored(config), indent=1))


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
    save(family, model, directory / "checkpoint")
    tensors = {"forward.input_ids": ids, "forward.logits": logits_of(family, model, ids).contiguous()}
    if family in CAUSAL:
        (directory / "checkpoint" / "tokenizer.json").write_text(json.dumps(tokenizer(family == "llama")))
        prompt = ids[:, :11].contiguous()
        tensors |= {"decode.greedy.prompt_ids": prompt, "decode.greedy.sequence": continued(model, prompt, NEW)}
    save_file(tensors, directory / "expected.safetensors")
    about = {
        "family": family,
        "reference": f"transformers {__version__}, {type(model).__name__}, torch {torch.__version__}, float32",
        "forward": "raw logits" + (", without the causal mask" if FAMILIES[family].full else ""),
        "tolerances": {"logits_atol": 1e-4},
        "decode_runs": {"greedy": {"settings": {"max_new_tokens": NEW}}} if family in CAUSAL else {},
    }
    (directory / "fixture.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        record(each)
