"""DiffusionGemma: a causal encoder of what is written, and a bidirectional decoder of the canvas after it.

The network is computed by transformers, which has it natively; this file says how to recognize a directory, what its
config means, and which of its tensors make up which parameter. Both halves share their weights but for a scalar in each
layer. Images are not read: the vision tower is left out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import UserError
from ..types import HeadKind
from .family import CheckpointFamily, Decoding, Keys
from .parts import Copied, Part

SLIDING, FULL = "sliding_attention", "full_attention"
KINDS = ("diffusion_gemma", "diffusiongemma")
ENCODER, DECODER = "model.encoder.language_model", "model.decoder"


@dataclass(frozen=True)
class Rope:
    """How the layers of a kind turn queries and keys; `share` of each head's numbers is turned."""

    base: float
    share: float
    kind: str

    @property
    def described(self) -> dict[str, Any]:
        return {"rope_type": self.kind, "rope_theta": self.base, "partial_rotary_factor": self.share}


@dataclass(frozen=True)
class CanvasNetwork:
    """Sizes of the network, each as the config has it.

    Layers see everything before, or (`sliding`) `local_window` positions; the full ones have heads and groups of their
    own (`full_head_dim`, `full_groups`), and no values but their keys.
    """

    rows: int
    width: int
    hidden: int
    depth: int
    heads: int
    groups: int
    head_dim: int
    full_groups: int
    full_head_dim: int
    experts: int
    chosen: int
    inner: int
    context: int
    block_length: int
    local_window: int
    sliding: tuple[bool, ...]
    norm_eps: float
    softcap: float
    sliding_rope: Rope
    full_rope: Rope

    causal = False
    output_offset = 0
    first_position = 0

    def is_local(self, layer: int) -> bool:
        return self.sliding[layer]

    def attention(self, layer: int) -> tuple[int, int]:
        """Heads of keys and values, and the size of each."""
        return (self.groups, self.head_dim) if self.sliding[layer] else (self.full_groups, self.full_head_dim)


class DiffusionGemma(CheckpointFamily):
    """DiffusionGemma: canvases of uniform noise after a text read from the left; same position, told its predictions.

    Opened through transformers: pip install "undiffuse[hf]".
    """

    noise = "uniform"
    predicts: ClassVar[HeadKind] = "posterior"
    fills = True
    package = "transformers"
    apart = (f"{ENCODER}.", "model.encoder.vision_tower.", "model.encoder.embed_vision.", "lm_head.")
    cut = None
    decoding = Decoding(
        "entropy-renoise",
        {
            "temperature": 0.8,
            "cold": 0.4,
            "entropy_bound": 0.1,
            "settled": 0.005,
            "stability": 1,
            "longest": 48,
        },
    )

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return str(config.get("model_type")).lower().replace("-", "_") in KINDS

    def flat(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        text = config.get("text_config")
        if not isinstance(text, Mapping):
            raise UserError(f"config.json: text_config must be an object, not {text!r}")
        return {**text, **{name: value for name, value in config.items() if value is not None}}

    def sampling(self, generation: Mapping[str, Any]) -> dict[str, Any]:
        """Of what its generation_config.json says in transformers' words, in ours."""
        sampler = generation.get("sampler_config")
        said = {
            "temperature": generation.get("t_max"),
            "cold": generation.get("t_min"),
            "settled": generation.get("confidence_threshold"),
            "stability": generation.get("stability_threshold"),
            "longest": generation.get("max_denoising_steps"),
            "entropy_bound": sampler.get("entropy_bound") if isinstance(sampler, Mapping) else None,
        }
        return {name: value for name, value in said.items() if isinstance(value, int | float) and value > 0}

    def network(self, keys: Keys) -> CanvasNetwork:
        keys.only(hidden_activation="gelu_pytorch_tanh", attention_bias=False, use_bidirectional_attention="vision")
        if keys.values.get("tie_word_embeddings") is False:
            raise UserError("config.json: tie_word_embeddings = False is not supported: its two halves share weights")
        depth, heads = keys.integer("num_hidden_layers"), keys.integer("num_attention_heads")
        sliding = _sliding(keys, depth)
        groups, head_dim = keys.integer("num_key_value_heads"), keys.integer("head_dim")
        own = _own(keys, sliding)
        full_groups = own.integer("num_key_value_heads", groups)
        for name, count in (("num_key_value_heads", groups), ("num_global_key_value_heads", full_groups)):
            if heads % count:
                raise UserError(f"config.json: {heads} attention heads cannot share {name} = {count}")
        experts, chosen = keys.integer("num_experts"), keys.integer("top_k_experts")
        if chosen > experts:
            raise UserError(f"config.json: top_k_experts = {chosen} of {experts} experts cannot be chosen")
        rows, pad = keys.integer("vocab_size"), keys.values.get("pad_token_id")
        if isinstance(pad, int) and not 0 <= pad < rows:
            raise UserError(f"the pad id {pad} lies outside the table of {rows} rows")
        return CanvasNetwork(
            rows=rows,
            width=keys.integer("hidden_size"),
            hidden=keys.integer("intermediate_size"),
            depth=depth,
            heads=heads,
            groups=groups,
            head_dim=head_dim,
            full_groups=full_groups,
            full_head_dim=own.integer("head_dim", 512),
            experts=experts,
            chosen=chosen,
            inner=keys.integer("moe_intermediate_size"),
            context=keys.integer("max_position_embeddings"),
            block_length=keys.integer("canvas_length", 256),
            local_window=keys.integer("sliding_window", 512),
            sliding=sliding,
            norm_eps=keys.number("rms_norm_eps", 1e-6),
            softcap=keys.number("final_logit_softcapping", 30.0),
            sliding_rope=_rope(keys, SLIDING, Rope(10_000.0, 1.0, "default")),
            full_rope=_rope(keys, FULL, Rope(1_000_000.0, 0.25, "proportional")),
        )

    def parts(self, network: CanvasNetwork) -> list[Part]:
        own = [name for name in self.shapes(network) if not name.startswith("scalars.")]
        parts: list[Part] = [Copied(name, f"model.{name}") for name in own]
        return parts + [
            Copied(f"scalars.{layer}", f"{ENCODER}.layers.{layer}.layer_scalar") for layer in range(network.depth)
        ]

    def shapes(self, network: CanvasNetwork) -> dict[str, tuple[int, ...]]:
        """Every parameter with its shape, from the config alone."""
        n, width, hidden = network, network.width, network.hidden
        found: dict[str, tuple[int, ...]] = {
            "decoder.embed_tokens.weight": (n.rows, width),
            "decoder.norm.weight": (width,),
            "decoder.self_conditioning.pre_norm.weight": (width,),
        }
        found |= _gated("decoder.self_conditioning", hidden, width)
        for layer in range(n.depth):
            at = f"decoder.layers.{layer}"
            groups, size = n.attention(layer)
            found |= {
                f"{at}.self_attn.q_proj.weight": (n.heads * size, width),
                f"{at}.self_attn.k_proj.weight": (groups * size, width),
                f"{at}.self_attn.o_proj.weight": (width, n.heads * size),
                f"{at}.self_attn.q_norm.weight": (size,),
                f"{at}.self_attn.k_norm.weight": (size,),
                f"{at}.layer_scalar": (1,),
                f"{at}.router.proj.weight": (n.experts, width),
                f"{at}.router.scale": (width,),
                f"{at}.router.per_expert_scale": (n.experts,),
                f"{at}.experts.gate_up_proj": (n.experts, 2 * n.inner, width),
                f"{at}.experts.down_proj": (n.experts, width, n.inner),
                f"scalars.{layer}": (1,),
            }
            if n.sliding[layer]:
                found[f"{at}.self_attn.v_proj.weight"] = (groups * size, width)
            found |= _gated(f"{at}.mlp", hidden, width)
            norms = ("input", "post_attention", "pre_feedforward", "post_feedforward")
            for norm in (*(f"{name}_layernorm" for name in norms), *(f"{name}_layernorm_{k}" for name, k in SECOND)):
                found[f"{at}.{norm}.weight"] = (width,)
        return found

    def config(self, network: CanvasNetwork) -> dict[str, Any]:
        raise UserError("models of the family diffusion-gemma are opened, and not written")


SECOND = (("post_feedforward", 1), ("post_feedforward", 2), ("pre_feedforward", 2))
"""Norms around the experts, beside the dense layer."""


def _gated(at: str, hidden: int, width: int) -> dict[str, tuple[int, ...]]:
    sizes = {"gate_proj": (hidden, width), "up_proj": (hidden, width), "down_proj": (width, hidden)}
    return {f"{at}.{name}.weight": shape for name, shape in sizes.items()}


def _sliding(keys: Keys, depth: int) -> tuple[bool, ...]:
    """Which layers see nearby positions alone: all but every sixth, unless the config lists them."""
    listed = keys.values.get("layer_types")
    if listed is None:
        listed = [FULL if layer % 6 == 5 else SLIDING for layer in range(depth)]
    if not isinstance(listed, list) or len(listed) != depth or not set(listed) <= {SLIDING, FULL}:
        raise UserError(f"config.json: layer_types must name {depth} layers, each {SLIDING!r} or {FULL!r}")
    if listed[-1] != FULL:
        raise UserError(f"config.json: the last of layer_types must be {FULL!r}")
    return tuple(kind == SLIDING for kind in listed)


def _own(keys: Keys, sliding: tuple[bool, ...]) -> Keys:
    """What full layers have of their own, in either of transformers' two spellings. UserError where they differ."""
    each = keys.table("per_layer_config")
    if not each:
        groups = keys.values.get("num_global_key_value_heads")
        return Keys({"head_dim": keys.values.get("global_head_dim"), "num_key_value_heads": groups})
    full = {str(layer) for layer, local in enumerate(sliding) if not local}
    found = [each[layer] for layer in sorted(each)]
    if set(each) != full or any(not isinstance(one, Mapping) or one != found[0] for one in found):
        raise UserError("config.json: per_layer_config must say the same of every full layer, and nothing of others")
    return Keys({"head_dim": keys.values.get("head_dim"), **found[0]})


def _rope(keys: Keys, kind: str, usual: Rope) -> Rope:
    said = Keys(Keys(keys.table("rope_parameters")).table(kind))
    found = said.values.get("rope_type", usual.kind)
    if found not in ("default", "proportional"):
        raise UserError(f"config.json: rotary positions of type {found!r} are not supported for {kind}")
    said.only(factor=1.0)
    share = 1.0 if found == "default" else said.number("partial_rotary_factor", usual.share)
    if share > 1 or (found == "default" and said.number("partial_rotary_factor", 1.0) != 1):
        raise UserError(f"config.json: partial_rotary_factor of {found!r} positions is not supported as it is given")
    return Rope(said.number("rope_theta", usual.base), share, found)
