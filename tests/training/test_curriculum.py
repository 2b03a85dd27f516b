"""The loop tells an objective how much of the training is over."""

import torch
from tiny import SETTINGS, write_text

from undiffuse.data.readers import read
from undiffuse.data.split import split
from undiffuse.objective.duo import Duo
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training.assembly import Assembly
from undiffuse.training.loop import take_step
from undiffuse.training.plan import Budget
from undiffuse.training.planning import make_plan
from undiffuse.training.recipe import resolve


def test_soft_tokens_end_with_the_curriculum_and_stay_away_in_an_extension(tmp_path, monkeypatch):
    parts = split(read([write_text(tmp_path / "text.txt")]))
    configuration = resolve("duo", (*SETTINGS, "training.dtype=float32")).configuration
    tokenizer = Tokenizer.train([document.text for document in parts.train.documents], 280)
    assembly = Assembly(configuration, parts.train, parts.valid, tokenizer, 0, torch.device("cpu"))
    job, state = assembly.build(make_plan(assembly, Budget(steps=4)))
    object.__setattr__(job, "ends", (4, 100))
    soft, loss = [], Duo.loss
    monkeypatch.setattr(Duo, "loss", lambda *given: soft.append(state.step) or loss(*given))
    for _ in range(7):
        take_step(job, state)
    assert soft == [0, 1]
    assert state.step == 7
