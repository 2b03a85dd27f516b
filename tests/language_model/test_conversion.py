"""Formats change and models do not: there and back gives the same bits, and what a target cannot hold is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from recorded import ROOT
from safetensors.torch import load_file
from theirs import ids_of, network, tokenizer

import undiffuse as ud
from undiffuse.cli.main import run
from undiffuse.errors import UserError
from undiffuse.text.tokenizer import Tokenizer

FAMILIES = ("llada", "dream", "sdar", "qwen2", "qwen3", "llama", "bert", "mdlm", "duo")
IDS = torch.arange(20)[None] * 3 % 37


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def same(ours: Path, theirs: Path) -> bool:
    """Bit for bit, by name."""
    a, b = tensors(ours), tensors(theirs)
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and torch.equal(a[name].view(torch.uint8), b[name].view(torch.uint8))
        for name in a
        if a[name].ndim
    )


def read(path: Path) -> dict:
    return json.loads(path.read_text())


@pytest.fixture
def source(tmp_path):
    """A recorded checkpoint with a tokenizer, in a number format."""

    def make(family: str, dtype: torch.dtype = torch.float32, **config) -> Path:
        directory = tmp_path / "source"
        ud.convert(ROOT / family / "checkpoint", directory, dtype=dtype)
        if not (directory / "tokenizer.json").exists():
            content = tokenizer(False)
            content["added_tokens"], rows = [], ud.inspect(directory).rows
            content["model"]["vocab"] = {text: row for text, row in content["model"]["vocab"].items() if row < rows}
            (directory / "tokenizer.json").write_text(json.dumps(content))
        path = directory / "config.json"
        path.write_text(json.dumps({**read(path), **config}))
        return directory

    return make


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_there_and_back(family, dtype, source, tmp_path):
    directory = source(family, dtype, something_inert=7)
    assert ud.convert(directory, tmp_path / "run", to="undiffuse") == tmp_path / "run"
    ud.convert(tmp_path / "run", tmp_path / "back", to=family, dtype=dtype)
    assert same(directory, tmp_path / "back")
    assert read(tmp_path / "back" / "config.json") == read(directory / "config.json")
    before, after = (read(d / "tokenizer.json") for d in (directory, tmp_path / "back"))
    assert before == after
    there, back = ud.load(tmp_path / "run"), ud.load(directory, dtype="float32")
    assert torch.equal(there.logits(IDS), back.logits(IDS))
    assert there.predictor.process == back.predictor.process
    ud.convert(tmp_path / "run", tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()


def test_a_run_there_and_back(model, tmp_path):
    torch.manual_seed(1)
    mine = ud.load(_llada_like(tmp_path / "mine"))
    ud.convert(tmp_path / "mine", tmp_path / "llada", to="llada")
    theirs = ud.load(tmp_path / "llada")
    text = "The quick brown fox jumps over the lazy dog; Größe — 漢字.\n"
    assert theirs.tokenizer.encode(text) == mine.tokenizer.encode(text)
    assert theirs.tokenizer.vocabulary == mine.tokenizer.vocabulary
    assert torch.equal(theirs.logits(IDS), mine.logits(IDS))
    ud.convert(tmp_path / "llada", tmp_path / "back", to="undiffuse")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "mine" / name).read_bytes(), name
    assert isinstance(ud.load(tmp_path / "back").tokenizer, Tokenizer)


def _llada_like(place: Path, destination: str = "mask", head: str = "leave_one_out", **changes) -> Path:
    """A run with a network that LLaDA's layout can describe."""
    from undiffuse.kinds import build_process
    from undiffuse.language_model import LanguageModel
    from undiffuse.models.transformer import Transformer, TransformerConfig
    from undiffuse.predictor import Predictor

    tokenizer = Tokenizer.train(["The quick brown fox jumps over the lazy dog.\n" * 9], 300)
    form = {"norm": "rmsnorm", "activation": "swiglu", "scales": True, "norm_eps": 1e-5, "qk_norm": False, **changes}
    made = Transformer(
        TransformerConfig(rows=tokenizer.vocabulary.rows, width=16, depth=1, heads=2, hidden=24, context=32, **form)
    )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    spec = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": destination}}
    process = build_process(spec, tokenizer.vocabulary)
    LanguageModel(Predictor(made.requires_grad_(False), process, head), tokenizer, {}).save(place)
    return place


@pytest.mark.parametrize(
    ("changes", "to", "said"),
    [
        ({}, "dream", r"cannot be written in the layout of dream: qkv_bias = False \(it has True\), output_offset = 0"),
        ({"qk_norm": True}, "llada", r"cannot be written in the layout of llada: qk_norm = True \(it has False\)"),
        ({"activation": "gelu"}, "llada", "activation = 'gelu'"),
        ({"destination": "uniform"}, "llada", "the layout of llada cannot hold the noise of .*: .*uniform.* would be"),
        (
            {"causal": True, "output_offset": -1},
            "llama",
            r"the layout of llama cannot hold the vocabulary of .*: bos = \d+ would be read as bos = None",
        ),
        ({}, "lada", "there is no family 'lada' to convert to; did you mean 'llada'"),
    ],
)
def test_what_a_target_cannot_hold(changes, to, said, tmp_path):
    place = _llada_like(tmp_path / "run", **changes)
    with pytest.raises(UserError, match=said):
        ud.convert(place, tmp_path / "out", to=to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_what_is_refused_before_weights_are_read(tmp_path, monkeypatch):
    place = ROOT / "llada" / "checkpoint"
    monkeypatch.setattr("undiffuse.language_model.stored_tensors.Safetensors.get", None)
    (tmp_path / "taken").mkdir()
    for destination, options, said in (
        ("out.gguf", {}, "GGUF files are read and not written: name a directory"),
        ("taken", {}, "taken exists and is not overwritten"),
        ("out", {"dtype": "int8"}, "weights in int8 are not saved"),
        ("out", {"dtype": "int4"}, "there is no number format 'int4'"),
        ("out", {"to": "undiffuse", "dtype": "bfloat16"}, "a run holds float32, not bfloat16: leave out --dtype"),
        ("out", {"to": "undiffuse"}, r"a run holds its tokenizer, and .* has none: put the family's tokenizer\.json"),
        ("out", {"to": "sdar"}, "cannot be written in the layout of sdar: "),
    ):
        with pytest.raises(UserError, match=said):
            ud.convert(place, tmp_path / destination, **options)
    with pytest.raises(UserError, match="there is no model directory"):
        ud.convert(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UserError, match="family, mask_id, attention and shift are for public checkpoints"):
        ud.convert(ROOT / "run_format_1", tmp_path / "out", family="llada")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_numbers_that_a_format_has_no_room_for(source, tmp_path):
    directory = source("llada")
    held = tensors(directory)
    held["model.transformer.ln_f.weight"][3] = 1e6
    from safetensors.torch import save_file

    save_file(held, directory / "model.safetensors")
    with pytest.raises(UserError, match=r"float16 has no room for some numbers of norm\.scale"):
        ud.convert(directory, tmp_path / "half", dtype="float16")
    ud.convert(directory, tmp_path / "brain", dtype="bfloat16")
    assert not (tmp_path / "half").exists()
    wide = {name: value.double() for name, value in held.items()}
    save_file(wide, directory / "model.safetensors")
    with pytest.raises(UserError, match="a run holds float32, which is narrower than the float64 of this model"):
        ud.convert(directory, tmp_path / "run", to="undiffuse")
    ud.convert(directory, tmp_path / "wide")
    assert same(directory, tmp_path / "wide")


def test_overrides_go_along(tmp_path, source):
    directory = source("qwen2")
    ud.convert(directory, tmp_path / "full", attention="full", shift=True, mask_id=200)
    found = ud.inspect(tmp_path / "full")
    assert (found.attention, found.alignment, found.ids["mask"].id) == ("full", "shifted", 200)
    shutil.copy(tmp_path / "full" / "config.json", tmp_path / "config.json")
    ud.convert(tmp_path / "full", tmp_path / "run", to="undiffuse")
    ud.convert(tmp_path / "run", tmp_path / "back", to="qwen2")
    assert read(tmp_path / "back" / "config.json") == read(tmp_path / "config.json")
    assert same(tmp_path / "back", directory)


def test_conversations_and_sampling_go_along(source, tmp_path):
    directory = source("llama")
    template = "{% for m in messages %}{{ bos_token }}{{ m['content'] }}<end>{% endfor %}"
    (directory / "chat_template.jinja").write_text(template)
    (directory / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [257, 258], "do_sample": True, "temperature": 0.6, "top_k": 20})
    )
    before = ud.load(directory)
    ud.convert(directory, tmp_path / "run", to="undiffuse")
    ud.convert(tmp_path / "run", tmp_path / "back", to="llama")
    for name in ("run", "back"):
        again = ud.load(tmp_path / name)
        assert again.manifest["chat"] == before.manifest["chat"]
        assert again.manifest["sampling"] == before.manifest["sampling"]
        assert again.tokenizer.start == before.tokenizer.start == 256
        assert again.trained.decoding == before.trained.decoding


def test_a_start_symbol_that_settings_alone_name_goes_along(source, tmp_path):
    directory = source("llama")
    content = read(directory / "tokenizer.json")
    (directory / "tokenizer.json").write_text(json.dumps({**content, "post_processor": None}))
    (directory / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": True, "bos_token": "<start>"}))
    assert ud.load(directory).tokenizer.start == 256
    ud.convert(directory, tmp_path / "run", to="undiffuse")
    ud.convert(tmp_path / "run", tmp_path / "back", to="llama")
    assert ud.load(tmp_path / "back").tokenizer.start == 256
    assert read(tmp_path / "back" / "tokenizer_config.json")["add_bos_token"] is True


def test_the_command(tmp_path, capsys):
    place = str(tmp_path / "bf16")
    assert run(["convert", str(ROOT / "sdar" / "checkpoint"), place, "--dtype", "bfloat16"]) == 0
    assert capsys.readouterr().out.strip() == place
    assert ud.inspect(place).dtype == "bfloat16"
    assert run(["convert", str(ROOT / "sdar" / "checkpoint"), place]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_what_is_written_opens_in_transformers(family, tmp_path):
    """By way of a run, tokenizer included; masked models are compared in test_transformers_encoders."""
    transformers = pytest.importorskip("transformers")
    theirs = network(family)
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_text(json.dumps(tokenizer(family == "llama")))
    ud.convert(tmp_path / "theirs", tmp_path / "run", to="undiffuse")
    ud.convert(tmp_path / "run", tmp_path / "ours", to=family)
    again = type(theirs).from_pretrained(tmp_path / "ours")
    assert torch.equal(again(ids_of()).logits, theirs(ids_of()).logits)
    opened, ours = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours"), ud.load(tmp_path / "ours").tokenizer
    text = "Größe — 12"
    assert opened.encode(text) == [*([] if ours.start is None else [ours.start]), *ours.encode(text)]
    assert opened.decode(opened.encode(text), skip_special_tokens=True) == text
