"""A label of a head that the network's answers contradict is refused, and no other."""

import json
import math

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.exact.catalog import golden
from undiffuse.exact.denoiser import ArbitraryDenoiser, BayesDenoiser, bayes_predictor
from undiffuse.exact.laws.scores import ScoreDenoiser
from undiffuse.exact.noise import Noise
from undiffuse.exact.vectors import exact_vectors
from undiffuse.exact.world import world
from undiffuse.kinds import OBJECTIVES, build_process, describe
from undiffuse.language_model import LanguageModel, load
from undiffuse.language_model.probe import LATE, Answers, late_time, probe, recorded
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.destinations.uniform import Uniform
from undiffuse.process.gammas.linear import Linear
from undiffuse.process.interpolating import Interpolating
from undiffuse.text.tokenizer import Tokenizer

SKEWED = world(3, 2, [90, 1, 3, 2, 20, 1, 5, 4, 1])
HEADS = ("leave_one_out", "posterior", "score")
OWN = 4.0
"""What the network made here adds to the logit of the token that it sees; the probe's λ are 6.4, 5.2 and 3.4."""


@pytest.mark.parametrize("noise", ["uniform", "mix k=.3", "growing-mask p=.2"])
@pytest.mark.parametrize("head", ["leave_one_out", "posterior"])
def test_exact_networks_are_what_they_are_under_every_label(noise, head):
    process = golden(SKEWED)[noise]
    exact = BayesDenoiser(SKEWED, Noise(process), head)
    for label in HEADS:
        answers = probe(Predictor(exact, process, label))
        assert answers.kind in (head, None)  # the spread of so few tokens may be too small to judge by
        assert answers.shares == pytest.approx([float(head == "posterior")] * 3, abs=1e-6)


def test_vectors_are_told_too():
    for head in ("leave_one_out", "posterior"):
        answers = probe(exact_vectors(SKEWED, Linear(), head))
        assert answers.kind == head
        assert answers.late is None


def test_ratios_are_told_by_mere_noise():
    process = Interpolating(SKEWED.vocabulary, destination=Uniform())
    scores = ScoreDenoiser(process, BayesDenoiser(SKEWED, Noise(process), "leave_one_out"))
    for label in HEADS:
        answers = probe(Predictor(scores, process, label))
        assert answers.kind == "score"
        assert answers.late < LATE
        assert (answers.contradict(label) is None) == (label == "score")
    prediction = probe(bayes_predictor(SKEWED, process))
    assert prediction.contradict("score") == "leave_one_out"


def test_mere_noise_is_where_a_token_says_nothing():
    process = Interpolating(SKEWED.vocabulary, destination=Uniform())
    t = torch.tensor(late_time(bayes_predictor(SKEWED, process)), dtype=torch.float64)
    at = process.law.marginal(t)
    assert math.log1p(at.alpha / at.real) == pytest.approx(LATE)
    blind = Predictor(ArbitraryDenoiser(SKEWED, 0), process, "score")
    assert late_time(blind) is None, "a network that is not told the time cannot be flat in mere noise alone"


def test_masked_noise_asks_the_network_nothing(monkeypatch):
    predictor = bayes_predictor(SKEWED, Interpolating(SKEWED.vocabulary, destination=Mask()))
    monkeypatch.setattr(BayesDenoiser, "trunk", lambda *_: pytest.fail("the network was run"))
    assert probe(predictor) is None


@pytest.mark.parametrize(
    ("shares", "spread", "late", "kind"),
    [
        ((0.0, 0.01, -0.02), 2.0, None, "leave_one_out"),
        ((0.9, 1.0, 1.1), 2.0, None, "posterior"),
        ((0.9, 1.0, 1.1), 0.4, None, None),
        ((0.9, 0.2, 1.1), 2.0, None, None),
        ((5.0, 7.0, 15.0), 2.0, None, None),
        ((0.1, 0.1, 0.1), 2.0, None, None),
        ((0.0, 0.0, 0.0), 2.0, 0.1, "score"),
        ((0.0, 0.0, 0.0), 2.0, 1.0, None),
        ((0.0, 0.0, 0.0), 2.0, 1.9, "leave_one_out"),
        ((math.nan,) * 3, 2.0, None, None),
    ],
)
def test_what_is_not_clear_is_not_judged(shares, spread, late, kind):
    answers = Answers(shares, spread, late)
    assert answers.kind == kind
    assert answers.contradict("posterior") == (None if kind == "leave_one_out" or kind == "posterior" else kind)
    assert answers.contradict("leave_one_out") == (None if kind == "leave_one_out" else kind)
    assert answers.contradict("score") == (None if late is None or kind == "score" else kind)


def make(own: float, head: str, manifest: dict | None = None) -> LanguageModel:
    """Uniform noise; logits are one law of the tokens, and `own` more at the token that stands there."""
    tokenizer = Tokenizer.byte_level()
    rows = tokenizer.vocabulary.rows
    network = Transformer(TransformerConfig(rows=rows, width=rows + 2 + rows % 2, depth=1, heads=1, context=16))
    torch.nn.init.zeros_(network.embedding.weight)
    network.embedding.weight.data[:, :rows].fill_diagonal_(1.0)
    network.embedding.weight.data[:, rows] = 1.0  # what all tokens have in common
    shown = network.norm(network.embedding.weight[:1]).detach()[0]
    weight = torch.zeros(rows, network.config.width)
    weight[:, :rows].fill_diagonal_(own / (shown[0] - shown[1]).item())
    weight[:, rows] = torch.linspace(-3, 3, rows) / shown[rows]
    network.unembedding.weight.data = weight
    process = build_process({"destination": {"kind": "uniform"}}, tokenizer.vocabulary)
    return LanguageModel(Predictor(network.requires_grad_(False), process, head), tokenizer, manifest or {})


def relabelled(directory, head):
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"head": head}))


def test_a_posterior_that_is_called_leave_one_out_is_refused(tmp_path):
    make(OWN, "posterior").save(tmp_path / "run")
    assert load(tmp_path / "run").predictor.head == "posterior"
    relabelled(tmp_path / "run", "leave_one_out")
    with pytest.raises(UserError) as refused:
        load(tmp_path / "run")
    message = str(refused.value)
    assert f'{tmp_path / "run" / "manifest.json"} says "head": "leave_one_out"' in message
    assert "answers as a posterior head: logits change by 0.6" in message
    assert 'set "head": "posterior" there, or load(directory, check_head=False)' in message
    assert load(tmp_path / "run", check_head=False).predictor.head == "leave_one_out"


@pytest.mark.parametrize("label", HEADS)
def test_a_network_that_ignores_its_own_token_may_be_a_posterior_still_to_learn(tmp_path, label):
    make(0.0, label).save(tmp_path / "run")
    assert load(tmp_path / "run").predictor.head == label


def test_random_weights_are_never_refused(uniform, tmp_path):
    for label in HEADS:
        model = LanguageModel(
            Predictor(uniform.predictor.denoiser, uniform.predictor.process, label), uniform.tokenizer, {}
        )
        model.save(tmp_path / label)
        assert load(tmp_path / label).predictor.head == label


def test_a_run_says_itself_what_it_trained(tmp_path):
    """Of a run the answers are not asked: an objective may mix kinds, and a short one may not have learned."""
    trained = {"training": {"objective": {"kind": "bound", "times": {"kind": "uniform"}}}}
    make(OWN, "leave_one_out", trained).save(tmp_path / "run")
    assert load(tmp_path / "run").predictor.head == "leave_one_out"
    relabelled(tmp_path / "run", "posterior")
    with pytest.raises(
        UserError, match=r'says "head": "posterior", but its run trained a leave_one_out head.*check_head'
    ):
        load(tmp_path / "run")


def test_every_objective_is_read_from_its_record():
    for kind in OBJECTIVES.kinds:
        objective = OBJECTIVES.build({"kind": kind})
        assert recorded({"training": {"objective": describe(objective)}}) == objective.head
    posterior = {"kind": "flow-matching", "output": "posterior"}
    assert recorded({"training": {"objective": posterior}}) == "posterior"
    for manifest in ({}, {"training": {}}, {"training": None}, {"training": {"objective": {"kind": "of-tomorrow"}}}):
        assert recorded(manifest) is None


def test_a_kind_that_does_not_exist(tmp_path):
    make(OWN, "posterior").save(tmp_path / "run")
    relabelled(tmp_path / "run", "posteriour")
    with pytest.raises(UserError, match='"head": "posteriour", which is none of leave_one_out, posterior, score'):
        load(tmp_path / "run")
