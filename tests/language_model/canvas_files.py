"""A tiny DiffusionGemma as its family publishes it, made from the names and shapes of its layout: no transformers."""

import json
from pathlib import Path
from typing import Any

import theirs
import torch
from safetensors.torch import save_file

from undiffuse.models.diffusion_gemma import DiffusionGemma
from undiffuse.models.family import Keys

ROWS, CANVAS, WINDOW = 272, 16, 6
TEXT = {
    "model_type": "diffusion_gemma_text",
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "per_layer_config": {"2": {"head_dim": 16, "num_key_value_heads": 1}},
    "max_position_embeddings": 128,
    "sliding_window": WINDOW,
    "num_experts": 4,
    "top_k_experts": 2,
    "moe_intermediate_size": 16,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "final_logit_softcapping": 20.0,
    "bos_token_id": 256,
    "eos_token_id": [257, 259],
    "pad_token_id": 258,
}
VISION = {
    "model_type": "gemma4_vision",
    **dict.fromkeys(("hidden_size", "intermediate_size"), 16),
    **dict.fromkeys(("head_dim", "global_head_dim"), 8),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads"), 2),
    "num_hidden_layers": 1,
}


def config(**changes: Any) -> dict[str, Any]:
    return {
        "architectures": ["DiffusionGemmaForBlockDiffusion"],
        "model_type": "diffusion_gemma",
        "tie_word_embeddings": True,
        "canvas_length": CANVAS,
        "text_config": {**TEXT, **changes},
        "vision_config": VISION,
    }


def tensors(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Norms and scalars around 1, everything else wide enough that mistakes show; what is told of a prediction less so,
    so that a step does not magnify what rounding made of the one before."""
    family = DiffusionGemma()
    network = family.network(Keys(family.flat(config)))
    shapes, draws = family.shapes(network), torch.Generator().manual_seed(3)
    found = {}
    for part in family.parts(network):
        ((name,), (stored,)) = part.parameters, part.tensors
        about_one = "norm" in name or "scal" in name
        spread = 0.15 if about_one else (0.3 if "self_conditioning.down" in name else 1.0) * shapes[name][-1] ** -0.5
        found[stored] = torch.randn(shapes[name], generator=draws) * spread + float(about_one)
    found["model.encoder.embed_vision.embedding_projection.weight"] = torch.zeros(32, 16)
    return found


def write(directory: Path, **changes: Any) -> Path:
    """Config, weights and a tokenizer of bytes with a start symbol."""
    directory.mkdir()
    said = config(**changes)
    (directory / "config.json").write_text(json.dumps(said))
    (directory / "tokenizer.json").write_text(json.dumps(theirs.tokenizer(start=True)))
    save_file(tensors(said), directory / "model.safetensors")
    return directory
