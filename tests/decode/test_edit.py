"""Decided tokens are exchanged while a window is open, as LLaDA2.1 does: against the rule written out on its own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from table import TOKENS, Table, table
from toy import VOCABULARY

import undiffuse as ud
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder, Limits
from undiffuse.decode.loop import begin, denoise, finished, step
from undiffuse.decode.passes import Sites
from undiffuse.decode.request import Request
from undiffuse.decode.strategies.edit import Edit
from undiffuse.decode.strategies.threshold import Threshold
from undiffuse.decode.whole_text import Span, WholeText
from undiffuse.errors import UserError
from undiffuse.text.utf8 import HoleText

GOLDEN = Path(__file__).parents[1] / "golden" / "llada2"
MASK = 251


@pytest.fixture(scope="module")
def model() -> ud.LanguageModel:
    return ud.load(GOLDEN / "checkpoint", mask_id=MASK, attention="block:8")


@pytest.fixture(scope="module")
def prompt() -> torch.Tensor:
    return load_file(GOLDEN / "expected.safetensors")["decode.eos_stop.prompt_ids"]


def written_out(model, prompt: list[int], blocks: int, threshold: float, edit: float, most: int):
    """The rule, block by block on whole sequences: tokens, when each was last written, and passes."""
    size = -(-(len(prompt) + blocks) // 8) * 8
    text, steps, passes, edits = prompt + [MASK] * (size - len(prompt)), [-1] * size, 0, 0
    for first in range(len(prompt) // 8 * 8, size, 8):
        mine = [i for i in range(first, first + 8) if i >= len(prompt)]
        without = 0
        while True:
            masks = [i for i in mine if text[i] == MASK]
            if not masks:
                without += 1
                if without > most:
                    break
            logits = model.logits(torch.tensor([text[: first + 8]]))[0].double()
            logits[:, MASK] = -torch.inf
            p, best = logits.softmax(-1).max(-1)
            chosen = [i for i in masks if p[i] > threshold] or sorted(masks, key=lambda i: -p[i])[:1]
            others = [i for i in mine if i not in masks and p[i] > edit and best[i] != text[i]]
            for i in chosen + others:
                text[i], steps[i] = int(best[i]), passes
            passes, edits = passes + 1, edits + len(others)
            if not masks and not others:
                break
    return text, steps, passes, edits


@pytest.mark.parametrize("cache", ["block", "none"])
@pytest.mark.parametrize(
    ("threshold", "edit", "most"), [(0.7, 0.5, 16), (0.3, 0.3, 16), (0.3, 0.0, 3), (0.95, 0.9, 16), (0.5, 0.2, 0)]
)
def test_the_rule_of_llada21(model, prompt, threshold, edit, most, cache):
    text, steps, passes, edits = written_out(model, prompt[0].tolist(), 22, threshold, edit, most)
    options = {"threshold": threshold, "edit_threshold": edit, "most_edits": most}
    found = model.decode(prompt, 22, strategy="edit", cache=cache, **options)
    assert found.ids[0].tolist() == text
    assert found.commit_step[0].tolist() == steps
    assert found.nfe.item() == passes
    if threshold == 0.3:
        assert edits > 3


def test_without_edits_it_is_the_threshold(model, prompt):
    """A threshold of 1 is never passed, so nothing is exchanged."""
    options = {"threshold": 0.4}
    plain = model.decode(prompt, 22, strategy="threshold", **options)
    edit = model.decode(prompt, 22, strategy="edit", edit_threshold=1.0, most_edits=0, **options)
    assert torch.equal(plain.ids[0], edit.ids[0])
    assert torch.equal(plain.commit_step[0], edit.commit_step[0])
    confirmed = model.decode(prompt, 22, strategy="edit", edit_threshold=1.0, **options)
    assert confirmed.nfe.item() == plain.nfe.item() + 4  # one pass more in each of four blocks, which changes nothing


def test_a_stop_token_counts_once_its_window_is_finished(model, prompt):
    whole = model.decode(prompt, 22, strategy="edit").ids[0].tolist()
    end = next(place for place in range(17, 24) if whole[place] not in whole[11:place])
    found = model.decode(prompt, 22, strategy="edit", stop_ids=[whole[end]], early_stop=True)
    assert found.ids[0][: end + 1].tolist() == whole[: end + 1]
    assert (found.commit_step[0][11:24] >= 0).all()
    assert (found.commit_step[0][24:] == -2).all()


def steady(*rows: list[float]):
    """A network that says the same whatever stands there: every first proposal is final."""
    return table(rows)


def test_requests_of_several_strategies_share_a_batch():
    predictor = steady([0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.55, 0.45])
    ids, pending = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.bool)
    requests = [
        Request(start(ids, pending, key=number, block_length=2), Decoder(how))
        for number, how in enumerate((Edit(threshold=0.5), Threshold(threshold=0.5), Edit(threshold=0.95)))
    ]
    batch = begin(predictor, requests)
    while batch.running():
        batch, _ = step(predictor, batch)
    # two windows: all at once and a pass that confirms; all at once; one by one and a pass that confirms
    assert batch.canvas.nfe.tolist() == [4, 2, 6]
    assert (batch.canvas.ids == TOKENS[0]).all()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_ends_a_window_that_is_held_open(limit):
    predictor = steady([0.9, 0.1], [0.6, 0.4])
    canvas = start(torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.bool), key=0)
    done = finished(denoise(predictor, canvas, Decoder(Edit(threshold=0.5), limits=Limits(max_nfe=limit))))
    assert done.nfe.item() <= limit
    assert not done.pending.any()
    assert done.done.all()
    assert (done.ids == TOKENS[0]).all()


BYTES = [b"\xe1", b"\xe0", b"\xa5", b"\x85", b"\x80"]
"""E1 may stand before A5 and 85; E0 before A5 alone (Unicode 15.0, table 3-7)."""


def whole() -> HoleText:
    rows = [b""] * VOCABULARY.rows
    for token, data in zip(TOKENS, BYTES, strict=False):
        rows[token] = data
    return HoleText(rows)


class Changing(Table):
    """Says one thing where a mask stands, and another where a token does."""

    def trunk(self, rows, kv=None):
        masked = rows.state.ids == VOCABULARY.mask
        place = rows.tags.position
        return torch.where(masked[..., None], self.logits[place], self.logits[place + 3])


def test_exchanges_that_go_together_with_what_stands_but_not_with_each_other():
    """E1 A5 80 is written; then E0 for E1, and 85 for A5, are each allowed, and E0 85 80 is no text."""
    rows = torch.full((6, len(TOKENS)), 1e-3)
    for place, token in enumerate((0, 2, 4, 1, 3, 4)):
        rows[place, token] = 1.0
    predictor = table(rows / rows.sum(-1, keepdim=True))
    predictor = replace(predictor, denoiser=Changing(predictor.denoiser.logits))
    canvas = start(torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.bool), key=0)
    how = Decoder(Edit(threshold=0.5), constraint=WholeText([Span(0, 0, 3, whole())]))
    done: Canvas = finished(denoise(predictor, canvas, how))
    data = b"".join(BYTES[TOKENS.index(token)] for token in done.ids[0].tolist())
    assert data == b"\xe0\xa5\x80"  # the first of the two, in reading order
    assert data.decode()
    free = finished(denoise(predictor, canvas, Edit(threshold=0.5)))
    assert free.ids[0].tolist() == [TOKENS[1], TOKENS[3], TOKENS[4]]


def test_what_is_decided_comes_before_what_is_exchanged():
    """Else the exchange of E1 could leave no place for the only token that a step decides."""
    ids = torch.tensor([TOKENS[0], VOCABULARY.mask, TOKENS[4]])
    canvas = start(ids, ids == VOCABULARY.mask, key=0, editable=torch.ones(3, dtype=torch.bool))
    sites = Sites.of(torch.ones(1, 3, dtype=torch.bool))
    chosen, wanted = torch.tensor([[True, True, False]]), torch.tensor([[TOKENS[1], TOKENS[3], TOKENS[4]]])
    kept = WholeText([Span(0, 0, 3, whole())]).together(canvas, sites, chosen, wanted)
    assert kept.tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.0}, "threshold must be positive, not 0.0"),
        ({"edit_threshold": -0.1}, "edit_threshold must not be negative, not -0.1"),
        ({"most_edits": -1}, "most_edits must not be negative, not -1"),
    ],
)
def test_numbers_that_cannot_be(options, said):
    with pytest.raises(UserError, match=said):
        Edit(**options)


def test_a_held_window_is_no_finished_block():
    canvas = start(torch.zeros(8, dtype=torch.long), torch.ones(8, dtype=torch.bool), key=0, span=4)
    decided = canvas.replace(pending=canvas.pending & (canvas.positions >= 4))
    assert decided.finished_blocks[0].tolist() == [True] * 4 + [False] * 4
    assert decided.current.item() == 1
    held = replace(decided, held=torch.tensor([0]))
    assert not held.finished_blocks.any()
    assert held.current.item() == 0
    assert not held.replace(pending=torch.zeros_like(held.pending)).done.any()
