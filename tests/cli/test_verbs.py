"""The verbs on a tiny trained model: what they print where, and the JSON that other programs read."""

import io
import json
import math
import re
import signal
import sys

import pytest
from conftest import TINY

from undiffuse.cli.bar import TrainingBar, describe
from undiffuse.cli.main import run
from undiffuse.training.progress import Progress

pytestmark = pytest.mark.xdist_group("tiny command-line model")


def output(capsys, *arguments: str) -> tuple[str, str]:
    computes = () if arguments[0] == "config" else ("--threads", "1")
    assert run([*arguments, *computes]) == 0
    return capsys.readouterr()


def json_of(capsys, *arguments: str):
    """What stdout holds, which must be one JSON document and nothing else."""
    return json.loads(output(capsys, *arguments, "--json")[0])


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_train_prints_the_directory_and_says_what_to_try(capsys, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, err = output(
        capsys,
        "train",
        str(text),
        *TINY[:-2],
        "training.draws=16",
        "training.validations=1",
        "--steps",
        "3",
        "--dtype",
        "float32",
        "--seed",
        "5",
    )
    assert out == "runs/words\n"
    assert "training  3/3" in err
    assert "undiffuse fill" in err
    assert "--model runs/words" in err
    manifest = json.loads((tmp_path / "runs/words/manifest.json").read_text())["training"]
    bound = manifest["bound"]["bits_per_byte"]
    assert f"at most {bound['mean']:.3f} ± {bound['stderr']:.3f} bits per byte" in err
    assert manifest["seed"] == 5
    assert manifest["configuration"]["model"]["width"] == 16, "KEY=VALUE reached the run"
    assert manifest["configuration"]["training"]["dtype"] == "float32"


def test_a_text_from_standard_input(capsys, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    feed(monkeypatch, text.read_bytes())
    assert output(capsys, "train", "-", *TINY, "--steps", "1")[0] == "runs/stdin\n"


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(capsys, text, tmp_path, monkeypatch):
    def interrupt(bar: TrainingBar, report: Progress) -> None:
        if report.phase == "training" and report.step == 4:
            signal.raise_signal(signal.SIGINT)

    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingBar, "__call__", interrupt)
        code = run(["train", str(text), "--out", str(directory), "--steps", "6", "--threads", "1", *TINY])
    assert code == 130
    out, err = capsys.readouterr()
    assert out == f"{directory}\n"
    assert "interrupted after 4 of 6 steps, everything is saved" in err
    assert f"undiffuse train --resume {directory}" in err
    assert output(capsys, "train", "--resume", str(directory))[0] == f"{directory}\n"
    assert json.loads((directory / "manifest.json").read_text())["training"]["step"] == 6
    assert "--steps" in refused_of(capsys, "train", "--resume", str(directory))
    output(capsys, "train", "--resume", str(directory), "--steps", "2")
    assert json.loads((directory / "manifest.json").read_text())["training"]["step"] == 8


def refused_of(capsys, *arguments: str) -> str:
    assert run(list(arguments)) == 2
    return capsys.readouterr().err


def test_progress_in_words():
    assert describe(Progress("reading")) == ""
    assert describe(Progress("tokenizing", 3 << 20, 20_000_000)) == "3.1/20.0 MB of text"
    report = Progress("training", 1200, 3000, seconds=101.4, bits_per_byte=2.411, validation_bits_per_byte=2.5)
    assert describe(report) == "1,200/3,000  loss 2.41 bits/byte  held out 2.50  1:41 left"


def test_fill_json(capsys, work):
    found = json_of(capsys, "fill", "ab [MASK] cd [MASK:2-3] ef", "--top", "2", "--seed", "7")
    assert found.keys() == {"text", "holes", "nfe", "tokens_per_forward", "seed", "strategy", "model"}
    assert (found["seed"], found["strategy"], found["model"]) == (7, "confidence", "runs/words")
    first, second = found["holes"]
    assert found["text"] == f"ab {first['text']} cd {second['text']} ef"
    for index, hole in enumerate(found["holes"]):
        assert hole.keys() == {"index", "text", "probability", "alternatives", "name", "lengths", "kind"}
        assert hole["index"] == index
        assert 0 < hole["probability"] <= 1
        assert all(other.keys() == {"text", "probability"} for other in hole["alternatives"])
        assert len(hole["alternatives"]) <= 1, "--top 2 is the answer and one more"
        assert hole["text"] not in [other["text"] for other in hole["alternatives"]]
    assert 3 <= found["nfe"] * found["tokens_per_forward"] <= 4


def test_several_samples_are_a_list_and_differ(capsys, work):
    found = json_of(capsys, "fill", "ab [MASK:6] cd", "-n", "3", "--top", "1")
    assert len({filled["text"] for filled in found}) > 1
    assert [hole["alternatives"] for filled in found for hole in filled["holes"]] == [[], [], []]
    cold = json_of(capsys, "fill", "ab [MASK:6] cd", "-n", "3", "--temperature", "0")
    assert len({filled["text"] for filled in cold}) == 1


def test_the_same_seed_gives_the_same_result(capsys, work):
    once, again, other = (json_of(capsys, "generate", "--length", "12", "--seed", seed) for seed in "112")
    assert once == again
    assert once["text"] != other["text"]


def test_a_strategy_reaches_the_decoder(capsys, work):
    found = json_of(capsys, "fill", "ab [MASK:4] cd", "--strategy", "left-to-right")
    assert found["strategy"] == "left-to-right"


def test_text_goes_to_stdout_and_the_table_to_stderr(capsys, work):
    out, err = output(capsys, "fill", "ab [MASK] cd", "--top", "3")
    found = json_of(capsys, "fill", "ab [MASK] cd", "--top", "3")
    assert out == found["text"] + "\n"
    assert "model: runs/words" in err, "the newest run was used, and named"
    assert f"{found['holes'][0]['probability']:.3f}" in err
    assert all(f"{other['probability']:.3f}" in err for other in found["holes"][0]["alternatives"])


def test_fixed_text_comes_back_bit_for_bit(capsys, work, tmp_path):
    before, after = "\ufeffa\r\n\t\x07\u202e ", " \\[ed] \U0001f469\u200d\U0001f467\r\n\r\n"
    source = tmp_path / "source.txt"
    source.write_bytes(f"{before}[MASK]{after}".encode())
    out = output(capsys, "fill", "--file", str(source))[0]
    assert out.startswith(before)
    assert out.endswith(after)


def test_only_fill_reads_holes_and_a_backslash_escapes_them(capsys, work):
    assert json_of(capsys, "generate", "a [MASK] ____", "--length", "2")["text"].startswith("a [MASK] ____")
    assert json_of(capsys, "fill", r"\[MASK] [MASK]")["text"].startswith("[MASK] ")


def test_fill_reads_standard_input(capsys, work, monkeypatch):
    feed(monkeypatch, "é [MASK]".encode())
    assert json_of(capsys, "fill", "-")["text"].startswith("é ")


def test_watch_leaves_stdout_alone(capsys, work):
    out, err = output(capsys, "fill", "ab [MASK:3] cd", "--watch")
    assert out == output(capsys, "fill", "ab [MASK:3] cd")[0]
    assert "3 of 3 tokens" in err


def test_generate_json(capsys, work):
    found = json_of(capsys, "generate", "abc", "--length", "9", "--steps", "3", "--temperature", "0")
    assert found["text"].startswith("abc")
    assert found["prompt"] == "abc"
    assert (found["nfe"], found["tokens_per_forward"]) == (3, 3.0)
    keys = {"text", "prompt", "tokens", "nfe", "tokens_per_forward", "seed", "strategy", "model", "note"}
    assert found.keys() == keys | {"certificate"}


def test_beyond_the_context_generation_goes_on_and_says_so(capsys, work):
    out, err = output(capsys, "generate", "--length", "70", "-n", "2")
    assert "exceed the trained context of 64" in err
    assert "sample 2 of 2" in err
    assert out


def test_generation_draws_from_the_model_unless_it_is_cold(capsys, work):
    assert json_of(capsys, "generate", "--length", "4")["strategy"] == "ancestral"
    assert json_of(capsys, "generate", "--length", "4", "--temperature", "0")["strategy"] == "confidence"


@pytest.mark.slow
@pytest.mark.parametrize(
    "option",
    [("--temperature", "0.3"), ("--top-p", "0.2"), ("--top-k", "2"), ("--block-length", "4"), ("--strategy", "random")],
)
def test_every_option_of_generate_changes_the_text(capsys, work, option):
    plain = json_of(capsys, "generate", "--length", "24")
    assert json_of(capsys, "generate", "--length", "24", *option)["text"] != plain["text"]


def test_score_json(capsys, work, text):
    found = json_of(capsys, "score", str(text), "--draws", "4")
    assert found.keys() == {
        "bits_per_byte",
        "nats_per_token",
        "perplexity",
        "terms",
        "tokens",
        "bytes",
        "draws",
        "kind",
    }
    assert found["bits_per_byte"].keys() == found["nats_per_token"].keys() == {"mean", "stderr"}
    assert found["perplexity"].keys() == {"value", "low", "high"}
    assert found["terms"].keys() == {"prior", "diffusion", "reconstruction"}
    assert found["kind"] in ("exact", "bound", "estimate")
    assert found["bytes"] == len(text.read_bytes())
    assert found["draws"] == 4
    nats = found["nats_per_token"]["mean"]
    assert math.isclose(sum(found["terms"].values()), nats, rel_tol=1e-9)
    assert math.isclose(found["perplexity"]["value"], math.exp(nats), rel_tol=1e-9)
    bits = found["bits_per_byte"]["mean"] * found["bytes"] * math.log(2)
    assert math.isclose(bits, nats * found["tokens"], rel_tol=1e-9)


def test_score_says_when_draws_are_too_few(capsys, work, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("abc")
    out = output(capsys, "score", str(short), "--draws", "2")[0]
    assert re.search(r"bits per byte   \d+\.\d{4}  \(bound, 2 draws\)", out)
    assert "(2 draws are too few to state an error: raise --draws, or leave it out)" in out
    assert "±" not in out
    assert output(capsys, "score", str(short))[0].count("±") == 2


def test_score_draws_until_it_is_precise(capsys, work, text):
    found = json_of(capsys, "score", str(text), "--precision", "0.5%")["bits_per_byte"]
    assert found["stderr"] < 0.005 * found["mean"]


def test_score_of_records_is_given_their_prompts(capsys, work, tmp_path):
    pairs, bare = tmp_path / "pairs.jsonl", tmp_path / "bare.jsonl"
    pairs.write_text('{"prompt": "abc de", "response": " fgh"}\n{"prompt": "", "response": "ab"}\n')
    bare.write_text('{"text": " fgh"}\n{"text": "ab"}\n')
    given, alone = (json_of(capsys, "score", str(path), "--draws", "4") for path in (pairs, bare))
    assert (given["tokens"], given["bytes"]) == (alone["tokens"], alone["bytes"]) == (alone["tokens"], 6)
    assert given["prompts"] == 1
    assert "prompts" not in alone
    assert given["nats_per_token"]["mean"] != alone["nats_per_token"]["mean"]
    out, _ = output(capsys, "score", str(pairs), "--draws", "4")
    assert out.splitlines()[-1].endswith("6 bytes, given 1 prompts (not counted)")


def test_score_of_each_token(capsys, work, monkeypatch):
    sentence = "abc de\nfgh"
    feed(monkeypatch, sentence.encode())
    found = json_of(capsys, "score", "-", "--per-token")
    assert "".join(token["text"] for token in found["per_token"]) == sentence
    mean = sum(token["nats"] for token in found["per_token"]) / found["tokens"]
    assert math.isclose(mean, found["terms"]["diffusion"], rel_tol=1e-5)


def test_score_for_readers(capsys, work, text):
    out, _ = output(capsys, "score", str(text), "--per-token", "--draws", "4")
    found = json_of(capsys, "score", str(text), "--draws", "4")
    lines = out.splitlines()
    assert lines[0].startswith(f"bits per byte   {found['bits_per_byte']['mean']:.4f} ± ")
    assert len(lines) == 4 + found["tokens"]


@pytest.mark.slow
def test_verify_json(capsys):
    found = json_of(capsys, "verify", "schedule*one-minus-t")
    assert found
    for result in found:
        assert result.keys() == {"law", "component", "error", "tolerance", "passed"}
        assert result["passed"] == (result["error"] <= result["tolerance"])


def test_a_law_that_fails_ends_with_1(capsys, monkeypatch):
    from undiffuse.exact.law import Law

    broken = (Law("1 = 1", lambda: {"sound": 0.0, "broken": 2.0, "lost": math.nan}, lambda error: error, 1.0),)
    monkeypatch.setattr("undiffuse.exact.verify.all_laws", lambda: broken)
    assert run(["verify"]) == 1
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["pass", "FAIL", "FAIL", "1"]
    assert run(["verify", "--json"]) == 1
    errors = {result["component"]: result["error"] for result in json.loads(capsys.readouterr().out)}
    assert errors == {"sound": 0.0, "broken": 2.0, "lost": None}


def test_config_is_a_recipe_with_origins(capsys, tmp_path, text):
    out, _ = output(capsys, "config", "default", "model.width=48", "objective=cross-entropy")
    origins = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in out.splitlines()}
    assert origins["model.width"] == origins["objective.kind"] == "override"
    assert origins["training.clip"] == "default"
    recipe = tmp_path / "mine.toml"
    recipe.write_text(out)
    again, _ = output(capsys, "config", str(recipe))
    assert [line.partition("#")[0] for line in again.splitlines()] == [
        line.partition("#")[0] for line in out.splitlines()
    ]
    assert {line.rpartition("# ")[2] for line in again.splitlines()} == {"recipe"}


def test_several_texts_give_a_list(capsys, work):
    texts = ["abc [MASK] de", "[MASK:2] fgh", "a"]
    one = [json_of(capsys, "fill", text) for text in texts[:2]]
    both = json_of(capsys, "fill", *texts[:2])
    assert [each["text"] for each in both] == [each["text"] for each in one]
    assert len(json_of(capsys, "fill", *texts[:2], "-n", "3")[1]) == 3
    records = work / "texts.jsonl"
    records.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:2]))
    assert json_of(capsys, "fill", "--file", str(records)) == both
    out, err = output(capsys, "fill", "--file", str(records))
    assert out == "".join(each["text"] + "\n" for each in both)
    assert err.count("evaluations") == 2
    prompts = ["abc ", "de"]
    written = json_of(capsys, "generate", *prompts, "--length", "4")
    assert written == [json_of(capsys, "generate", prompt, "--length", "4") for prompt in prompts]
    assert "text 2 of 2, sample 1 of 2" in output(capsys, "generate", *prompts, "-n", "2", "--length", "4")[1]


@pytest.mark.slow
def test_several_files_are_checked(capsys, work):
    files = []
    for name, text in (("a.txt", "abc de\n"), ("b.txt", "fgh abc de\n")):
        (work / name).write_text(text)
        files.append(name)
    found = json_of(capsys, "check", *files, "--threshold", "0")
    assert [each["words"] for each in found] == [json_of(capsys, "check", name)["words"] for name in files]
    assert "b.txt:1:" in output(capsys, "check", *files, "--threshold", "0")[0]


def test_the_share_of_each_text_in_a_score(capsys, work):
    records = work / "scored.jsonl"
    records.write_text('{"text": "abc de"}\n{"prompt": "abc", "response": " de fgh"}\n')
    whole = json_of(capsys, "score", str(records), "--draws", "4")
    with_texts = json_of(capsys, "score", str(records), "--draws", "4", "--per-text")
    shares = with_texts.pop("per_text")
    assert with_texts == whole
    assert [share["bytes"] for share in shares] == [6, 7]
    total = sum(share["nats"] for share in shares)
    assert total == pytest.approx(whole["nats_per_token"]["mean"] * whole["tokens"])
    assert (
        f"text 2          {shares[1]['nats']:.3f}"
        in output(capsys, "score", str(records), "--draws", "4", "--per-text")[0]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fill", "a [MASK]", "b"], "text 2 of 2: there is no hole to fill"),
        (["fill", "[MASK]", "[MASK]", "--watch"], "--watch is for one text at a time, and there are 2"),
        (["generate", "a", "b", "--watch"], "--watch is for one text at a time, and there are 2"),
        (["fill", "a", "b", "--schema", "s.json"], "--schema is for one text at a time, and there are 2"),
        (["fill", "a", "b", "--file", "f.txt"], "give texts as arguments, or with --file FILE, not both"),
        (["fill", "--file", "p.jsonl"], 'p.jsonl has records with a prompt, and what is filled is the "text"'),
    ],
)
def test_several_texts_that_cannot_be(capsys, work, arguments, message):
    (work / "p.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (work / "s.json").write_text('{"type": "object", "properties": {"a": {"type": "boolean"}}}')
    assert run([*arguments, "--threads", "1"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_text_ends_before_a_string(capsys, work):
    whole = json_of(capsys, "generate", "--length", "9")
    string = whole["text"][3:5]
    cut = whole["text"].index(string)
    found = json_of(capsys, "generate", "--length", "9", "--until", "never written", "--until", string)
    assert (found["text"], found["stopped"]) == (whole["text"][:cut], string)
    assert f"ended before {string!r}" in output(capsys, "generate", "--length", "9", "--until", string)[1]
    assert "stopped" not in whole


def test_a_text_that_is_held_out_from_itself_is_noted(text, tmp_path, capsys):
    out = tmp_path / "run"
    tiny = ["--steps", "1", "--threads", "1", *TINY]
    assert run(["train", str(text), "--valid", str(text), "--out", str(out), *tiny]) == 0
    assert "note: the held-out text is the training text itself" in capsys.readouterr().err
    assert "The held-out text is the training text itself" in (out / "report.md").read_text()
    assert run(["train", str(text), "--out", str(tmp_path / "other"), *tiny]) == 0
    assert "note:" not in capsys.readouterr().err
    assert "is the training text itself" not in (tmp_path / "other" / "report.md").read_text()


def test_evaluations_are_spoken_of_as_evaluations(work, capsys):
    assert run(["generate", "--length", "300", "--max-nfe", "3"]) == 2
    said = capsys.readouterr().err
    assert "3 evaluations cannot complete 9 parts of the context: use --max-nfe 9 at least, or a shorter length" in said
    assert "steps" not in said


def test_a_byte_order_mark_is_no_finding(capsys, work, tmp_path):
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_bytes(b"ab cd ab")
    marked.write_bytes(b"\xef\xbb\xbfab cd ab")
    assert json_of(capsys, "check", str(marked)) == json_of(capsys, "check", str(plain))
