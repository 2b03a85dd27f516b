"""Published causal models: what transformers' own classes say of them, exactly scored and continued from the left."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from recorded import NAMELESS, ROOT, golden, shifted

import undiffuse as ud
from undiffuse.cli.main import run
from undiffuse.errors import UserError
from undiffuse.likelihood.bound import bound
from undiffuse.likelihood.windows import windows
from undiffuse.models.transformer import Transformer
from undiffuse.objective.autoregressive import Autoregressive
from undiffuse.randomness import Draws

FAMILIES = ("qwen2", "qwen3", "llama", "qwen3-moe")
CONTEXT, START = 48, 256


def close(family: str, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=0, atol=golden(family).about["tolerances"]["logits_atol"])


def nats_of(family: str, ids: list[int]) -> list[float]:
    """−ln p of each token but the first, given those before, one pass of the network for each."""
    model, found = golden(family).model, []
    for size in range(1, len(ids)):
        row = model.logits(torch.tensor([[*ids[:size], 0]]))[0, -1]
        found.append(-row.double().log_softmax(-1)[ids[size]].item())
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family):
    known = golden(family)
    ids, theirs = known.tensors["forward.input_ids"], known.tensors["forward.logits"]
    ours = known.model.logits(ids)
    assert close(family, ours[:, 1:], theirs[:, :-1])
    assert close(family, ours, shifted(theirs, torch.ones(ids.shape)))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_row_sees_a_later_token(family):
    model, ids = golden(family).model, golden(family).tensors["forward.input_ids"]
    changed = ids.clone()
    changed[:, 20] += 1
    moved = (model.logits(changed) - model.logits(ids)).abs().amax(-1)
    assert moved[:, :21].max() == 0
    assert moved[:, 21:].min() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_the_left_changes_nothing(family):
    model, ids = golden(family).model, golden(family).tensors["forward.input_ids"][:, :9]
    padded = torch.nn.functional.pad(ids, (4, 0), value=7)
    valid = torch.arange(13).expand_as(padded) >= 4
    assert close(family, model.logits(padded, valid)[:, 4:], model.logits(ids))


@pytest.mark.parametrize("cache", ["none", "block", None])
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_continuations_are_those_of_transformers(family, cache):
    """With the cache every row is run once: the prompt in the first step, then one row a step."""
    known = golden(family)
    prompts, theirs = known.tensors["decode.greedy.prompt_ids"], known.tensors["decode.greedy.sequence"]
    found = known.model.decode(prompts, 16, strategy="left-to-right", cache=cache)
    assert torch.equal(torch.stack(found.ids), theirs)
    assert found.nfe.tolist() == [16, 16]
    assert found.rows.tolist() == [(11 + 16) * 16 if cache == "none" else 11 + 15] * 2
    for ids, steps, logp in zip(found.ids, found.commit_step, found.commit_logprob, strict=True):
        assert steps.tolist() == [-1] * 11 + list(range(16))
        assert logp[11:].tolist() == pytest.approx([-nats for nats in nats_of(family, ids.tolist())[10:]], abs=1e-3)


def test_prompts_of_several_lengths_share_a_cached_batch():
    model, ids = golden("qwen2").model, golden("qwen2").tensors["forward.input_ids"]
    prompts = [ids[0, :5].tolist(), ids[1, :12].tolist(), ids[0, :1].tolist()]
    together = model.decode(prompts, 8, strategy="left-to-right", temperature=1.0, seed=4)
    plain = model.decode(prompts, 8, strategy="left-to-right", temperature=1.0, seed=4, cache="none")
    for mine, other in zip(together.ids, plain.ids, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_score_is_the_sum_of_the_chain_rule(family):
    text = "Pack my box with five dozen jugs"
    ids = list(text.encode())
    found = golden(family).model.score(text, per_token=True)
    each = nats_of(family, [START, *ids] if family == "llama" else ids)
    assert found.estimate.kind == "exact"
    assert found.estimate.nats == pytest.approx(sum(each), rel=1e-5)
    assert [token.nats for token in found.per_token] == pytest.approx(each, abs=1e-3)
    assert found.estimate.stderr == 0
    # without a start symbol the first token is neither scored nor counted
    counted = len(ids) if family == "llama" else len(ids) - 1
    assert (found.estimate.tokens, found.bytes) == (counted, counted)
    assert (found.texts[0].tokens, found.texts[0].bytes) == (counted, counted)
    assert found.bits_per_byte[0] == pytest.approx(sum(each) / math.log(2) / counted, rel=1e-5)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_windows_of_a_long_text_begin_with_the_last_token_of_the_one_before(family):
    text = "".join(chr(97 + i * i % 26) for i in range(120))
    ids = ([START] if family == "llama" else []) + list(text.encode())
    expected = sum(sum(nats_of(family, ids[first : first + CONTEXT])) for first in range(0, len(ids) - 1, CONTEXT - 1))
    found = golden(family).model.score([text, "short"])
    assert found.texts[0].nats == pytest.approx(expected, rel=1e-5)
    assert found.texts[0].tokens == len(ids) - 1
    assert found.texts[1].nats == pytest.approx(golden(family).model.score("short").estimate.nats, rel=1e-5)


def test_prompts_are_conditions():
    model = golden("qwen2").model
    found = model.score(" with jam", prompts="bread")
    ids = list(b"bread with jam")
    assert found.estimate.nats == pytest.approx(sum(nats_of("qwen2", ids)[4:]), rel=1e-5)
    assert (found.estimate.tokens, found.bytes, found.prompts) == (9, 9, 1)


def test_a_text_of_one_token_has_nothing_to_score_without_a_start_symbol():
    with pytest.raises(UserError, match="the first token of a text is a condition; give a longer text, or a prompt"):
        golden("qwen2").model.score("a")
    assert golden("llama").model.score("a").estimate.tokens == 1
    both = golden("qwen2").model.score(["a", "ab"])
    assert [(each.tokens, each.bytes) for each in both.texts] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_text_is_continued_from_the_left(family):
    """Of what may be written, characters and no control token, each token is the most probable one."""
    model = golden(family).model
    found = model.generate("Once upon", length=12, temperature=0)[0]
    assert found.text.startswith("Once upon")
    assert found.strategy == "left-to-right"
    assert found.nfe == found.tokens
    ids = ([START] if family == "llama" else []) + list(b"Once upon")
    for number, byte in enumerate(found.text.encode()[9:], start=1):
        row = model.logits(torch.tensor([[*ids, 0]]))[0, -1]
        if number < 6 and found.text.isascii():  # at the end no long character has room
            assert row[:256].masked_fill(torch.arange(256) >= 0xC2, -torch.inf)[:128].argmax() == byte
        ids.append(byte)


def test_nothing_is_continued_only_from_a_start_symbol():
    assert golden("llama").model.generate("", length=4)[0].tokens <= 4
    for use in (
        lambda: golden("qwen2").model.generate("", length=4),
        lambda: golden("qwen2").model.decode([[]], 4, strategy="left-to-right"),
        lambda: golden("qwen2").model.fill("[MASK]", strategy="left-to-right"),
    ):
        with pytest.raises(UserError, match="nothing stands before the first token: give a prompt"):
            use()


def test_a_start_symbol_stands_before_a_blank_at_the_end():
    filled = golden("llama").model.fill("ab[MASK:2]", top=1)[0]
    written = golden("llama").model.generate("ab", length=2, temperature=0)[0]
    assert filled.text == written.text
    assert filled.text.startswith("ab")


@pytest.mark.parametrize("family", FAMILIES)
def test_blanks_are_ranked_by_what_follows_them(family):
    """Of all single bytes, by the logits of the whole text with each of them."""
    model = golden(family).model
    (hole,) = model.fill("ab[MASK]cd", candidates=999, top=999)[0].holes
    ids = ([START] if family == "llama" else []) + list(b"ab?cd")
    place, weight = ids.index(ord("?")), {}
    for byte in range(128):
        ids[place] = byte
        log_p = model.logits(torch.tensor([ids]))[0].double().log_softmax(-1)
        weight[chr(byte)] = sum(log_p[at, ids[at]].item() for at in range(place, len(ids)))
    total = torch.tensor(list(weight.values()), dtype=torch.float64).logsumexp(0).item()
    found = {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}
    assert found == pytest.approx({text: math.exp(each - total) for text, each in weight.items()}, abs=1e-5)


def test_a_first_token_that_nothing_speaks_of_is_no_blank():
    with pytest.raises(UserError, match="nothing stands before the first token: give a prompt"):
        golden("qwen2").model.fill("[MASK]ab")
    assert golden("llama").model.fill("[MASK]ab", candidates=4)[0].text.endswith("ab")


def test_proofreading_ranks_too():
    """Of single bytes, whose word would be one run of letters: here every byte stands alone."""
    model = golden("llama").model
    found = model.check("a. b.", threshold=0.0, proposals=2)
    assert found.words == found.tokens == 5
    assert all(finding.proposals for finding in found.findings)
    assert found.surprise > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategy": "confidence"}, "reads from left to right: use strategy 'left-to-right'"),
        ({"strategy": "left-to-right", "steps": 3}, "one token a step: leave out the number of steps"),
        ({"strategy": "left-to-right", "guidance": 2.0}, "guidance hides fixed text behind masks, and this model has"),
    ],
)
def test_what_a_causal_model_cannot_do(options, said):
    with pytest.raises(UserError, match=said):
        golden("qwen2").model.generate("ab", length=8, **options)


def test_within_a_budget_the_text_ends_where_it_is():
    model = golden("qwen2").model
    whole = model.generate("Once upon", length=20, temperature=0)[0]
    part = model.generate("Once upon", length=20, temperature=0, max_nfe=6)[0]
    assert (part.nfe, part.tokens) == (6, 6)
    assert whole.text.startswith(part.text)
    with pytest.raises(UserError, match="a limit would leave the blank unfinished"):
        model.fill("ab[MASK:5]", max_nfe=2)
    assert model.generate("Once upon", length=100, temperature=0, max_nfe=60)[0].nfe <= 60


def test_the_published_way_of_decoding_is_the_default_and_options_overrule_it():
    model = golden("qwen2").model
    drawn = model.generate("ab", length=9, seed=3)[0].text
    assert drawn == model.generate("ab", length=9, seed=3, temperature=1)[0].text
    assert drawn != model.generate("ab", length=9, seed=4)[0].text
    cold = model.generate("ab", length=9, seed=3, temperature=0)[0]
    assert cold.text == model.generate("ab", length=9, seed=7, temperature=0)[0].text
    assert model.generate("ab")[0].nfe <= CONTEXT - 2


def test_a_directory_says_how_its_model_is_drawn_from(tmp_path):
    shutil.copytree(ROOT / "qwen2" / "checkpoint", tmp_path / "model")
    said = {"do_sample": True, "temperature": 0.5, "top_k": 3, "eos_token_id": [257, 5]}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(said))
    model, plain = ud.load(tmp_path / "model"), golden("qwen2").model
    drawn = model.generate("ab", length=9, seed=3)[0].text
    assert drawn == plain.generate("ab", length=9, seed=3, temperature=0.5, top_k=3)[0].text
    assert drawn != plain.generate("ab", length=9, seed=3)[0].text
    model.save(tmp_path / "again")
    assert ud.load(tmp_path / "again").trained.decoding == model.trained.decoding
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps({**said, "do_sample": False}))
    assert ud.load(tmp_path / "model").trained.decoding == plain.trained.decoding
    assert ud.load(tmp_path / "model", attention="full", mask_id=270).trained.decoding is None


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_is_predicted(family):
    """Also padding and the start symbol: the likelihood is that of the published softmax."""
    assert golden(family).model.predictor.process.vocabulary.unpredictable == ()


def test_where_the_start_symbol_comes_from(tmp_path):
    def start(settings: dict, post_processor: object = None) -> int | None:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        for name in ("model.safetensors", "config.json"):
            (directory / name).write_bytes((ROOT / "qwen2" / "checkpoint" / name).read_bytes())
        tokenizer = json.loads((ROOT / "llama" / "checkpoint" / "tokenizer.json").read_text())
        if post_processor is not None:
            tokenizer["post_processor"] = post_processor or None
        (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
        (directory / "tokenizer_config.json").write_text(json.dumps(settings))
        return ud.load(directory).tokenizer.start

    assert start({}) == START
    assert start({}, {"type": "Sequence", "processors": [{"type": "ByteLevel"}]}) is None
    assert start({"add_bos_token": False, "bos_token": "<start>"}) is None
    assert start({"add_bos_token": True, "bos_token": {"content": "<end>"}}) == 257
    assert start({"add_bos_token": True, "bos_token": "<unknown>"}) == START  # as its config says
    assert start({}, []) is None


@pytest.mark.parametrize("attention", ["full", "block:8"])
def test_the_same_weights_with_another_attention_and_alignment(attention, tmp_path):
    """Open-dCoder is Qwen2 without the causal mask: its config says nothing of it, so it is said."""
    model = golden("qwen2").model
    other = ud.load(ROOT / "qwen2" / "checkpoint", attention=attention, mask_id=270)
    block = None if attention == "full" else 8
    ours = Transformer(replace(model.predictor.denoiser.config, causal=False, block_length=block))
    ours.load_state_dict(model.predictor.denoiser.state_dict())
    expected = replace(model, predictor=replace(model.predictor, denoiser=ours))
    ids = golden("qwen2").tensors["forward.input_ids"]
    assert torch.equal(other.logits(ids), expected.logits(ids))
    assert not torch.equal(other.logits(ids), model.logits(ids))
    straight = ud.load(ROOT / "qwen2" / "checkpoint", attention=attention, shift=False, mask_id=270)
    assert torch.equal(straight.logits(ids)[:, :-1], other.logits(ids)[:, 1:])
    other.save(tmp_path / "again")
    again = ud.load(tmp_path / "again")
    assert torch.equal(again.logits(ids), other.logits(ids))
    assert again.predictor.process == other.predictor.process


def test_what_becomes_causal_speaks_of_the_next_token():
    traits = ud.load(ROOT / "sdar" / "checkpoint", attention="causal").predictor.traits
    assert traits.first_given
    assert traits.block_length is None


def test_a_first_token_is_a_condition_in_training_too():
    """The loss of a batch is the likelihood of its rows, and counts what that counts."""
    model, ids = golden("qwen2").model, golden("qwen2").tensors["forward.input_ids"]
    batch = windows(ids.tolist(), ids.shape[1])
    loss = Autoregressive().loss(model.predictor, batch, Draws.seeded(0), len(ids))
    exact = bound(model.predictor, batch)
    assert float(loss.weight) == exact.tokens == ids.numel() - len(ids)
    assert float(loss.sum) == pytest.approx(sum(sum(nats_of("qwen2", row)) for row in ids.tolist()), rel=1e-5)
    assert exact.nats == pytest.approx(float(loss.sum), rel=1e-5)
    with pytest.raises(UserError, match="the first token of a text is a condition for this model"):
        bound(model.predictor, windows([[5], [6]], 8))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attention": "full"}, "neither the config nor the tokenizer says which row is the mask"),
        ({"attention": "both"}, "attention is full, causal or block:N"),
        ({"attention": "block:0"}, "attention is full, causal or block:N"),
        ({"shift": False}, "a causal network speaks of the next token, and shift=False says otherwise"),
        ({"attention": "full", "mask_id": 257}, "the mask id 257 is also the id of another control token"),
        ({"attention": "full", "mask_id": 400}, "mask id 400 lies outside the table of 272 rows"),
    ],
)
def test_overrides_that_cannot_be(options, said):
    with pytest.raises(UserError, match=said):
        ud.load(ROOT / "qwen2" / "checkpoint", **options)


def test_the_command_line(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("Pack my box")
    model = ["--model", str(ROOT / "qwen2" / "checkpoint")]
    assert run(["score", str(text), *model, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] == "exact"
    assert record["nats_per_token"]["stderr"] == record["bits_per_byte"]["stderr"] == 0
    assert (record["tokens"], record["bytes"]) == (10, 10)
    assert run(["generate", "Pack", "--length", "3", *model]) == 0
    assert capsys.readouterr().out.startswith("Pack")
    assert run(["fill", "a[MASK]c", *model]) == 0
    assert capsys.readouterr().out.startswith("a")
    assert run(["check", str(text), *model, "--candidates", "4", "--right", "2"]) == 0
    capsys.readouterr()
    said = ["--attention", "full", "--mask-id", "270", "--shift", "--family", "qwen2"]
    assert run(["fill", "a[MASK]c", *model, *said]) == 0
    assert capsys.readouterr().out.startswith("a")
    assert run(["fill", "a [MASK] c", *model, *said]) == 0
    assert capsys.readouterr().out.startswith("a ")
    assert run(["score", str(text), *model, *said, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "bound"


SCALED = (
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    {"rope_type": "yarn", "factor": 4.0},
    {"rope_type": "yarn", "factor": 3.0, "beta_fast": 8.0, "beta_slow": 2.0, "attention_factor": 1.3},
    {"rope_type": "linear", "factor": 2.5},
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 1},
        *({"rope_scaling": {**each, "original_max_position_embeddings": 16}} for each in SCALED),
    ],
    ids=str,
)
@pytest.mark.parametrize("family", FAMILIES)
def test_against_transformers_itself(family, changes, tmp_path):
    """Where it is installed: other sizes than the recorded ones, and what we write opens there."""
    pytest.importorskip("transformers")
    import theirs

    model, ids = theirs.network(family, **changes), theirs.ids_of(seed=5)
    model.save_pretrained(tmp_path / "theirs")
    ours = ud.load(tmp_path / "theirs")
    assert torch.allclose(ours.logits(ids)[:, 1:], model(ids).logits[:, :-1], rtol=0, atol=1e-4)
    ours.save(tmp_path / "ours")
    again = type(model).from_pretrained(tmp_path / "ours")
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("family", ["llada-moe", "illada", "llada-repack", "open-dcoder"])
def test_bodies_of_transformers_without_their_causal_mask(family, tmp_path):
    """Families that share tensors with a class of transformers, where it is installed, in other sizes."""
    pytest.importorskip("transformers")
    import theirs

    model, ids = theirs.network(family, num_key_value_heads=1), theirs.ids_of(seed=5)
    theirs.save(family, model, tmp_path / "theirs")
    ours = ud.load(tmp_path / "theirs", **NAMELESS.get(family, {})).logits(ids)
    raw = theirs.logits_of(family, model, ids)
    expected = shifted(raw, torch.ones(ids.shape)) if family == "open-dcoder" else raw
    assert torch.allclose(ours, expected, rtol=0, atol=1e-4)


def test_a_blank_after_a_space_among_single_bytes():
    """The published tokenizer has no merges: the space stays outside, and the blank is one byte by the softmax."""
    model = golden("llama").load(attention="full", mask_id=270, shift=True)
    assert model.tokenizer.kind == "byte"
    (filled,) = model.fill("a [MASK] c", top=1)
    ids = [*model.tokenizer.encode("a "), 270, *model.tokenizer.encode(" c")]
    logp = model.logits(torch.tensor([ids]))[0, 2].double()
    rows = [row for row, token in enumerate(model.tokenizer.tokens) if token and token.isascii()]
    best = max(rows, key=lambda row: float(logp[row]))
    assert filled.text == f"a {model.tokenizer.decode([best])} c"
    assert filled.holes[0].probability == pytest.approx(float(logp[rows].softmax(-1).max()), rel=1e-5)
