"""Decoding under the constraint of whole characters: whatever the network wants, the result is text."""

import pytest
import torch
from toy import accepts, every_strategy

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import walk
from undiffuse.decode.whole_text import Span, WholeText
from undiffuse.kinds import DESTINATIONS, SCHEDULES, STRATEGIES
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.text.utf8 import HoleText

TOKENIZER = Tokenizer.byte_level()


class Babble(Denoiser):
    """Logits that prefer bytes above 127, which rarely make a character together."""

    traits = Traits(TOKENIZER.vocabulary.rows, 64, rules.full)

    def trunk(self, rows, kv=None):
        return rows.tags.position[..., None].float() * 1.3 + rows.state.ids[..., None].cumsum(1) * 0.7

    def head(self, hidden):
        ids = torch.arange(self.traits.vocab_rows)
        return torch.sin(hidden + ids * 2.1) * 4 + 4.0 * (ids >= 128)


@pytest.mark.slow
def test_every_strategy_ends_in_whole_characters_after_the_prefix():
    for destination in ("mask", "uniform"):
        process = Interpolating(TOKENIZER.vocabulary, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load(destination)())
        model = Predictor(Babble(), process, "leave_one_out")
        for kind in (kind for kind, strategy in every_strategy().items() if accepts(strategy, process)):
            for seed in range(3):
                data = _decode(model, STRATEGIES.load(kind)(), seed)
                assert data[0].startswith(b" ")
                assert len(data[0].decode()) > 1
                data[1].decode()


def _decode(model, strategy, seed) -> list[bytes]:
    fixed = list("né".encode())
    ids = torch.tensor(fixed + [0] * 7 + fixed + [0] * 9)
    pending = torch.tensor([False] * 3 + [True] * 7 + [False] * 3 + [True] * 9)
    canvas = start(ids, pending, key=seed, steps=6)
    spans = [Span(0, 3, 10, HoleText(TOKENIZER.tokens, b" ")), Span(0, 13, 22, HoleText(TOKENIZER.tokens))]
    done: Canvas = [after for after, _ in walk(model, canvas, Decoder(strategy, constraint=WholeText(spans)))][-1]
    return [TOKENIZER.decode_bytes(done.ids[0, span.start : span.stop].tolist()) for span in spans]
