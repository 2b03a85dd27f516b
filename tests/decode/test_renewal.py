"""Jumps and Ψ steps: their laws are in exact/laws/flow_matching.py."""

import itertools

import pytest
import torch
from toy import predictor

from undiffuse.decode.canvas import start
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.flow_jump import FlowJump
from undiffuse.decode.strategies.psi import Psi
from undiffuse.errors import UserError
from undiffuse.process.needs import require


def drawn(strategy, destination="uniform", steps=6, prompt=3):
    pending = torch.arange(12) >= prompt
    canvas = start(torch.arange(12) % 4, pending, key=3, steps=steps)
    return [after for after, _ in walk(predictor(destination), canvas, strategy)][-1]


def test_renewing_nothing_is_the_reverse_chain():
    for destination in ("uniform", "mix", "growing-mask"):
        assert drawn(Psi(mode="constant", kappa=1.0), destination).ids.equal(drawn(Ancestral(), destination).ids)


def test_renewing_everything_changes_more_than_the_reverse_chain():
    """Of two nearby states of a run: with κ = 0 every token is redrawn in every step."""
    pending = torch.ones(40).bool()
    changed = []
    for kappa in (0.0, 1.0):
        canvas = start(torch.zeros(40, dtype=torch.long), pending, key=3, steps=40)
        states = [after.ids for after, _ in walk(predictor("uniform", 0.5), canvas, Psi(mode="constant", kappa=kappa))]
        changed.append(sum(int((a != b).sum()) for a, b in itertools.pairwise(states[1:])))
    assert changed[0] > 5 * changed[1]


@pytest.mark.parametrize("strategy", [FlowJump(), Psi()])
@pytest.mark.parametrize("destination", ["uniform", "mix"])
def test_the_prompt_stays_and_no_mask_is_left(strategy, destination):
    end = drawn(strategy, destination)
    assert end.ids[0, :3].tolist() == [0, 1, 2]
    assert not (end.ids == 4).any()
    assert not end.pending.any()
    assert (end.commit_logp[0, 3:] < 0).all()


def test_filters_hold_for_jumps():
    """From masks in one step: with the most probable token alone, every key gives the same text."""
    ends = {1: set(), None: set()}
    for top_k, found in ends.items():
        for key in range(5):
            canvas = start(torch.zeros(8, dtype=torch.long), torch.ones(8).bool(), key=key, steps=1)
            strategy = FlowJump(Filters(temperature=1.0, top_k=top_k))
            found.add(tuple([after for after, _ in walk(predictor("mask"), canvas, strategy)][-1].ids[0].tolist()))
    assert len(ends[1]) == 1
    assert len(ends[None]) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "constant", "churn": 1.0}, "churn does not belong"),
        ({"kappa": 0.5}, "kappa does not belong"),
        ({"mode": "cap", "eta": 1.5}, r"in \[0, 1\]"),
        ({"churn": -1.0}, "not negative"),
        ({"filters": Filters(temperature=0.0)}, "temperature 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UserError, match=message):
        Psi(**options)


def test_where_they_have_no_meaning():
    with pytest.raises(UserError, match="'remdm' takes tokens back"):
        require(Psi().needs, predictor("mask").process)
    with pytest.raises(UserError, match="one source"):
        require(FlowJump().needs, predictor("growing-mask").process)
    require(FlowJump().needs, predictor("mask").process)
