"""Training that goes on from the model in a directory: what it takes over, what may be chosen, what it refuses."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import load_file
from tiny import STEPS, later, write_text

from undiffuse import load
from undiffuse.errors import UserError
from undiffuse.randomness import Draws
from undiffuse.text.tokenizer import ALPHABET
from undiffuse.training.assembly import Assembly
from undiffuse.training.plan import Budget
from undiffuse.training.planning import make_plan
from undiffuse.training.recipe import resolve
from undiffuse.training.run import resume, train
from undiffuse.training.run_directory import RunDirectory
from undiffuse.training.start import Start

GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = ("training.rows=4", "training.windows=4", "training.draws=2", "training.validations=2")
STILL = ("optimizer=adamw", "optimizer.lr=0.0")


@pytest.fixture
def goes_on(text, tmp_path):
    """A run from a directory, into tmp_path/next unless told otherwise."""

    def run(start, *overrides: str, **options):
        options = {"out": tmp_path / "next", "steps": STEPS, "threads": 1} | options
        return train(text, start=start, overrides=later(*SETTINGS, *overrides), **options)

    return run


def weights(run) -> dict[str, torch.Tensor]:
    return load_file(run.directory / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "dtype"), [("default", "bfloat16"), ("diffusion-bert", "float32"), ("plaid", "float32")]
)
def test_steps_of_rate_zero_leave_the_weights_as_they_were(train_tiny, goes_on, recipe, dtype):
    first = train_tiny(recipe=recipe, steps=6)
    second = goes_on(first.directory, *STILL, f"training.dtype={dtype}", steps=3)
    assert second.model.tokenizer == first.model.tokenizer
    assert second.model.predictor.process == first.model.predictor.process
    assert second.model.predictor.denoiser.config == first.model.predictor.denoiser.config
    before, after = weights(first), weights(second)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert torch.equal(weight, after[name]), name
    manifest = json.loads((second.directory / "manifest.json").read_text())
    assert manifest["training"]["start"] == str(first.directory)


def test_the_first_loss_is_that_of_the_model(train_tiny):
    run = train_tiny("training.dtype=float32")
    start = Start.of(run.directory)
    configuration = resolve(None, (*SETTINGS, "training.dtype=float32"), start).configuration
    texts = RunDirectory.open(run.directory).text
    assembly = Assembly(configuration, *texts, start.tokenizer, 5, torch.device("cpu"), start)
    job, _ = assembly.build(make_plan(assembly, Budget(steps=10)))
    batch, draws = job.source.batch(0, 4), Draws.seeded(0).stream("training").at(0)
    ours, theirs = (job.objective.loss(p, batch, draws, 4).sum for p in (job.predictor, load(run.directory).predictor))
    assert ours.item() == theirs.item()


@pytest.mark.slow
def test_going_on_is_better_than_starting_anew(train_tiny, goes_on):
    first = train_tiny("training.dtype=float32", steps=60)
    options = ("training.dtype=float32", "optimizer.lr=0.01", "optimizer.adamw_lr=0.001")
    further, anew = goes_on(first.directory, *options), train_tiny(*options, out=first.directory.parent / "anew")
    bounds = [run.model.manifest["training"]["bound"]["bits_per_byte"]["mean"] for run in (further, first, anew)]
    assert bounds == sorted(bounds)


def test_what_is_minimized_is_what_the_model_was_trained_by_unless_said_otherwise(train_tiny):
    run = train_tiny(
        "model.block_length=4", "objective=clipped", "objective.clip=[0.3, 0.8]", "optimizer=adamw", steps=2
    )
    start = Start.of(run.directory)
    found = resolve(None, ["optimizer.lr=0.001"], start)
    assert (found.configuration.objective.clip, found.configuration.optimizer.lr) == ([0.3, 0.8], 0.001)
    origins = {key: found.origins[key] for key in ("objective.kind", "model.width", "optimizer.lr", "training.clip")}
    assert list(origins.values()) == ["start", "start", "override", "default"]
    named = resolve("default", (), start).configuration
    assert named.objective != found.configuration.objective
    assert named.model["block_length"] == 4


def test_context_attention_blocks_and_dropout_may_be_chosen_anew(train_tiny, goes_on):
    first = train_tiny(steps=4)
    chosen = {"context": 24, "block_length": 8, "dropout": 0.1}
    run = goes_on(first.directory, *(f"model.{name}={value}" for name, value in chosen.items()), steps=2)
    config = run.model.predictor.denoiser.config
    assert {name: getattr(config, name) for name in chosen} == chosen
    assert weights(run).keys() == weights(first).keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": ["model.width=32"]}, r"model\.width = 32 is asked for, and the model in .*run has 16: leave"),
        ({"overrides": ["tokenizer.size=300"]}, r"tokenizer\.size = 300 is asked for, and the model in .* has 2"),
        ({"overrides": ["tokenizer.kind=byte"]}, r"tokenizer\.kind = 'byte' is asked for, .* has 'bpe'"),
        ({"recipe": "udlm"}, r"process\.destination\.kind = 'uniform' is asked for, and .* has 'mask': leave"),
        ({"overrides": ["process.schedule=cos"]}, r"process\.schedule\.kind = 'cos' is asked for, .* 'one-minus-t'"),
        ({"overrides": ["objective=cross-entropy"]}, "gives leave_one_out probabilities, .* trains posterior ones"),
    ],
)
def test_what_contradicts_the_directory_is_refused(train_tiny, text, tmp_path, options, message):
    first = train_tiny(steps=1)
    with pytest.raises(UserError, match=message):
        train(text, start=first.directory, out=tmp_path / "next", steps=1, **options)
    assert not (tmp_path / "next").exists()


def test_a_directory_without_a_model_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="there is no model directory"):
        train(text, start=tmp_path / "none", steps=1)


@pytest.mark.slow
def test_a_saved_model_and_its_run_are_the_same_start_and_a_stopped_run_does_not_need_it(train_tiny, goes_on, tmp_path):
    first = train_tiny(steps=4)
    first.model.save(tmp_path / "saved")
    whole = goes_on(first.directory, out=tmp_path / "whole")

    def interrupt(report):
        if (report.phase, report.step) == ("training", 7):
            os.kill(os.getpid(), signal.SIGINT)

    stopped = goes_on(tmp_path / "saved", progress=interrupt)
    assert stopped.step == 7
    shutil.rmtree(tmp_path / "saved")
    resumed = resume(stopped.directory)
    assert (resumed.directory / "model.safetensors").read_bytes() == (
        whole.directory / "model.safetensors"
    ).read_bytes()


def published(family: str, folder: Path) -> Path:
    """A recorded checkpoint with a tokenizer of 240 bytes, which it came without."""
    shutil.copytree(GOLDEN / family / "checkpoint", folder)
    library = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={c: row for row, c in enumerate(ALPHABET[:240])}, merges=[])
    )
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    library.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llada", "dream", "sdar"])
def test_public_checkpoints_are_trained_on(family, goes_on, tmp_path):
    directory = published(family, tmp_path / family)
    before = load(directory)
    options = ("model.context=32", "optimizer=adamw", "optimizer.lr=0.003", "training.dtype=float32")
    still = goes_on(directory, *options, "optimizer.lr=0.0", steps=2, out=tmp_path / "still")
    kept = weights(still)
    for name, weight in before.predictor.denoiser.state_dict().items():
        assert torch.equal(kept[name], weight), name
    run = goes_on(directory, *options)
    bounds = [r.model.manifest["training"]["bound"]["bits_per_byte"]["mean"] for r in (run, still)]
    assert bounds[0] < bounds[1] - 0.1
    again = load(run.directory)
    assert again.predictor.process == before.predictor.process
    assert again.tokenizer.encode("ab ba") == before.tokenizer.encode("ab ba")
    assert again.predictor.denoiser.config.output_offset == before.predictor.denoiser.config.output_offset
    again.save(tmp_path / "published", layout=family)
    back = load(tmp_path / "published")
    for name, weight in again.predictor.denoiser.state_dict().items():
        assert torch.equal(back.predictor.denoiser.state_dict()[name], weight), name


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_causal_checkpoints_are_trained_on(family, goes_on):
    """One has a start symbol; the samples of the other begin with a word of the text."""
    directory = GOLDEN / family / "checkpoint"
    run = goes_on(directory, "objective=autoregressive", "model.context=32", "training.dtype=float32", steps=3)
    assert run.model.tokenizer.start == load(directory).tokenizer.start
    assert "Samples" in (run.directory / "report.md").read_text()


def test_a_checkpoint_without_a_tokenizer_cannot_learn_a_text(text, tmp_path):
    with pytest.raises(UserError, match="has no tokenizer, so it takes and gives ids alone"):
        train(text, start=GOLDEN / "llada" / "checkpoint", out=tmp_path / "run", steps=1)


def test_lines_of_another_text_are_read_by_the_same_tokenizer(train_tiny, tmp_path):
    first = train_tiny(steps=2)
    other = write_text(tmp_path / "other.txt")
    other.write_text(other.read_text().upper())
    run = train(other, start=first.directory, out=tmp_path / "next", overrides=SETTINGS, steps=2, threads=1)
    assert run.model.tokenizer == first.model.tokenizer
