"""First hitting: one position a step at falling times. Its law is in exact/laws/first_hitting.py."""

import itertools

import pytest
import torch
from toy import predictor

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.first_hitting import FirstHitting
from undiffuse.errors import UserError
from undiffuse.process.needs import require


def test_one_position_a_step_at_falling_times_in_a_ragged_batch():
    rows = [start(torch.zeros(n, dtype=torch.long), torch.ones(n) > 0, key=n, steps=2) for n in (3, 9, 6)]
    canvas = Canvas.concatenate(rows)
    model, strategy = predictor(), FirstHitting()
    seen = [after for after, _ in walk(model, canvas, strategy)]
    assert seen[-1].nfe.tolist() == [3, 9, 6]
    times = torch.stack([strategy.step(model.process, each).t for each in seen[:-1]])
    assert (times[:-1] > times[1:])[:, 1].all()
    for before, after in itertools.pairwise(seen):
        assert ((before.pending & ~after.pending).sum(-1) == before.pending.any(-1)).all()


def test_it_is_refused_without_a_meaning():
    with pytest.raises(UserError, match="temperature 0 in random order is 'random'"):
        FirstHitting(filters=Filters())
    with pytest.raises(UserError, match="only corruption is the mask"):
        require(FirstHitting().needs, predictor("mix").process)
