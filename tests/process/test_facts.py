"""What follows from what a process says of itself, for processes that no list of classes would have held."""

import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import denoise, finished
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.first_hitting import FirstHitting
from undiffuse.errors import UserError
from undiffuse.kinds import STRATEGIES
from undiffuse.language_model.defaults import default_strategy
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.process import needs
from undiffuse.process.gaussian import Gaussian
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.matrix import Matrix
from undiffuse.process.needs import Need, require
from undiffuse.process.spindle import Spindle
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(6, mask=5)
MASKING = {
    "interpolating": Interpolating(VOCABULARY),
    "spindle": Spindle(VOCABULARY, 0.3, (9, 4, 2, 1, 1)),
    "matrix": Matrix(VOCABULARY, moves="mask", steps=8),
}


class Bigrams(Denoiser):
    """Prefers at every place the token that follows, by number, the one before it."""

    traits = Traits(6, 16, rules.full)

    def trunk(self, rows, kv=None):
        before = torch.nn.functional.pad(rows.state.ids, (1, 0))[:, :-1]
        return torch.nn.functional.one_hot((before + 1) % 5, 6).float()

    def head(self, hidden):
        return 5 * hidden


def predictor(name: str) -> Predictor:
    return Predictor(Bigrams(), MASKING[name], "posterior")


@pytest.mark.parametrize("name", MASKING)
def test_whatever_masks_is_decided_position_by_position(name):
    ids = torch.tensor([2, 0, 0, 0])
    canvas = start(ids, torch.tensor([False, True, True, True]), key=0)
    assert finished(denoise(predictor(name), canvas, Decoder(Confidence()))).ids.tolist() == [[2, 3, 4, 0]]
    assert default_strategy(predictor(name), drawing=False) == "confidence"


@pytest.mark.parametrize("kind", STRATEGIES.kinds)
def test_no_refusal_says_of_noise_with_a_mask_that_it_has_none(kind):
    for process in MASKING.values():
        for need in STRATEGIES.load(kind)().needs:
            assert need.fact is not needs.has_mask or need.fact(process)


def test_the_refusal_names_the_noise():
    with pytest.raises(UserError, match="noise of this model is spindle; use strategy 'ancestral'"):
        require(STRATEGIES.load("tweedie")().needs, MASKING["spindle"])


def test_first_hitting_refuses_masks_that_do_not_come_at_one_rate():
    with pytest.raises(UserError, match="alike for every token"):
        require(FirstHitting().needs, MASKING["spindle"])


def test_the_first_unmet_need_is_told():
    unmet = (Need(lambda process: True, "no"), Need(lambda process: False, "because"), Need(lambda process: False, "2"))
    with pytest.raises(UserError, match=r"^because$"):
        require(unmet, MASKING["spindle"])


def test_a_matrix_that_moves_to_the_mask_and_to_tokens_has_both():
    rows = [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    both = Matrix(Vocabulary(3, mask=2), moves="given", matrix=rows)
    assert (both.mask, both.shows_tokens) == (2, True)
    apart = Matrix(Vocabulary(3, mask=2), moves="given", matrix=[[0.5, 0.5], [0.5, 0.5]])
    assert (apart.mask, apart.shows_tokens, apart.unread_is_drawn) == (None, True, True)


@pytest.mark.parametrize("name", MASKING)
def test_a_mask_that_is_fixed_is_a_prompt_that_is_not_shown(name):
    from undiffuse.randomness import Draws

    ids = torch.tensor([[5, 1, 2]])
    editable = torch.tensor([[False, True, True]])
    noised = MASKING[name].corrupt(ids, torch.full((1, 3), 0.5), Draws.seeded(0).along(3)[None], editable)
    assert noised.t[0, 0] == 1
    assert noised.state.ids[0, 0] == 5


def test_vectors_have_no_time_of_a_share():
    with pytest.raises(UserError, match="no time at which a share"):
        Gaussian(VOCABULARY).time_at(torch.tensor(0.5))
