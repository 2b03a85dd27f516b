"""Noise by matrices of moves: what is corrupted, numbers at the size of bytes, what is refused."""

import json

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.kinds import build_process, describe_process
from undiffuse.process.matrix import Matrix
from undiffuse.process.prediction import Prediction
from undiffuse.process.schedules.geometric import Geometric
from undiffuse.randomness import Draws
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.types import State
from undiffuse.vocabulary import Vocabulary

SMALL = Vocabulary(9, mask=2, pad=4)
BYTES = Tokenizer.byte_level().vocabulary


@pytest.mark.parametrize("moves", ["band", "gaussian"])
def test_moves_are_symmetric_and_go_no_farther_than_they_should(moves):
    matrix = Matrix(BYTES, moves=moves, width=3).move
    assert torch.equal(matrix, matrix.T)
    assert torch.allclose(matrix.sum(-1), torch.ones(len(matrix), dtype=torch.float64))
    assert (matrix[100, 90:111].sum() > 0.999).item()
    assert (matrix[100, 104:].sum() > 0).item() == (moves == "gaussian")


def test_positions_have_the_matrix_of_their_own_time():
    rows = torch.rand(7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    process = Matrix(SMALL, moves="given", matrix=(rows / rows.sum(-1, keepdim=True)).tolist())
    t = torch.tensor([0.9, 0.1, 0.5, 0.1, 0.9, 0.3, 0.5], dtype=torch.float64)
    ids = torch.tensor(SMALL.predictable)
    together = process.marginal(ids, t)
    alone = torch.cat([process.marginal(ids[i : i + 1], t[i : i + 1]) for i in range(7)])
    assert torch.equal(together, alone)


def test_corrupted_tokens_have_the_law_of_the_marginal():
    """In a vocabulary whose mask and padding lie among the tokens; fixed text is clean."""
    process = Matrix(SMALL, moves="band", width=1, steps=4)
    count = 20000
    x, editable = torch.full((count,), 3), torch.arange(count) < count - 5
    noised = process.corrupt(x, torch.full((count,), 0.6), Draws.seeded(0).at(torch.arange(count)), editable)
    assert noised.t[0] == 0.75
    assert (noised.state.ids[-5:] == 3).all()
    assert (noised.t[-5:] == 0).all()
    generator = process.move - torch.eye(7, dtype=torch.float64)
    law = torch.linalg.matrix_exp(-torch.tensor(0.25).double().log() * generator)[2]  # 3 is the third token
    share = torch.stack([(noised.state.ids == row).double().mean() for row in SMALL.predictable])
    assert (share - law).abs().max() < 0.012


@pytest.mark.parametrize("moves", ["band", "gaussian", "uniform", "mask"])
def test_numbers_at_the_size_of_bytes(moves):
    """A thousand steps in float32 logits, every position of which is finite and near what float64 gives."""
    process = Matrix(BYTES, moves=moves, steps=1000)
    torch.manual_seed(0)
    ids, t = torch.arange(64), torch.linspace(0.001, 1, 64, dtype=torch.float64)
    logits = 3 * torch.randn(64, BYTES.rows, dtype=torch.float64)
    logits[:, list(BYTES.unpredictable)] = -torch.inf
    noised = process.corrupt(ids, t, Draws.seeded(0).at(ids), torch.ones(64, dtype=torch.bool))

    def bound(values: torch.Tensor) -> torch.Tensor:
        evidence = lambda: process.log_likelihood(noised.state, noised.t)  # noqa: E731
        return process.bound(Prediction(values, "leave_one_out", evidence), noised)

    narrow = logits.float().requires_grad_()
    exact, found = bound(logits), bound(narrow)
    assert (exact > -1e-8).all()
    assert ((found - exact).abs() / (1 + exact)).max() < 2e-4
    found.sum().backward()
    assert narrow.grad[:, : BYTES.size].isfinite().all()


def test_noise_ends_uniform_or_says_what_is_left():
    assert Matrix(SMALL, width=1).prior_kl() == pytest.approx(0, abs=1e-12)
    left = [Matrix(SMALL, Geometric(1e-4, end), width=1).prior_kl() for end in (1.0, 5.0, 50.0)]
    assert left[0] > left[1] > left[2] > 0


def uneven(size: int) -> torch.Tensor:
    rows = ((torch.arange(size)[:, None] * 3 + torch.arange(size) ** 2 + 1) % 5).double()
    return rows / rows.sum(-1, keepdim=True)


@pytest.mark.parametrize("size", [7, 8])
def test_a_given_matrix_comes_back_exactly_from_its_rows(size):
    """The mask is among the states if there is a row for it."""
    process = Matrix(SMALL, moves="given", matrix=uneven(size).tolist())
    again = build_process(json.loads(json.dumps(describe_process(process))), SMALL)
    assert again == process
    torch.testing.assert_close(again.move, uneven(size), rtol=0, atol=1e-15)
    assert process.states.tolist() == [0, 1, 3, 5, 6, 7, 8, 2][:size]


def test_what_a_constraint_rules_out_does_not_break_a_step():
    """Of two parts that do not mix, the prediction allows the one in which the state is not."""
    parts = torch.block_diag(torch.full((3, 3), 1 / 3), torch.full((4, 4), 1 / 4)).tolist()
    process = Matrix(SMALL, moves="given", matrix=parts)
    logits = torch.full((50, 9), -torch.inf)
    logits[:, 8] = 0.0  # of the second part
    state, t = State(torch.full((50,), 1)), torch.ones((), dtype=torch.float64)
    prediction = Prediction(logits, "leave_one_out", lambda: process.log_likelihood(state, t))
    draws = Draws.seeded(0).at(torch.arange(50))
    assert set(process.step(prediction, state, t, t / 2, draws).state.ids.tolist()) <= {5, 6, 7, 8}
    assert (process.step(prediction, state, t, t * 0, draws).state.ids == 8).all()


def test_what_nothing_moves_to_is_known_and_final():
    to_last = torch.eye(7).index_copy(0, torch.arange(6), torch.eye(7)[6:].expand(6, -1))
    process = Matrix(SMALL, moves="given", matrix=to_last.tolist())
    noised = process.corrupt(
        torch.tensor([0, 1, 8]), torch.full((3,), 1e-9), Draws.seeded(1).at(torch.arange(3)), torch.ones(3).bool()
    )
    assert process.informative(noised).tolist() == (noised.state.ids == 8).tolist()
    draws, t = Draws.seeded(0).at(torch.arange(3)), torch.ones(3, dtype=torch.float64)
    assert process.reads(State(torch.tensor([0, 1, 8])), t, t / 2, draws).all()  # or 0 and 1 would stay undecided


def test_it_comes_back_from_its_description():
    process = Matrix(SMALL, Geometric(), "gaussian", 3, 7)
    assert build_process(describe_process(process), SMALL) == process


@pytest.mark.parametrize(
    ("vocabulary", "options", "message"),
    [
        (Vocabulary(1028, mask=1024), {}, "at most 300 tokens, and this vocabulary has 1027: use tokenizer.kind=byte"),
        (Vocabulary(9), {"moves": "mask"}, "moves 'mask' need a mask, and the vocabulary has none; use 'uniform'"),
        (SMALL, {"moves": "mask", "schedule": Geometric()}, "need α.1. = 0, or the prior term is infinite"),
        (SMALL, {"width": 0}, "width and steps must be at least 1, not 0 and 100"),
        (SMALL, {"moves": "given"}, "moves 'given' need process.matrix: a file"),
        (SMALL, {"matrix": [[1.0]]}, "there is a matrix, and moves are 'band': set process.moves=given"),
        (
            SMALL,
            {"moves": "given", "matrix": [[1.0]]},
            "matrix has 1 rows, and .* 7 tokens: give 7 × 7 .*or 8 × 8 with",
        ),
        (SMALL, {"moves": "given", "matrix": [[1.0] * 6] * 7}, "7 rows and 6 numbers in row 0"),
        (SMALL, {"moves": "given", "matrix": [[0.25] * 7] * 7}, "row 0 of matrix sums to 1.75"),
        (SMALL, {"moves": "given", "matrix": [[-1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]] * 7}, "matrix holds -1.0 in row 0"),
        (SMALL, {"moves": "given", "matrix": ["1,x"]}, "matrix is not a list of rows of numbers"),
    ],
)
def test_what_is_refused(vocabulary, options, message):
    with pytest.raises(UserError, match=message):
        build_process({"kind": "matrix", **options}, vocabulary)
