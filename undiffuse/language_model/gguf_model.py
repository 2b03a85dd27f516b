"""Models in GGUF files, in the words of the published layouts that they were made from: config, tensors, tokenizer.

llama.cpp turns pairs of neighbors where the published Llama turns dimensions i and i + d/2 of a head, so its files hold
the rows of q and k in another order; those of Qwen do not.
"""

import math
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError, did_you_mean
from ..models.int8 import Int8
from ..text.gguf_tokenizer import special_row, tokenizer_config, tokenizer_json
from .gguf_file import Entry, GGUFFile
from .published_files import PublishedFiles
from .stored_tensors import CONFIG, Stored, TensorFiles, Tensors

TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
PIECE = 1 << 15
"""Numbers that are made at once of a quantized tensor: what gguf makes on its way stays in a processor's cache."""
UNSCALED = {
    "attn_factor": [1],
    "yarn_attn_factor": [1],
    "yarn_ext_factor": [1, -1],
    "yarn_log_multiplier": [0],
    "alpha": [0],
}
"""Further keys of scaled positions, by the values with which they change nothing."""
IDS = {"bos": "bos", "eos": "eos", "pad": "padding", "mask": "mask"}
SUFFIX = ".gguf"


@dataclass(frozen=True, eq=False)
class GGUFModel(PublishedFiles, TensorFiles):
    """A file of an architecture that is read, or its parts, in the place of a directory and its files with tensors."""

    file: GGUFFile

    @classmethod
    def open(cls, path: Path) -> "GGUFModel":
        """UserError for a file of another architecture, or of a format that nothing here reads."""
        model = cls(GGUFFile.open(path))
        if model.architecture not in ARCHITECTURES:
            raise UserError(
                f"{path} is of the architecture {model.architecture!r}, which is not read"
                f"{did_you_mean(str(model.architecture), ARCHITECTURES)}"
            )
        if "rope_freqs.weight" in model.file.entries:
            raise UserError(f"{path} scales its rotary positions (rope_freqs.weight), which is not supported")
        for name, entry in model.file.entries.items():
            kind, size = model.format(entry), model.size(entry)
            if kind not in PLAIN and not _dequantizes(entry.format):
                raise UserError(f"{path}: {name} is stored as {kind}, which the package gguf does not dequantize")
            if entry.offset + size > len(entry.data):
                raise UserError(
                    f"{entry.path} is truncated: {name} ends at byte {entry.offset + size}, and the file has "
                    f"{len(entry.data)}; copy it again"
                )
        return model

    @property
    def where(self) -> Path:
        return self.file.path

    def json(self, name: str) -> dict[str, Any]:
        if name == CONFIG:
            return self.config
        if name == "tokenizer.json":
            return self._tokenizer[0]
        return tokenizer_config(self.file.metadata) if name == "tokenizer_config.json" else {}

    def text(self, name: str) -> str | None:
        return None

    @property
    def license(self) -> str | None:
        named = self.file.metadata.get("general.license")
        return named if isinstance(named, str) else None

    @property
    def config_source(self) -> str:
        return "its metadata"

    @property
    def template_source(self) -> str:
        return "its metadata"

    @property
    def no_tokenizer(self) -> str:
        return self._tokenizer[1]

    @cached_property
    def _tokenizer(self) -> tuple[dict[str, Any], str]:
        """The content of a tokenizer.json, empty with the reason where it is none that is read."""
        try:
            return tokenizer_json(self.file.metadata), ""
        except UserError as error:
            return {}, str(error)

    def tensors(self) -> Tensors:
        stored = {}
        for published, name in self.names.items():
            entry = self.file.entries[name]
            kind = self.format(entry)
            stored[published] = Stored(entry.path.name, name, entry.shape, kind, PLAIN.get(kind, torch.float32))
        return Tensors(self.file.path, stored, self)

    @property
    def architecture(self) -> object:
        return self.file.metadata.get("general.architecture")

    def format(self, entry: Entry) -> str:
        """The name of a tensor's format."""
        return _formats().get(entry.format, (f"number {entry.format}", 1, 1))[0]

    def size(self, entry: Entry) -> int:
        """Bytes of a tensor; UserError for rows that are no whole number of blocks."""
        name, block, size = _formats().get(entry.format, ("", 1, 1))
        if (entry.shape[-1] if entry.shape else 1) % block:
            raise UserError(f"{self.file.path}: a row of {entry.shape[-1]} is no whole number of blocks of {name}")
        return math.prod(entry.shape) // block * size

    @cached_property
    def names(self) -> dict[str, str]:
        """Names in the file by those of the published layout; a tensor that has none keeps its own."""
        return {_published(name): name for name in self.file.entries}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config.json of the published layout."""
        path, entries = self.file.path, self.file.entries
        if "token_embd.weight" not in entries:
            raise UserError(f"{path} has no token_embd.weight: it holds no language model")
        if self._key("expert_count", 0):
            raise UserError(f"{path} is a mixture of experts, which is not read from GGUF files")
        heads, width = self._whole("attention.head_count"), self._whole("embedding_length")
        head = self._key("attention.key_length", width // heads)
        if self._key("attention.value_length", head) != head:
            raise UserError(f"{path}: keys and values of different sizes are not supported")
        turned = self._key("rope.dimension_count", head)
        ids = {f"{ours}_token_id": special_row(self.file.metadata, name) for ours, name in IDS.items()}
        return {
            "architectures": [ARCHITECTURES[str(self.architecture)]],
            "model_type": self.architecture,
            "vocab_size": entries["token_embd.weight"].shape[0],
            "hidden_size": width,
            "num_hidden_layers": self._whole("block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": self._whole("attention.head_count_kv", heads),
            "head_dim": head,
            "intermediate_size": self._whole("feed_forward_length"),
            "max_position_embeddings": self._whole("context_length"),
            "hidden_act": "silu",
            "rope_theta": _short(self._key("rope.freq_base", 10_000.0)),
            "rope_scaling": self._scaling,
            "rms_norm_eps": _short(self._key("attention.layer_norm_rms_epsilon", 1e-6)),
            "tie_word_embeddings": "output.weight" not in entries,
            **({} if turned == head else {"partial_rotary_factor": turned / head}),
            **({"use_sliding_window": True} if self._key("attention.sliding_window", 0) else {}),
            **{name: row for name, row in ids.items() if row is not None},
        }

    @property
    def _scaling(self) -> dict[str, Any] | None:
        """How rotary positions are scaled, in the words of a config.json; None where they are not.

        UserError for a way that a config.json has no words for. As llama.cpp has it, a factor without a type is linear.
        """
        for name, values in UNSCALED.items():
            if (found := self._key(f"rope.scaling.{name}", values[0])) not in values:
                raise UserError(
                    f"{self.file.path}: {self.architecture}.rope.scaling.{name} = {found!r} is not supported, only "
                    f"{values[0]}"
                )
        factor = self._key("rope.scaling.factor", self._key("rope.scale_linear"))
        kind = self._key("rope.scaling.type", "none" if factor is None else "linear")
        if kind == "none":
            return None
        if factor is None:
            raise UserError(
                f"{self.file.path} has no {self.architecture}.rope.scaling.factor, which its scaled positions need"
            )
        said = {"rope_type": kind, "factor": _short(factor)}
        if kind == "yarn":
            said |= {
                "original_max_position_embeddings": self._key("rope.scaling.original_context_length"),
                "beta_fast": _short(self._key("rope.scaling.yarn_beta_fast", 32.0)),
                "beta_slow": _short(self._key("rope.scaling.yarn_beta_slow", 1.0)),
            }
        return said

    def get(self, stored: Stored) -> Tensor:
        """In float32, or in the format of numbers that are not quantized; rows in the order of the published layout."""
        entry = self.file.entries[stored.name]
        whole = torch.empty(entry.shape, dtype=stored.dtype)
        self._copy_rows(entry, whole)
        heads = self._turned(stored.name)
        return whole if heads is None else whole.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)

    def copy(self, stored: Stored, place: Tensor) -> None:
        if self._turned(stored.name) is None and not isinstance(place, Int8) and place.device.type == "cpu":
            self._copy_rows(self.file.entries[stored.name], place)
        else:
            place.copy_(self.get(stored))

    def _turned(self, name: str) -> int | None:
        """Of queries and keys of Llama, how many heads the rows make up."""
        found = re.fullmatch(r"blk\.\d+\.attn_(q|k)\.\w+", name)
        if self.architecture != "llama" or found is None:
            return None
        return self.config["num_attention_heads" if found[1] == "q" else "num_key_value_heads"]

    def _copy_rows(self, entry: Entry, place: Tensor) -> None:
        kind, size = self.format(entry), self.size(entry)
        data = np.frombuffer(entry.data, np.uint8, size, entry.offset)
        if kind in PLAIN:
            place.copy_(torch.from_numpy(data).view(PLAIN[kind]).view(entry.shape))
            return
        _, block, width = _formats()[entry.format]
        flat = place.view(-1) if place.is_contiguous() else torch.empty(place.numel(), dtype=place.dtype)
        for begin in range(0, flat.numel(), step := max(PIECE // block, 1) * block):
            piece = data[begin // block * width : (begin + step) // block * width]
            # in one row: gguf's loop takes sixteen a turn, and most of its time goes to turns
            made = torch.from_numpy(_dequantized(piece.reshape(1, -1), entry.format)).view(-1)
            flat[begin : begin + made.numel()].copy_(made)
        if not place.is_contiguous():
            place.copy_(flat.view(place.shape))

    def _key(self, name: str, default: Any = None) -> Any:
        value = self.file.metadata.get(f"{self.architecture}.{name}")
        return default if value is None else value

    def _whole(self, name: str, default: int | None = None) -> int:
        value = self._key(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            what = "has no" if value is None else f"has {value!r} as its"
            raise UserError(f"{self.file.path} {what} {self.architecture}.{name}: a whole number is needed")
        return value


def _published(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if layer is not None and layer[2] in LAYER:
        return f"model.layers.{layer[1]}.{LAYER[layer[2]]}.{kind}"
    return f"{TOP[stem]}.{kind}" if stem in TOP else name


def _short(value: Any) -> Any:
    """The shortest number that is the same in float32, in which the file holds it; what is no number stays."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


@cache
def _formats() -> dict[int, tuple[str, int, int]]:
    """Formats by their numbers: name, numbers and bytes of a block."""
    return {int(kind): (kind.name, *sizes) for kind, sizes in _gguf().GGML_QUANT_SIZES.items()}


@cache
def _dequantizes(number: int) -> bool:
    """Whether the package gguf turns a format into numbers."""
    if number not in _formats():
        return False
    try:
        _dequantized(np.zeros((1, _formats()[number][2]), np.uint8), number)
    except NotImplementedError:
        return False
    return True


def _dequantized(data: np.ndarray, number: int) -> np.ndarray:
    package = _gguf()
    with np.errstate(all="ignore"):  # bytes that are no weights, such as those of a trial
        return package.dequantize(data, package.GGMLQuantizationType(number))


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise UserError("GGUF files need the package gguf: pip install 'undiffuse[gguf]'") from error
    return gguf
