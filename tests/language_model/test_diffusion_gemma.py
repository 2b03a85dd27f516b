"""DiffusionGemma against transformers' own class and sampler, step by step: runs where transformers is installed."""

import canvas_files
import pytest
import torch

import undiffuse as ud
from undiffuse.decode.caches.block import Block
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.canvas import start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import begin, step, walk
from undiffuse.decode.request import Request
from undiffuse.decode.strategies.entropy_renoise import EntropyRenoise
from undiffuse.errors import UserError
from undiffuse.predictor import Predictor
from undiffuse.types import Batch, Noised, State

transformers = pytest.importorskip("transformers", "5.23", reason="transformers is not installed")
from transformers.models.diffusion_gemma import generation_diffusion_gemma as theirs  # noqa: E402

CANVAS, ROWS = canvas_files.CANVAS, canvas_files.ROWS
CLOSE = {"atol": 3e-4, "rtol": 0}
"""float32 on logits of spread 1, through three layers of experts."""
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
TEMPLATE = TURNS + "{% if add_generation_prompt %}<assistant>{% endif %}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return canvas_files.write(tmp_path_factory.mktemp("x") / "diffusion-gemma")


@pytest.fixture(scope="module")
def model(directory):
    return ud.load(directory, device="cpu")


@pytest.fixture(scope="module")
def reference(directory):
    made = transformers.DiffusionGemmaForBlockDiffusion.from_pretrained(directory)
    return made.eval().requires_grad_(False)


def ids(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prompt", [1, 5, 11, 40])
def test_logits_of_a_canvas_are_those_of_transformers(model, reference, prompt):
    """Also where the prompt is longer than the window of local layers."""
    before, canvas = ids(2, prompt), ids(2, CANVAS, seed=1)
    expected = reference(input_ids=before, decoder_input_ids=canvas).logits
    assert expected.std() > 0.5
    found = model.logits(torch.cat((before, canvas), dim=1))[:, prompt:]
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("cache", [Block(), NoCache()], ids=str)
def test_every_step_sees_what_transformers_would_see(model, reference, cache):
    """Two canvases and a half after prompts of two lengths: its class is given our canvas, the prefix, and the tempered
    logits of the step before, and says what our network said."""
    strategy, records = EntropyRenoise(longest=4, settled=1e-9), []

    class Recording(Predictor):
        def read(self, hidden, state, t):
            records.append(super().read(hidden, state, t))
            return records[-1]

    predictor = Recording(model.predictor.denoiser, model.predictor.process, model.predictor.head)
    canvases = []
    for seed, size in ((1, 9), (2, 3)):
        text = torch.cat((ids(1, size, seed)[0], torch.zeros(40, dtype=torch.long)))
        plan = {"span": CANVAS, "floating": True, "planned": strategy.planned}
        canvases.append(start(text, torch.arange(size + 40) >= size, key=seed, **plan))
    together = type(canvases[0]).concatenate(canvases)
    seen = [canvas for canvas, _ in walk(predictor, together, Decoder(strategy, cache=cache))]
    assert len(seen) == len(records) + 1 == 13
    for row, size in enumerate((9, 3)):
        told = None
        for number, (canvas, record) in enumerate(zip(seen, records, strict=False)):
            place = canvas.window[row].nonzero()[:, 0]
            first, text, index = int(place[0]), canvas.ids[row : row + 1], int(canvas.clock[row])
            assert (first - size) % CANVAS == 0
            if index == 0:
                told = None
            expected = reference(
                input_ids=text[:, :first], decoder_input_ids=text[:, place], self_conditioning_logits=told
            ).logits
            found = record.logits[row : row + 1, : len(place)]
            torch.testing.assert_close(found, expected, msg=f"step {number}", **CLOSE)
            told = found / (0.4 + 0.4 * (4 - index) / 4)
    done = seen[-1]
    assert not done.pending.any()
    assert done.nfe.tolist() == [12, 12]


def test_what_is_told_of_a_prediction_matters(model, reference):
    """Else the comparison above says nothing of it."""
    before, canvas = ids(1, 7), ids(1, CANVAS, seed=1)
    plain = reference(input_ids=before, decoder_input_ids=canvas).logits
    told = reference(input_ids=before, decoder_input_ids=canvas, self_conditioning_logits=plain / 0.6).logits
    assert (told - plain).abs().max() > 0.1


@pytest.mark.parametrize("bound", [0.01, 0.1, 1.0, 20.0])
def test_what_is_accepted_is_what_its_sampler_accepts(bound):
    logits = (
        torch.randn(40, CANVAS, 50, generator=torch.Generator().manual_seed(1))
        * torch.linspace(0.5, 30, 40)[:, None, None]
    )
    sampler = theirs.EntropyBoundSampler(theirs.EntropyBoundSamplerConfig(bound), CANVAS, 50, 48)
    nothing = torch.zeros(40, CANVAS, dtype=torch.long)
    sampler.accept_canvas(nothing, nothing, logits, 1)
    log_p = logits.double().log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    found = EntropyRenoise(bound).accepted(entropy, torch.ones_like(nothing) > 0)
    # sums of 16 float32 entropies are off by 1e-6 at most: no row of these lies so near the bound
    assert torch.equal(found, sampler.accepted_token_mask)
    assert found.any()


@pytest.mark.parametrize(("stability", "settled"), [(1, 3.0), (2, 3.0), (1, 1.5), (1, 1e-9)])
def test_it_ends_where_its_criteria_end(model, stability, settled):
    """A network that mostly says the same, and is surer as it cools."""
    strategy, said = EntropyRenoise(stability=stability, settled=settled, longest=12), []
    steady = torch.randn(1, CANVAS, 32, generator=torch.Generator().manual_seed(1))

    class Recording(Predictor):
        def read(self, hidden, state, t):
            found = super().read(3 * steady[:, : hidden.shape[1]] + 0.1 * hidden, state, t)
            said.append(found.logits)
            return found

    predictor = Recording(model.predictor.denoiser, model.predictor.process, model.predictor.head)
    text = torch.cat((ids(1, 5)[0], torch.zeros(CANVAS, dtype=torch.long)))
    canvas = start(text, torch.arange(5 + CANVAS) >= 5, key=1, span=CANVAS, floating=True, planned=strategy.planned)
    last = [canvas for canvas, _ in walk(predictor, canvas, strategy)][-1]
    criteria = theirs.StableAndConfidentStoppingCriteria(stability, settled)
    ends = 12
    for index, logits in enumerate(said):
        tempered = logits / (0.4 + 0.4 * (12 - index) / 12)
        if bool(criteria(tempered.argmax(-1), tempered)):
            ends = index + 1
            break
    assert len(said) == ends
    assert (ends < 12) == (settled > 1)
    assert torch.equal(last.ids[0, 5:], said[-1][0].argmax(-1))


def test_a_seed_repeats_a_text_and_texts_are_told_apart(model):
    one = model.generate("The quick", length=24, seed=3)
    assert model.generate("The quick", length=24, seed=3) == one
    assert model.generate("The quick", length=24, seed=4)[0].text != one[0].text
    assert one[0].strategy == "entropy-renoise"
    assert one[0].nfe <= 2 * 48
    assert one[0].text.startswith("The quick")


def test_those_who_join_and_leave_take_along_what_they_are_told(model):
    """A request has the same tokens alone, and where others come and go beside it."""
    predictor, strategy = model.predictor, EntropyRenoise(longest=5, settled=1e-9)

    def request(seed: int, size: int) -> Request:
        text = torch.cat((ids(1, size, seed)[0], torch.zeros(CANVAS, dtype=torch.long)))
        plan = {"span": CANVAS, "floating": True, "planned": strategy.planned}
        return Request(start(text, torch.arange(len(text)) >= size, key=seed, **plan), Decoder(strategy, cache=Block()))

    def finished(batch):
        while batch.running():
            batch, _ = step(predictor, batch)
        return batch.canvas

    alone = [finished(begin(predictor, [request(1, 4)])), finished(begin(predictor, [request(2, 13)]))]
    batch = begin(predictor, [request(1, 4)])
    for _ in range(2):
        batch, _ = step(predictor, batch)
    batch = batch.join(begin(predictor, [request(2, 13)]))
    for _ in range(2):
        batch, _ = step(predictor, batch)
    together = finished(batch)
    assert torch.equal(together.ids[0, : 4 + CANVAS], alone[0].ids[0])
    assert torch.equal(together.ids[1], alone[1].ids[0])
    left = finished(batch.select([1]))
    assert torch.equal(left.ids[0, : 13 + CANVAS], alone[1].ids[0])


def test_the_bound_reads_each_canvas_after_the_clean_text_before_it(model, reference):
    """What a score is made of: 5 tokens of a prompt, a canvas, and a part of one."""
    text = ids(1, 5 + CANVAS + 7)
    editable = torch.arange(text.shape[1])[None] >= 5
    noisy = torch.where(editable, ids(1, text.shape[1], seed=2), text)
    zero = torch.zeros(1, dtype=torch.long)
    at = torch.arange(text.shape[1])[None] - 5
    batch = Batch(text, editable, torch.ones_like(editable), at, zero, zero, zero)
    t = torch.where(editable, 0.5, 0.0).double()
    found = model.predictor.predict(Noised(text, State(noisy), t, editable), batch, editable).logits
    for first, last in ((5, 5 + CANVAS), (5 + CANVAS, text.shape[1])):
        expected = reference(input_ids=text[:, :first], decoder_input_ids=noisy[:, first:last]).logits[0]
        torch.testing.assert_close(found[first - 5 : last - 5], expected, **CLOSE)


def test_a_score_is_a_bound_and_does_not_count_the_start_symbol(model):
    score = model.score("The quick brown fox jumps", draws=8)
    assert (score.estimate.kind, score.estimate.tokens) == ("bound", 25)
    given = model.score("jumps", prompts="The quick brown fox ", draws=8)
    assert given.estimate.tokens == 5
    assert given.estimate.nats > 0


def test_blanks_are_filled_in_place_within_a_canvas(model):
    (filled,) = model.fill("The quick [MASK:2] fox", top=2, seed=1)
    assert filled.text.startswith("The quick ")
    assert filled.text.endswith(" fox")
    assert filled.strategy == "entropy-renoise"
    assert len(filled.holes[0].alternatives) == 1
    with pytest.raises(UserError, match=r"takes 25 tokens, and this model sees both sides within a canvas of 16"):
        model.fill("The [MASK:2] fox jumps over the dog")


def test_it_answers_in_conversations(model):
    answer = model.with_template(TEMPLATE).chat([{"role": "user", "content": "Hi"}], length=20, seed=2)
    assert answer.tokens <= 20
    assert answer == model.with_template(TEMPLATE).chat([{"role": "user", "content": "Hi"}], length=20, seed=2)


def test_whole_canvases_follow_prompts_of_ids(model):
    done = model.decode([[1, 2, 3], []], 10, strategy="entropy-renoise", steps=3, longest=48)
    assert [len(row) for row in done.ids] == [3 + CANVAS, CANVAS]
    assert done.nfe.tolist() == [3, 3]


def test_published_settings_are_its_default(directory, tmp_path, model):
    assert model.trained.decoding.options == {
        "temperature": 0.8,
        "cold": 0.4,
        "entropy_bound": 0.1,
        "settled": 0.005,
        "stability": 1,
        "longest": 48,
    }
    defaults = theirs.DiffusionGemmaGenerationConfig._get_default_generation_params()
    assert (defaults["t_max"], defaults["t_min"], defaults["confidence_threshold"]) == (0.8, 0.4, 0.005)
    assert (defaults["max_denoising_steps"], defaults["stability_threshold"]) == (48, 1)
    assert defaults["sampler_config"].entropy_bound == 0.1
    other = canvas_files.write(tmp_path / "x")
    said = theirs.DiffusionGemmaGenerationConfig(
        max_denoising_steps=7, t_max=0.9, t_min=0.3, sampler_config=theirs.EntropyBoundSamplerConfig(0.5)
    )
    said.save_pretrained(other)
    options = ud.load(other, device="cpu").trained.decoding.options
    assert (options["longest"], options["temperature"], options["cold"], options["entropy_bound"]) == (7, 0.9, 0.3, 0.5)


def test_formats(directory, model):
    narrow = ud.load(directory, device="cpu", dtype="bfloat16")
    assert {value.dtype for value in narrow.predictor.denoiser.parameters()} == {torch.bfloat16}
    text = ids(1, 5 + CANVAS)
    wide, near = model.logits(text)[:, 5:], narrow.logits(text)[:, 5:]
    # 8 bits, three layers of two branches; a router's near tie may choose another expert
    assert (wide - near).abs().median() < 0.1
    with pytest.raises(UserError, match="does not compute with weights in int8"):
        ud.load(directory, device="cpu", dtype="int8")


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda model, place: model.save(place), "computed by another package, and cannot be saved here"),
        (lambda model, place: model.embed("x"), "cannot be asked for vectors of texts here"),
        (lambda model, place: ud.convert(model.name, place), "cannot be converted here"),
        (lambda model, place: ud.load(model.name, attention="full"), "attention of this family is its network's own"),
        (lambda model, place: ud.load(model.name, mask_id=3), "has no mask: leave out mask_id"),
        (lambda model, place: model.check("The quick fox"), "does not see the text after a word"),
        (lambda model, place: model.generate("x", strategy="confidence"), "noise has no mask"),
    ],
)
def test_what_cannot_be_done_is_refused(model, tmp_path, attempt, said):
    with pytest.raises(UserError, match=said):
        attempt(model, tmp_path / "x")


def test_nothing_is_kept_in_the_network(model):
    """The same pass twice, with others between, says the same; and what it is told is an argument."""
    text = ids(1, 5 + CANVAS)
    before = model.logits(text)
    model.generate("The quick", length=CANVAS, seed=1)
    assert torch.equal(model.logits(text), before)
