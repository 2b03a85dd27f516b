"""What SECURITY.md promises: nothing is unpickled, nothing from elsewhere is run, no connection is opened."""

import ast
import socket
from pathlib import Path

import pytest

import undiffuse as ud

PACKAGE = Path(ud.__file__).parent
FORBIDDEN_IMPORTS = {
    *("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"),
    *("socket", "ssl", "http", "urllib", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "huggingface_hub"),
}
HUB = "language_model/hub.py"
"""The file that downloads a model which is named by its id on Hugging Face, and nothing else."""
LISTENER = "serve/command.py"
"""The file that listens where `undiffuse serve` is asked to."""
FORBIDDEN_CALLS = {"eval", "exec", "compile", "torch.load", "torch.save", "torch.hub.load"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_file_unpickles_runs_text_or_connects(file):
    allowed = {PACKAGE / HUB: {"huggingface_hub"}, PACKAGE / LISTENER: {"socket"}}
    forbidden = FORBIDDEN_IMPORTS - allowed.get(file, set())
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & forbidden
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").partition(".")[0] not in forbidden
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS
            said = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert "trust_remote_code" not in said
            assert said.get("allow_pickle", "False") == "False"
            assert ast.unparse(node.func) not in ("np.load", "numpy.load") or "allow_pickle" in said


def test_training_and_its_verbs_open_no_connection(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"The number {n} comes before the number {n + 1}." for n in range(400)))
    small = ["model.width=16", "model.depth=1", "model.heads=1", "model.context=32", "tokenizer.size=300"]
    model = ud.train(text, steps=2, out=tmp_path / "run", overrides=[*small, "training.draws=2"]).model
    assert model.fill("The [MASK] comes")[0].text
    assert model.generate("The", length=4)[0].text
    assert model.score("The number 4.", draws=2).bits_per_byte[0] > 0


def test_weights_that_are_pickled_are_not_read(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llada"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(ud.UserError, match="safetensors"):
        ud.load(tmp_path)
