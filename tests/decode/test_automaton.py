"""The dynamic program against enumeration of all strings, on random automata; and decoding under it."""

import itertools

import numpy as np
import pytest
import torch
from toy import accepts, every_strategy

from undiffuse.decode.automaton import Program
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import walk
from undiffuse.decode.passes import Sites
from undiffuse.decode.proposal import Filters, propose
from undiffuse.decode.whole_text import Span, WholeText
from undiffuse.kinds import DESTINATIONS, SCHEDULES, STRATEGIES
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.prediction import Prediction
from undiffuse.randomness import Draws
from undiffuse.text.automaton import DEAD, Automaton, of_regex
from undiffuse.text.tokenizer import Tokenizer

ROWS = 5


def _random_automaton(rng: np.random.Generator) -> Automaton:
    states, kinds = rng.integers(2, 7), rng.integers(2, 9)
    follow = rng.integers(0, states, (states, kinds))
    follow[rng.random((states, kinds)) < rng.uniform(0.2, 0.8)] = DEAD
    of_token = rng.integers(0, kinds, ROWS)
    follow[:, [kind for kind in range(kinds) if kind not in of_token]] = DEAD
    return Automaton(follow, rng.random(states) < 0.4, of_token)


def _members(automaton: Automaton, size: int) -> list[tuple[int, ...]]:
    """By walking each string through the table, token by token."""
    members = []
    for string in itertools.product(range(ROWS), repeat=size):
        state = 0
        for token in string:
            state = automaton.next[state, automaton.of_token[token]] if state != DEAD else DEAD
        if state != DEAD and automaton.final[state]:
            members.append(string)
    return members


def _cases(count: int):
    """Automata with a length that they have members of, marginals, and some positions decided or not read."""
    rng = np.random.default_rng(7)
    found = 0
    while found < count:
        automaton, size = _random_automaton(rng), int(rng.integers(1, 5))
        log_p = torch.from_numpy(rng.normal(size=(size, ROWS)) * rng.choice([0.2, 2.0])).log_softmax(-1)
        members = _members(automaton, size)
        assert (size in automaton.lengths) == bool(members)
        if not members:
            continue
        truth = members[rng.integers(len(members))]
        decided = torch.tensor([token if rng.random() < 0.2 else -1 for token in truth])
        read = torch.from_numpy(rng.random(size) < 0.8)
        members = [x for x in members if all(d in (-1, t) for d, t in zip(decided.tolist(), x, strict=True))]
        yield automaton, log_p, decided, read, torch.tensor(members)
        found += 1


def _weights(log_p, decided, read, members):
    """The log-weight of every member: a sum over the positions that were read and are undecided."""
    each = log_p[torch.arange(len(log_p)), members]
    return torch.where(read & (decided < 0), each, 0.0).sum(-1)


def test_small_languages_are_written_out_and_no_others():
    """Powers of the matrix of moves count the members; an infinite language has one at least per round of a loop."""
    rng, sizes = np.random.default_rng(3), []
    for number in range(300):
        automaton = _random_automaton(rng)
        if number % 2:  # without loops
            automaton.next[automaton.next <= np.arange(len(automaton.next))[:, None]] = DEAD
        states, rows = len(automaton.final), np.bincount(automaton.of_token, minlength=automaton.next.shape[1])
        moves = np.zeros((states, states), dtype=object)
        for before, kind, after in zip(*automaton.edges, strict=True):
            moves[before, after] += int(rows[kind])
        reached, count = np.array([1] + [0] * (states - 1), dtype=object), 0
        for _ in range(65 * states):
            reached = reached @ moves
            count += int(reached[automaton.final].sum())
        found = automaton.members
        assert (found is None) == (count > 64)
        if found is not None:
            assert len(found) == len(set(found)) == count
            assert sorted(x for x in found if len(x) < 5) == sorted(
                x for size in range(1, 5) for x in _members(automaton, size)
            )
            assert [len(x) for x in found] == sorted(len(x) for x in found)
            sizes.append(count)
    assert len(set(sizes)) > 10


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("a", 1), ("a?", 1), ("a{1,64}", 64), ("a{1,65}", None), ("[a-d]{3}", 64), ("a*", None), ("(a|b)*c", None)],
)
def test_as_many_members_are_written_out_as_the_limit_says(pattern, count):
    found = of_regex(pattern, tuple(bytes([byte]) for byte in range(256))).members
    assert (None if found is None else len(found)) == count


def test_the_dynamic_program_equals_brute_force_on_300_random_automata():
    for automaton, log_p, decided, read, members in _cases(300):
        program = Program.of(automaton, log_p[None], decided[None], read[None])
        weights = _weights(log_p, decided, read, members)
        best = program.best()[0]
        assert best.tolist() in members.tolist()
        assert _weights(log_p, decided, read, best[None]).item() == pytest.approx(weights.max().item(), abs=1e-12)
        assert program.log_mass().item() == pytest.approx(weights.logsumexp(0).item(), abs=1e-12)
        q = weights.softmax(0)
        expected = torch.zeros_like(log_p)
        for place in range(len(log_p)):
            expected[place].index_add_(0, members[:, place], q)
        torch.testing.assert_close(program.marginals()[0].exp(), expected, atol=1e-12, rtol=1e-10)


def test_the_most_probable_text_is_not_the_one_with_the_most_probable_beginnings():
    """Half of the mass begins with b, spread over six texts; the best text begins with a."""
    log_p = torch.full((1, 2, TOKENIZER.vocabulary.rows), -20.0)
    log_p[0, :, list(b"abcdefgh")] = 0.0
    log_p = log_p.log_softmax(-1)
    log_p[0, 0, ord("a")] += 0.5
    best = Program.of(of_regex("ah|b[c-h]", TOKENIZER.tokens), log_p).best()
    assert TOKENIZER.decode_bytes(best[0].tolist()) == b"ah"


def test_draws_follow_the_restricted_product():
    """Chi-square by the Pearson statistic, 20 automata, 5,000 draws each."""
    for number, (automaton, log_p, decided, read, members) in enumerate(_cases(20)):
        draws = Draws.seeded(number).at(torch.arange(5_000))[:, None].at(torch.arange(len(log_p)))
        program = Program.of(*(automaton, *(x.expand(5_000, *x.shape) for x in (log_p, decided, read))))
        drawn = program.draw(draws)
        q = _weights(log_p, decided, read, members).softmax(0)
        counts = (drawn[:, None] == members).all(-1).sum(0).double()
        assert counts.sum() == 5_000
        often = q * 5_000 > 5
        statistic = ((counts - q * 5_000) ** 2 / (q * 5_000))[often].sum().item()
        freedom = int(often.sum())
        assert statistic < freedom + 5 * (2 * freedom) ** 0.5 + 5


def test_allowed_is_exact_at_every_position():
    for automaton, _, decided, _, members in _cases(100):
        committed = [None if token < 0 else token for token in decided.tolist()]
        table = automaton.allowed_everywhere(committed)
        for place in range(len(committed)):
            possible = automaton.allowed(committed, place)
            assert (possible == table[place]).all()
            if committed[place] is None:
                assert {x for x in range(ROWS) if possible[automaton.of_token[x]]} == set(members[:, place].tolist())


TOKENIZER = Tokenizer.train(["20 2026-11-21 cat, cot: catalog 3 é\n" * 20], 300)
CAT = of_regex("cat|catalog|[0-9]{2,4}é", TOKENIZER.tokens, b" ")


class Whim(Denoiser):
    """Logits that have nothing to do with what is asked."""

    traits = Traits(TOKENIZER.vocabulary.rows, 64, rules.full)

    def trunk(self, rows, kv=None):
        return rows.tags.position[..., None].float() * 1.3 + rows.state.ids[..., None].cumsum(1) * 0.7

    def head(self, hidden):
        return torch.sin(hidden + torch.arange(self.traits.vocab_rows) * 2.1) * 4


def _model(destination: str) -> Predictor:
    process = Interpolating(TOKENIZER.vocabulary, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load(destination)())
    return Predictor(Whim(), process, "leave_one_out")


@pytest.mark.slow
def test_every_strategy_ends_in_the_language():
    """Two holes each; at once, one by one, and with windows that cut a hole."""
    ids = torch.tensor([99, *[0] * 4, 98, *[0] * 5, 97])
    pending = torch.tensor([False, *[True] * 4, False, *[True] * 5, False])
    options = [{"steps": 1}, {"steps": 3}, {}, {"block_length": 2}]
    canvas = Canvas.concatenate([start(ids, pending, key=key, **each) for key, each in enumerate(options)])
    spans = [Span(row, begin, end, CAT) for row in range(len(options)) for begin, end in ((1, 5), (6, 11))]
    for destination in ("mask", "uniform"):
        model = _model(destination)
        for kind in (kind for kind, strategy in every_strategy().items() if accepts(strategy, model.process)):
            decoder = Decoder(STRATEGIES.load(kind)(), constraint=WholeText(spans))
            done = [after for after, _ in walk(model, canvas, decoder)][-1]
            for span in spans:
                held = done.ids[span.row, span.start : span.stop].tolist()
                assert CAT.accepts(held), (kind, destination, TOKENIZER.decode_bytes(held))


def test_what_is_decided_binds_the_rest():
    """b was decided first: what stands before it can only be a, whatever the network says."""
    ids = torch.tensor([0, ord("b")])
    canvas = start(ids, torch.tensor([True, True]), key=0)
    canvas = canvas.replace(ids=ids[None], pending=torch.tensor([[True, False]]))
    log_p = torch.zeros(1, 1, TOKENIZER.vocabulary.rows).log_softmax(-1)
    log_p[0, 0, ord("c")] = 5.0
    constraint = WholeText([Span(0, 0, 2, of_regex("ab|cd", TOKENIZER.tokens))])
    found = constraint.joint(canvas, Sites.of(canvas.pending), log_p, None)
    assert found.ids.tolist() == [[ord("a")]]
    assert found.log_p[0, 0, ord("a")].item() == pytest.approx(0, abs=1e-6)


def test_a_filter_that_excludes_every_member_does_not_break_the_hole():
    canvas = start(torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.bool), key=0)
    sites = Sites.of(canvas.pending)
    log_p = torch.full((1, 2, TOKENIZER.vocabulary.rows), -torch.inf)
    log_p[:, :, ord("z")] = 0.0
    constraint = WholeText([Span(0, 0, 2, of_regex("ab|cd", TOKENIZER.tokens))])
    for draws in (None, canvas.draws):
        found = constraint.joint(canvas, sites, log_p, draws)
        assert TOKENIZER.decode_bytes(found.ids[0].tolist()) in (b"ab", b"cd")
        torch.testing.assert_close(found.log_p.exp().sum(-1), torch.ones(1, 2))


def test_probabilities_of_a_typed_span_are_those_of_its_language():
    """Two positions, the language {ab, cd}: the chance of a is that of ab against cd under the marginals."""
    canvas = start(torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.bool), key=0)
    log_p = torch.randn(1, 2, TOKENIZER.vocabulary.rows, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    constraint = WholeText([Span(0, 0, 2, of_regex("ab|cd", TOKENIZER.tokens))])
    found = constraint.joint(canvas, Sites.of(canvas.pending), log_p, None)
    ab, cd = (log_p[0, 0, ord(x)].exp() * log_p[0, 1, ord(y)].exp() for x, y in ("ab", "cd"))
    assert found.log_p[0, 0, ord("a")].exp().item() == pytest.approx((ab / (ab + cd)).item(), rel=1e-5)
    assert TOKENIZER.decode_bytes(found.ids[0].tolist()) == (b"ab" if ab > cd else b"cd")


@pytest.mark.parametrize("filters", [Filters(), Filters(temperature=1.0), Filters(temperature=3.0, top_p=0.9)])
def test_a_proposal_says_how_probable_its_tokens_are_given_the_type(filters):
    """Before temperature and filters, whichever they are: p(a) is that of ab among ab, cd under the marginals."""
    canvas = start(torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.bool), key=0)
    sites = Sites.of(canvas.pending)
    logits = torch.randn(1, 2, TOKENIZER.vocabulary.rows, generator=torch.Generator().manual_seed(2))
    constraint = WholeText([Span(0, 0, 2, of_regex("ab|cd", TOKENIZER.tokens))])
    found = propose(
        Prediction(logits, "posterior", lambda: logits),
        filters,
        canvas.draws,
        constraint.allowed(canvas, sites),
        lambda log_p, draws: constraint.joint(canvas, sites, log_p, draws),
    )
    ab, cd = (logits[0, 0, ord(x)] + logits[0, 1, ord(y)] for x, y in ("ab", "cd"))
    chosen = TOKENIZER.decode_bytes(found.ids[0].tolist())
    expected = torch.stack((ab, cd)).softmax(0)[[b"ab", b"cd"].index(chosen)].item()
    assert found.logp.exp()[0].tolist() == pytest.approx([expected] * 2, rel=1e-4)
