"""DiffusionGemma's network: the layers of transformers behind our protocol, with nothing kept inside.

What is written goes through the encoder's layers, each row seeing those before it, and leaves keys and values in the
memory that is given; the canvas goes through the decoder's, sees those and itself, and leaves nothing. What it is told
of its own last prediction (`Rows.feedback`) is the mean of the scaled embeddings under it.
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..models import rules
from ..models.attention import bias_of
from ..models.base import Network
from ..models.diffusion_gemma import FULL, SLIDING, CanvasNetwork
from ..models.kept import Seen
from ..models.kv import KV
from ..models.traits import Traits
from ..types import Rows, Tags, columns

Masks = dict[str, Tensor]


def network(shape: CanvasNetwork) -> Network:
    """The network of a config, with whatever its parameters are initialized to."""
    return DiffusionGemmaNetwork(shape)


def config_of(shape: CanvasNetwork) -> Any:
    """The sizes in transformers' words; of the vision tower, which is not built, nothing."""
    from transformers.models.diffusion_gemma import configuration_diffusion_gemma as theirs

    kinds = [SLIDING if local else FULL for local in shape.sliding]
    text = theirs.DiffusionGemmaTextConfig(
        vocab_size=shape.rows,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.groups,
        head_dim=shape.head_dim,
        global_head_dim=shape.full_head_dim,
        num_global_key_value_heads=shape.full_groups,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        layer_types=kinds,
        sliding_window=shape.local_window,
        num_experts=shape.experts,
        top_k_experts=shape.chosen,
        moe_intermediate_size=shape.inner,
        final_logit_softcapping=shape.softcap,
        rope_parameters={SLIDING: shape.sliding_rope.described, FULL: shape.full_rope.described},
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    return theirs.DiffusionGemmaConfig(text_config=text, canvas_length=shape.block_length)


class DiffusionGemmaNetwork(Network):
    """Parameters are the decoder's, and the scalars of the encoder's layers, which share all other weights."""

    def __init__(self, shape: CanvasNetwork) -> None:
        from transformers.models.diffusion_gemma import modeling_diffusion_gemma as theirs

        super().__init__()
        self.shape = shape
        self.decoder = theirs.DiffusionGemmaDecoderModel(config_of(shape))
        self.text: Any = self.decoder.config.text_config
        # as the whole model chooses them, of which these are parts
        self.text._attn_implementation, self.text._experts_implementation = "sdpa", "grouped_mm"
        self.scalars = nn.ParameterList(nn.Parameter(torch.ones(1)) for _ in range(shape.depth))
        # in a tuple, which registers nothing: their weights are the decoder's
        self.encoder = tuple(
            theirs.DiffusionGemmaEncoderTextLayer(self.text, layer).eval() for layer in range(shape.depth)
        )
        self.rotary: Any = theirs.DiffusionGemmaTextRotaryEmbedding
        asked = inspect.signature(theirs.DiffusionGemmaDecoderTextLayer.forward).parameters
        self.kept_as = "cache" if "cache" in asked else "past_key_values"  # later releases, and earlier ones
        self._share()

    def _share(self) -> None:
        """Give the encoder's layers the decoder's weights, and their own scalars."""
        for own, shared, scalar in zip(self.encoder, self.decoder.layers, self.scalars, strict=True):
            for name, parameter in shared.named_parameters():
                where, _, leaf = name.rpartition(".")
                own.get_submodule(where)._parameters[leaf] = parameter
            own.layer_scalar = scalar.detach()

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        """As usual; what is computed from the config and lies in no file is computed, where the weights are."""
        found = super().load_state_dict(state, strict, assign)
        device = self.device
        with torch.device("cpu"):
            self.decoder.rotary_emb = self.rotary(self.text).to(device)
        table: Any = self.decoder.embed_tokens
        table.embed_scale = torch.tensor(table.scalar_embed_scale, device=device)
        self._share()
        assert not any(value.is_meta for value in (*self.parameters(), *self.buffers()))
        return found

    def _apply(self, change: Any, recurse: bool = True) -> Any:
        super()._apply(change, recurse)
        self._share()
        return self

    @cached_property
    def traits(self) -> Traits:
        shape = self.shape
        return Traits(
            shape.rows,
            shape.context,
            rules.canvas,
            shape.block_length,
            takes=frozenset({"feedback"}),
            keeps=frozenset({"keys"}),
            floating=True,
            feedback=shape.width,
        )

    @property
    def device(self) -> torch.device:
        return self.decoder.embed_tokens.weight.device

    @property
    def number_format(self) -> torch.dtype:
        return self.decoder.embed_tokens.weight.dtype

    def memory(self, requests: int, slots: int, shadows: bool = False) -> KV:
        """One group of the largest layer's size: layers differ in theirs, and leave what they do not need."""
        size = max(heads * each for heads, each in map(self.shape.attention, range(self.shape.depth)))
        layers = [(self.device, self.shape.depth)]
        return KV.empty(layers, requests, 1, slots, size, self.decoder.embed_tokens.weight, shadows)

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        """Hidden states for the head; of rows that are read, not written, they speak of nothing."""
        tags = rows.tags
        live = torch.ones_like(tags.position, dtype=torch.bool) if tags.live is None else tags.live
        clean = torch.ones_like(live) if tags.clean is None else tags.clean
        if kv is None:  # positions may be negative, and turn by their distances alone
            least = tags.position.amin(1)
            origin = -least if tags.origin is None else tags.origin - least
            tags = replace(tags, position=tags.position - least[:, None], origin=origin)
            kv = self.memory(len(live), int(tags.position.max()) + 1)
        assert isinstance(kv, KV)
        hidden = torch.zeros(*live.shape, self.shape.width, dtype=self.number_format, device=live.device)
        for wanted, run in ((live & clean, self._read), (live & ~clean, self._denoised)):
            size = int(wanted.sum(-1).max())
            if size:
                at = (~wanted).byte().argsort(dim=-1, stable=True)[:, :size]
                part = replace(tags.columns(at), live=wanted.gather(1, at), clean=clean.gather(1, at))
                found = run(rows, at, part, kv)
                kept = torch.where(part.live[..., None], found, columns(hidden, at))  # type: ignore[index]
                hidden = hidden.scatter(1, at[..., None].expand_as(kept), kept)
        return hidden

    def _read(self, rows: Rows, at: Int[Tensor, "B n"], tags: Tags, kv: KV) -> Float[Tensor, "B n D"]:
        """The encoder: every row sees those up to its own, whose keys and values it leaves in the memory."""
        tags = replace(tags, clean=tags.live)
        keys = kv.tags(tags)
        seen = rules.canvas(tags, keys)
        near = tags.position[:, :, None] - keys.position[:, None, :] < self.shape.local_window
        x = self.decoder.embed_tokens(columns(rows.state.ids, at))
        masks, slots = self._masks(seen, near), Slots(kv, self.shape, tags)
        found = self._through(self.encoder, x, tags.position, masks, slots)
        kv.mark(tags)
        return found

    def _denoised(self, rows: Rows, at: Int[Tensor, "B n"], tags: Tags, kv: KV) -> Float[Tensor, "B n D"]:
        """The decoder: every row sees its canvas and what is kept of the text before that."""
        assert tags.live is not None
        tags, held = replace(tags, clean=torch.zeros_like(tags.live)), kv.held
        keys = Tags(
            torch.cat((held.position, tags.position), dim=1),
            live=_both(held.live, tags.live),
            clean=_both(held.clean, tags.clean),
        )
        seen = rules.canvas(tags, keys)
        # the window of a canvas reaches back from its first position, and never cuts the canvas
        within = rules.begin_of(tags)[:, :, None] - keys.position[:, None, :] < self.shape.local_window
        near = within | ~_both(held.clean, tags.clean)[:, None]
        x = self.decoder.embed_tokens(columns(rows.state.ids, at))
        told = torch.zeros_like(x) if rows.feedback is None else columns(rows.feedback, at).to(x.dtype)
        x = self.decoder.self_conditioning(x, told)
        masks, slots = self._masks(seen, near), Slots(kv, self.shape, tags)
        return self._through(self.decoder.layers, x, tags.position, masks, slots)

    def _masks(self, seen: Bool[Tensor, "B Lq Lk"], near: Bool[Tensor, "B Lq Lk"]) -> Masks:
        found = {FULL: bias_of(seen, self.number_format), SLIDING: bias_of(seen & near, self.number_format)}
        return {kind: bias for kind, bias in found.items() if bias is not None}

    def _through(
        self,
        layers: Iterable[Any],
        x: Float[Tensor, "B n D"],
        position: Int[Tensor, "B n"],
        masks: Masks,
        slots: "Slots",
    ) -> Float[Tensor, "B n D"]:
        """Through the layers of either half, and the norm that the head reads."""
        turned = {kind: self.decoder.rotary_emb(x, position, kind) for kind in set(self.text.layer_types)}
        for kind, layer in zip(self.text.layer_types, layers, strict=True):
            x = layer(
                x,
                position_embeddings=turned[kind],
                attention_mask=masks[kind],
                position_ids=position,
                **{self.kept_as: slots},
            )
        return self.decoder.norm(x)

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        logits = nn.functional.linear(hidden, self.decoder.embed_tokens.weight).float()
        return torch.tanh(logits / self.shape.softcap) * self.shape.softcap

    def fed_back(self, log_p: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead d"]:
        table: Any = self.decoder.embed_tokens
        return (log_p.exp().to(table.weight.dtype) @ table.weight) * table.embed_scale.to(table.weight.dtype)


@dataclass(frozen=True, eq=False)
class Slots:
    """Our memory as the layers ask for theirs: the encoder's write the given rows, the decoder's read what is there."""

    kv: KV
    shape: CanvasNetwork
    tags: Tags

    is_compileable = False

    def update(
        self, keys: Float[Tensor, "B G n d"], values: Float[Tensor, "B G n d"], layer: int, *more: Any, **other: Any
    ) -> tuple[Float[Tensor, "B G S d"], Float[Tensor, "B G S d"]]:
        self.kv.write(layer, self.tags, self._wide(keys), self._wide(values))
        return self.of(layer)

    @property
    def layers(self) -> "Slots":
        """By their numbers."""
        return self

    def __getitem__(self, layer: int) -> "Layer":
        return Layer(*self.of(layer))

    def of(self, layer: int) -> tuple[Float[Tensor, "B G S d"], Float[Tensor, "B G S d"]]:
        """Keys and values of one layer, at every slot."""
        groups, size = self.shape.attention(layer)
        each = (kept[:, 0, :, : groups * size] for kept in self.kv.read(layer))
        keys, values = (kept.unflatten(-1, (groups, size)).transpose(1, 2) for kept in each)
        return keys, values

    def _wide(self, each: Float[Tensor, "B G n d"]) -> Float[Tensor, "B 1 n D"]:
        flat = each.transpose(1, 2).flatten(2)
        return nn.functional.pad(flat, (0, self.kv.keys[0].shape[-1] - flat.shape[-1]))[:, None]


@dataclass(frozen=True, eq=False)
class Layer:
    """What is kept of one layer."""

    keys: Float[Tensor, "B G S d"]
    values: Float[Tensor, "B G S d"]


def _both(one: Tensor | None, other: Tensor | None) -> Tensor:
    assert one is not None
    assert other is not None
    return torch.cat((one, other), dim=1)
