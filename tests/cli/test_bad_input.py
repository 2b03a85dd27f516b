"""Every mistake: one clear error on stderr, exit code 2, no traceback, and nothing overwritten or half-written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

from undiffuse.cli.main import run
from undiffuse.language_model import named

pytestmark = pytest.mark.xdist_group("tiny command-line model")


def refused(capsys, *arguments: str) -> str:
    """The message of a command line that must be refused; the model's name may stand before it."""
    capsys.readouterr()
    assert run(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [
        line for line in err.splitlines() if not line.startswith(("model: ", "reading", "tokenizing", "measuring"))
    ]
    assert len(lines) == 1, err
    assert lines[0].startswith("undiffuse: ")
    return lines[0].removeprefix("undiffuse: ")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LONG = b"enough of a text to learn from, were it not for the one thing that is wrong with it\n" * 20


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", r"a\.txt is empty"),
        ("a.txt", b" \n\n", r"a\.txt is empty"),
        ("a.txt", b"short", r"5 bytes are too little to learn from; give at least \d+"),
        ("a.txt", LONG + b"\x00\x01", rf"a\.txt is not text: control byte 0x00 at line 21, byte {len(LONG)}"),
        ("a.txt", LONG + b"\xff", rf"a\.txt is not UTF-8: byte 0xff at line 21, byte {len(LONG)}"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', r'a\.jsonl:2: "text" is int, not a string'),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', r"a\.jsonl:2: a record is an object .*, not list"),
        ("a.jsonl", b'{"txt": "a"}\n', r"a\.jsonl:1: a record needs"),
        ("a.jsonl", b"{\n", r"a\.jsonl:1: not JSON"),
    ],
)
def test_text_that_cannot_be_learned(capsys, tmp_path, monkeypatch, name, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    assert re.search(message, refused(capsys, "train", name, "--steps", "1"))
    assert files(tmp_path) == {name: data}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.txt"], r"there is no file none\.txt"),
        ([], r"name a text to train on"),
        (["{text}", "--out", "{taken}"], r"taken exists already: choose another --out"),
        (["{text}", "--recipe", "defualt"], r"there is no recipe 'defualt'; did you mean 'default'\?"),
        (["{text}", "--recipe", "none.toml"], r"cannot read the recipe none\.toml"),
        (["{text}", "model.widht=3"], r"there is no key model\.widht; did you mean '(model\.)?width'\?"),
        (["{text}", "modle.width=3"], r"there is no key modle.*; did you mean 'model"),
        (["{text}", "model.width=wide"], r"model\.width = 'wide'"),
        (["{text}", "objective=buond"], r"there is no objective 'buond'; did you mean 'bound'\?"),
        (["{text}", "process.schedule=cosine"], r"schedule 'cosine' names two curves in the field"),
        (
            ["{text}", "process.destination=uniform", "objective=llada"],
            r"'llada' is defined for masked noise",
        ),
        (["{text}", "--steps", "3", "--minutes", "1"], r"give minutes or steps, not both"),
        (["{text}", "--minutes", "0"], r"a budget is a positive number of minutes or steps"),
        (["{text}", "--minutes", "nan"], r"a budget is a positive number of minutes or steps"),
        (["{text}", "--dtype", "float16", "--steps", "1"], r"training\.dtype = 'float16'"),
        (["--resume", "{taken}"], r"taken is not the directory of a run"),
        (["--resume", "{taken}", "{text}", "--seed", "1"], r"leave out FILE, --seed"),
    ],
)
def test_training_that_cannot_be(capsys, tmp_path, monkeypatch, text, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_bytes(b"mine")
    names = {"text": str(text), "taken": "taken"}
    assert re.search(message, refused(capsys, "train", *(argument.format(**names) for argument in arguments)))
    assert files(tmp_path) == {"taken/file": b"mine"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fill", "no hole at all"], r"there is no hole to fill; write one as \[MASK\]"),
        (
            ["fill", "[MASK:400]"],
            r"the holes and the text between them take 400 tokens and the model was trained on 64",
        ),
        (["fill", "[MASK:0]"], r"holds no token"),
        (["fill", "[MASK:5-2]"], r"ends below its start; write \[MASK:2-5\]"),
        (["fill", "[MASK:x]"], r"is not a hole; write \[MASK\]"),
        (["fill", "[MASK]", "--strategy", "confidense"], r"no strategy 'confidense'; did you mean 'confidence'\?"),
        (["fill", "[MASK]", "--temperature", "-1"], r"temperature must be 0 or more, not -1\.0"),
        (["fill", "[MASK]", "--file", "x"], r"give one text"),
        (["generate", "--temperature", "nan"], r"temperature must be 0 or more, not nan"),
        (["generate", "--top-p", "1.5"], r"top-p must lie in \(0, 1\], not 1\.5"),
        (["generate", "--top-k", "0"], r"top-k must be at least 1, not 0"),
        (["generate", "--length", "48", "--steps", "2", "--block-length", "16"], r"2 steps cannot fill 3 blocks of 16"),
        (["generate", "--model", "runs/wrods"], r"there is no model directory runs/wrods; did you mean 'words'\?"),
        (["generate", "--set", "threshold"], r"--set takes NAME=VALUE, such as threshold=0\.7, not 'threshold'"),
        (["generate", "--set", "top_p=0.5"], r"top_p has an option of its own: --top-p 0\.5"),
        (["fill", "[MASK]", "--set", "top_p=abc"], r"top p must be a number, not 'abc'"),
        (["fill", "[MASK]", "--set", "block_length=abc"], r"block length must be at least 1, not 'abc'"),
        (["fill", "[MASK]", "--set", "on_event=1"], r"on_event is no option of a strategy"),
        (["fill", "[MASK]", "--set", "threshold=1"], r"strategy 'confidence' has no option 'threshold'"),
        (["score", "none.txt"], r"there is no file none\.txt"),
        (["score", "{text}", "--draws", "1"], r"use at least 2 draws"),
        (["score", "{text}", "--as", "sed"], r"there is no convention 'sed'; did you mean 'sedd'"),
    ],
)
def test_requests_that_cannot_be_met(capsys, work, text, arguments, message):
    before = files(work)
    assert re.search(message, refused(capsys, *(argument.format(text=text) for argument in arguments)))
    assert files(work) == before


def test_records_that_do_not_fit_the_context_with_their_prompt_are_not_scored(capsys, work, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "a", "response": "b"}\n{"prompt": "a", "response": "' + "k" * 64 + '"}\n')
    message = r"text 2 takes 64 tokens after a prompt of 1, and the model was trained on 64: shorten or leave out"
    assert re.search(message, refused(capsys, "score", str(pairs)))


def test_a_text_argument_that_is_not_unicode(capsys, work):
    assert "TEXT is not UTF-8: byte 0xff at offset 6 (line 1)" in refused(capsys, "fill", "[MASK]\udcff")


def test_without_a_run_there_is_advice(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(named, "DEFAULT", "none")
    assert "undiffuse train FILE" in refused(capsys, "fill", "[MASK]")


def _truncate(directory: Path) -> None:
    content = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(content[:-100])


def _flip_a_bit(directory: Path) -> None:
    content = bytearray((directory / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (directory / "model.safetensors").write_bytes(content)


def _damage_the_manifest(directory: Path) -> None:
    (directory / "manifest.json").write_text('{"format": 1')


def _bring_a_foreign_manifest(directory: Path) -> None:
    (directory / "manifest.json").write_text('{"architectures": ["LlamaForCausalLM"]}')


def _bring_a_later_format(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))


def _bring_a_foreign_tokenizer(directory: Path) -> None:
    content = json.loads((directory / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][::-1]
    (directory / "tokenizer.json").write_text(json.dumps(content))


def _lose_the_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, r"model\.safetensors is not the file that was saved .*truncated or damaged"),
        (_flip_a_bit, r"model\.safetensors is not the file that was saved"),
        (_damage_the_manifest, r"manifest\.json is damaged"),
        (_bring_a_foreign_manifest, r"manifest\.json was not written by undiffuse"),
        (_bring_a_later_format, r"has format 99, and this version of undiffuse reads 1"),
        (_bring_a_foreign_tokenizer, r"tokenizer\.json"),
        (_lose_the_weights, r"cannot read .*model\.safetensors.*the model is incomplete"),
    ],
)
def test_a_damaged_model(capsys, model, tmp_path, damage, message):
    directory = tmp_path / "copy"
    shutil.copytree(model, directory)
    damage(directory)
    assert re.search(message, refused(capsys, "fill", "[MASK]", "--model", str(directory)))


@pytest.mark.slow
def test_a_full_disk(tmp_path, text):
    """The shell's limit on file sizes stands for a disk that fills up while the run directory is written."""
    options = f"--out run --steps 2 --threads 1 {' '.join(TINY)}"
    command = f'ulimit -f 8; exec "{sys.executable}" -m undiffuse train "{text}" {options}'
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert re.fullmatch(r"undiffuse: cannot write .*Make room.*", ended.stderr.splitlines()[-1])
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert not list(tmp_path.glob(".partial-*"))
