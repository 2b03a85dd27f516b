"""Repair of planted errors: exact networks of worlds without doubt, counts against a plain loop, every recipe."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import undiffuse
from undiffuse.errors import UserError
from undiffuse.evaluate import repair as module
from undiffuse.evaluate.repair import METHODS, PASSES, error_time, plant, repair
from undiffuse.exact.denoiser import ArbitraryDenoiser, bayes_predictor
from undiffuse.exact.vectors import exact_vectors
from undiffuse.exact.world import World, world
from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.process.gammas.linear import Linear
from undiffuse.randomness import Draws
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training.assembly import network_of, predictor_of
from undiffuse.training.plan import Size, sized
from undiffuse.training.recipe import resolve
from undiffuse.vocabulary import Vocabulary

GIDD = {"uniform_share": 0.2, "shape": 1.0}
NOISES = {
    "mask": {"destination": {"kind": "mask"}},
    "uniform": {"destination": {"kind": "uniform"}},
    "mix": {"destination": {"kind": "mix", "uniform_share": 0.3}},
    "growing-mask": {"schedule": {"kind": "gidd", **GIDD}, "destination": {"kind": "growing-mask", **GIDD}},
    "discrete": {"kind": "discrete", "steps": 40, "destination": {"kind": "uniform"}},
}
RECIPES = sorted(path.stem for path in (Path(undiffuse.__file__).parent / "recipes").glob("*.toml"))
BYTES = Tokenizer.byte_level()


def model_of(predictor: Predictor) -> LanguageModel:
    return LanguageModel(predictor, BYTES, {})


def same(tokens: int = 3, length: int = 6) -> World:
    """One token all along: with one error, what is wrong and what is right is certain, or nearly."""
    laws = [0.0] * tokens**length
    for v in range(tokens):
        laws[sum(v * tokens**place for place in range(length))] = 1.0
    return world(tokens, length, laws)


def exact(name: str, toy: World) -> LanguageModel:
    if name == "gaussian":
        return model_of(exact_vectors(toy, Linear()))
    return model_of(bayes_predictor(toy, build_process(NOISES[name], toy.vocabulary)))


def without_doubt(name: str) -> World:
    """Noisy vectors of few tokens say little of each: it takes more of them to be sure."""
    return same(tokens=2, length=12) if name == "gaussian" else same()


def errors(toy: World, rows: int = 12):
    texts = toy.rows[torch.arange(rows) % toy.tokens][:, None].expand(rows, toy.length)
    return plant(texts.contiguous(), 1 / toy.length, toy.vocabulary, seed=3)


def random_model(recipe: str) -> LanguageModel:
    """The network of a recipe, smallest size, with weights that are not zero anywhere."""
    size = Size(width=16, depth=1, heads=2, context=24, rows=4)
    smallest = ["model.width=16", "model.depth=1", "model.heads=2", "model.context=24"]
    if recipe == "block":
        smallest.append("model.block_length=8")
    configuration = sized(resolve(recipe, smallest).configuration, size)
    network = network_of(configuration, BYTES, seed=0)
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.requires_grad_(False).add_(0.2 * torch.randn_like(parameter))
    return LanguageModel(predictor_of(configuration, BYTES, network), BYTES, {})


def windows(rows: int = 5, length: int = 24, seed: int = 1) -> torch.Tensor:
    real = torch.tensor(BYTES.vocabulary.predictable)
    return real[Draws.seeded(seed).at(torch.arange(rows)).along(length).integers(len(real))]


# Planting


def test_errors_are_other_real_tokens_at_the_share_asked_for():
    vocabulary = Vocabulary(8, mask=2, reserved=frozenset({5}))
    real = torch.tensor(vocabulary.predictable)
    truth = real[Draws.seeded(0).along(50 * 33).integers(6)].view(50, 33)
    planted = plant(truth, 0.1, vocabulary, seed=0)
    assert torch.equal(planted.ids != truth, planted.wrong)
    assert int(planted.wrong.sum()) == 165
    assert {int(count) for count in planted.wrong.sum(-1)} == {3, 4}
    assert set(planted.ids.flatten().tolist()) == set(vocabulary.predictable)


def test_every_other_token_is_as_likely():
    vocabulary = Vocabulary(6, mask=3)
    planted = plant(torch.full((400, 50), 2), 0.5, vocabulary, seed=0)
    counts = torch.bincount(planted.ids[planted.wrong], minlength=6)
    assert counts[[2, 3]].tolist() == [0, 0]
    assert (counts[[0, 1, 4, 5]] - 2500).abs().max() < 4 * (10_000 * 3 / 16) ** 0.5
    places = planted.wrong.sum(0)
    assert (places - 200).abs().max() < 4 * 10


def test_errors_hang_on_the_seed_and_the_text_alone():
    truth, vocabulary = windows(), BYTES.vocabulary
    planted = plant(truth, 0.2, vocabulary, seed=0)
    assert torch.equal(plant(truth, 0.2, vocabulary, seed=0).ids, planted.ids)
    assert torch.equal(plant(truth[:2], 0.2, vocabulary, seed=0).ids, planted.ids[:2])
    assert not torch.equal(plant(truth, 0.2, vocabulary, seed=1).ids, planted.ids)


@pytest.mark.parametrize(
    ("share", "ids", "message"),
    [
        (0.0, torch.zeros(2, 4, dtype=torch.long), "between 0 and 1, not 0.0"),
        (0.01, torch.zeros(2, 4, dtype=torch.long), "0.01 of 8 tokens is no token"),
        (0.1, torch.zeros(0, 4, dtype=torch.long), "no window"),
    ],
)
def test_what_cannot_be_planted_is_refused(share, ids, message):
    with pytest.raises(UserError, match=message):
        plant(ids, share, BYTES.vocabulary, seed=0)


# Time of the noise


@pytest.mark.parametrize("name", ["uniform", "mix", "growing-mask", "discrete", "band", "gaussian moves"])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_time_is_that_at_which_noise_makes_so_many_errors(name, share):
    vocabulary = Vocabulary(40, mask=3)
    moves = {"band": "band", "gaussian moves": "gaussian"}
    spec = {"kind": "matrix", "moves": moves[name], "width": 5} if name in moves else NOISES[name]
    process = build_process(spec, vocabulary)
    real = torch.tensor(vocabulary.predictable)
    ids = real[Draws.seeded(1).along(40_000).integers(39)].view(200, 200)
    t = error_time(process, ids, share)
    draws = Draws.seeded(2).at(torch.arange(200))[:, None].at(torch.arange(200))
    at = torch.full(ids.shape, t, dtype=torch.float64)
    noisy = process.corrupt(ids, at, draws, torch.ones_like(ids, dtype=torch.bool)).state.ids
    seen = noisy != 3
    found = (noisy != ids)[seen].double().mean().item()
    step = 0.0 if process.steps is None else 0.6 / process.steps  # noise grows by at most 1 from 0 to 1: half a step
    assert abs(found - share) < step + 4 * (share * (1 - share) / int(seen.sum())) ** 0.5


def test_vectors_are_misread_as_often_as_errors_are_planted():
    toy = same(tokens=3, length=2)
    process = exact_vectors(toy, Linear()).process
    ids = toy.rows[torch.arange(4000) % 3][:, None]
    t = error_time(process, ids, 0.2)
    noised = process.corrupt(
        ids[:, 0], torch.full((4000,), t), Draws.seeded(5).along(4000), torch.ones(4000, dtype=torch.bool)
    )
    clean = process.at(torch.tensor(t)).alpha * process.table[toy.rows[:-1]]
    nearest = toy.rows[(noised.state.latent[:, None] - clean).square().sum(-1).argmin(-1)]
    assert abs((nearest != ids[:, 0]).double().mean().item() - 0.2) < 0.03


def test_masks_never_make_an_error():
    process = build_process(NOISES["mask"], BYTES.vocabulary)
    assert error_time(process, windows(), 0.1) == 1.0


@pytest.mark.parametrize("steps", [1, 3, 4, 100])
def test_discrete_time_has_no_more_steps_than_there_are(steps):
    """Four of forty steps lie below the time of a tenth of errors."""
    process = build_process(NOISES["discrete"], BYTES.vocabulary)
    assert error_time(process, windows(), 0.1) == 0.1
    stubborn = Predictor(Stubborn(BYTES.vocabulary, 65, 24), process, "leave_one_out")
    planted = plant(windows(), 0.1, BYTES.vocabulary, seed=0)
    assert repair(model_of(stubborn), planted, "reverse", steps, seed=0).nfe == min(steps, 4)


# Repair where it is certain


@pytest.mark.parametrize("name", [*NOISES, "gaussian"])
@pytest.mark.parametrize("steps", [1, 6])
def test_the_reverse_process_of_exact_networks(name, steps):
    toy = without_doubt(name)
    found = repair(exact(name, toy), errors(toy), "reverse", steps, seed=0)
    assert (found.planted, found.sound) == (12, 12 * (toy.length - 1))
    if name == "mask":
        assert (found.repaired, found.moved, found.damaged, found.nfe) == (0, 0, 0, 0)
    else:
        assert (found.repaired, found.moved, found.damaged) == (12, 0, 0)
        assert found.nfe == steps


@pytest.mark.parametrize("name", [*NOISES, "gaussian"])
def test_a_second_look_of_exact_networks(name):
    toy = without_doubt(name)
    found = repair(exact(name, toy), errors(toy), "relook", 6, seed=0)
    assert (found.planted, found.repaired, found.moved, found.damaged) == (12, 12, 0, 0)
    assert found.nfe == (6 if name == "mask" else 1)


def test_a_second_look_needs_only_one_error_at_a_time():
    """Two errors of six, whose surroundings are contradictory: the second is found after the first is gone."""
    toy = same(tokens=3, length=6)
    truth = toy.rows[torch.arange(9) % 3][:, None].expand(9, 6).contiguous()
    planted = plant(truth, 1 / 3, toy.vocabulary, seed=0)
    found = repair(exact("uniform", toy), planted, "relook", 2, seed=0)
    assert (found.planted, found.nfe) == (18, 2)
    assert found.repaired == 18
    assert found.damaged == 0


# Counting


class Stubborn(Denoiser):
    """A network that expects one token everywhere, whatever stands there."""

    def __init__(self, vocabulary: Vocabulary, token: int, context: int) -> None:
        self.shape, self.token = (vocabulary.rows, context), token

    @property
    def traits(self):
        return Traits(*self.shape, rules.full)

    def trunk(self, rows, kv=None):
        logits = torch.zeros(*rows.state.ids.shape, self.shape[0])
        logits[..., self.token] = 40.0
        return logits

    def head(self, hidden):
        return hidden


def test_counts_are_those_of_a_plain_loop():
    vocabulary = Vocabulary(7, mask=3)
    truth = torch.tensor(vocabulary.predictable)[Draws.seeded(0).along(200).integers(6)].view(10, 20)
    planted = plant(truth, 0.4, vocabulary, seed=0)
    stubborn = Predictor(Stubborn(vocabulary, 5, 20), build_process(NOISES["uniform"], vocabulary), "leave_one_out")
    found = repair(model_of(stubborn), planted, "reverse", 1, seed=0)
    repaired = moved = damaged = 0
    for stands, right in zip(planted.ids.flatten().tolist(), truth.flatten().tolist(), strict=True):
        repaired += stands != right and right == 5
        moved += stands != right and right != 5 and stands != 5
        damaged += stands == right and right != 5
    assert (found.repaired, found.moved, found.damaged) == (repaired, moved, damaged)
    assert (found.planted, found.sound) == (80, 120)
    assert min(repaired, moved, damaged) > 0
    assert found.json() == {
        "method": "reverse",
        "share": 0.4,
        "planted": 80,
        "repaired": repaired,
        "moved": moved,
        "sound": 120,
        "damaged": damaged,
        "nfe": 1,
    }
    # as many changes as errors are expected, and none where the token stands already
    relook = repair(model_of(stubborn), planted, "relook", 4, seed=0)
    assert relook.repaired + relook.moved + relook.damaged == 80
    assert relook.nfe == 4


# All systems


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe(recipe, method):
    model = random_model(recipe)
    planted = plant(windows(), 0.2, model.predictor.process.vocabulary, seed=0)
    if method == "reverse" and model.predictor.traits.reads_previous:
        with pytest.raises(UserError, match=r"no reverse process that takes a token back.*'relook'"):
            repair(model, planted, method, 8, seed=0)
        return
    found = repair(model, planted, method, 8, seed=0)
    assert (found.planted, found.sound) == (24, 96)
    assert 0 <= found.repaired + found.moved <= found.planted
    assert found.nfe <= 8
    assert repair(model, planted, method, 8, seed=0) == found
    process = model.predictor.process
    if method == "reverse" and not process.shows_tokens:
        assert (found.repaired, found.moved, found.damaged, found.nfe) == (0, 0, 0, 0)
    elif method == "reverse":
        assert found.nfe == min(8, round(error_time(process, planted.ids, 0.2) * (process.steps or 1000)))
        assert found.moved + found.damaged > 0
    else:
        assert 0 < found.repaired + found.moved + found.damaged <= 25  # five changes in each of five windows
    # the truth is read after all is done: as many places change if nothing is said to be wrong
    untold = replace(planted, truth=planted.ids, wrong=torch.zeros_like(planted.wrong))
    assert repair(model, untold, method, 8, seed=0).damaged == found.repaired + found.moved + found.damaged


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["udlm", "mdlm", "gidd", "sedd-uniform", "d3pm-matrix"])
@pytest.mark.parametrize("method", METHODS)
def test_windows_do_not_mind_their_company(recipe, method, monkeypatch):
    model = random_model(recipe)
    planted = plant(windows(), 0.2, model.predictor.process.vocabulary, seed=0)
    together = repair(model, planted, method, 8, seed=0)
    monkeypatch.setattr("undiffuse.likelihood.windows.TOKENS_AT_ONCE", 48)
    assert repair(model, planted, method, 8, seed=0) == together


@pytest.mark.parametrize("recipe", ["udlm", "plaid"])
def test_draws_hang_on_the_seed(recipe):
    model = random_model(recipe)
    planted = plant(windows(rows=16), 0.2, model.predictor.process.vocabulary, seed=0)
    found = {repair(model, planted, "reverse", 8, seed=seed).json()["damaged"] for seed in range(4)}
    assert len(found) > 1


def test_a_hidden_token_is_judged_by_what_is_seen():
    """No judged token of masked noise is visible, every one is hidden once, and a few at a time."""
    toy = same(tokens=2, length=12)
    seen = []

    class Watching(ArbitraryDenoiser):
        def trunk(self, rows, kv=None):
            seen.append(rows.state.ids == toy.vocabulary.mask)
            return super().trunk(rows, kv)

    predictor = Predictor(Watching(toy, seed=1), build_process(NOISES["mask"], toy.vocabulary), "leave_one_out")
    planted = errors(toy, rows=3)
    found = repair(model_of(predictor), planted, "relook", PASSES + 3, seed=0)
    assert found.nfe == len(seen) == PASSES
    assert torch.equal(torch.stack(seen).sum(0), torch.ones(3, 12, dtype=torch.long))
    assert all(set(hidden.sum(-1).tolist()) <= {1, 2} for hidden in seen)
    assert not torch.equal(seen[0][0], seen[0][1])


def test_what_cannot_be_done_is_refused():
    model = random_model("udlm")
    planted = plant(windows(), 0.2, BYTES.vocabulary, seed=0)
    with pytest.raises(UserError, match=r"no method of repair 'revers'.*reverse"):
        repair(model, planted, "revers", 8, seed=0)
    with pytest.raises(UserError, match="at least 1 step, not 0"):
        repair(model, planted, "reverse", 0, seed=0)
    long = plant(windows(length=25), 0.2, BYTES.vocabulary, seed=0)
    with pytest.raises(UserError, match="25 tokens are longer than the model's context of 24"):
        repair(model, long, "reverse", 8, seed=0)
    assert module.METHODS == ("reverse", "relook")
