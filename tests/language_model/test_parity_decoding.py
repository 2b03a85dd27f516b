"""Our loop against recorded runs of the published ones: the same tokens, in the same order, in as many passes."""

import pytest
import torch
from recorded import OPTIONS, golden, ours, runs

from undiffuse.models.transformer import Transformer

# their factor rule accepts a candidate that fails; ours must differ where that shows
EVERY = [(family, run) for family in ("llada", "dream", "sdar", "llada2") for run in runs(family)]
DEFECTS = [(family, run) for family, run in EVERY if run.endswith("_offbyone")]
# as LLaDA spends passes that decide nothing and ours does not, only the order can agree
MORE_STEPS_THAN_TOKENS = ("llada", "semi_ar_block8_steps36")


def agrees(family: str, run: str) -> bool:
    known, found = golden(family), ours(family, run)
    return all(
        torch.equal(one, other)
        for what, mine in (("sequence", found.ids), ("commit_step", found.commit_step))
        for one, other in zip(known.recorded(run, what), mine, strict=True)
    )


@pytest.mark.parametrize(("family", "run"), [each for each in EVERY if each not in (*DEFECTS, MORE_STEPS_THAN_TOKENS)])
def test_tokens_order_and_passes(family, run):
    known = golden(family)
    assert agrees(family, run)
    found, about = ours(family, run), known.about["decode_runs"][run]
    passes = about["nfe_denoise"] if "nfe_denoise" in about else about["nfe"]
    assert found.nfe_denoise.tolist() == [passes] * len(found.ids)
    for mine, theirs in zip(found.commit_logprob, known.recorded(run, "commit_logprob"), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=known.about["tolerances"]["commit_logprob_atol"])


@pytest.mark.parametrize(("family", "run"), DEFECTS)
def test_defects_of_the_references_are_not_reproduced(family, run):
    assert not agrees(family, run)


def test_passes_that_decide_nothing_are_not_run():
    family, run = MORE_STEPS_THAN_TOKENS
    known, found = golden(family), ours(family, run)
    assert torch.equal(found.ids[0], known.recorded(run, "sequence")[0])
    assert torch.equal(
        found.commit_step[0].argsort(stable=True), known.recorded(run, "commit_step")[0].argsort(stable=True)
    )
    assert found.nfe.tolist() == [24]
    assert known.about["decode_runs"][run]["nfe"] == 36


def test_block_diffusion_needs_fewer_passes_than_prefill_denoising_and_commits():
    known = golden("sdar")
    for run, about in known.about["decode_runs"].items():
        found = ours("sdar", run)
        assert found.nfe.tolist() == found.nfe_denoise.tolist()
        assert found.nfe[0] == about["nfe_total"] - about["nfe_prefill"] - about["nfe_commit"]


@pytest.mark.parametrize("cache", ["block", "none"])
@pytest.mark.parametrize("run", runs("fast-dllm-v2"))
def test_fast_dllm_v2(run, cache):
    """Every block but for the passes that only fill a cache: the first, of a prompt's whole blocks, and the last.

    The last pass of theirs also appends a token, the first of the next block.
    """
    known = golden("fast-dllm-v2")
    settings, about = known.about["decode_runs"][run]["settings"], known.about["decode_runs"][run]
    prompt = known.tensors[f"decode.{run}.prompt_ids"]
    ids, steps = (known.tensors[f"decode.{run}.{what}"][0, :-1] for what in ("sequence", "commit_step"))
    found = known.model.decode(
        prompt,
        len(ids) - prompt.shape[1],
        strategy="led-threshold",
        threshold=settings["threshold"],
        window_length=settings["small_block_size"],
        cache=cache,
    )
    only_prompt = int(prompt.shape[1] % 8 > 0)  # else the first pass decides the first token too
    assert torch.equal(found.ids[0], ids)
    assert torch.equal(found.commit_step[0], torch.where(steps < 0, steps, steps - only_prompt))
    assert found.nfe.item() == about["nfe_total"] - only_prompt - 1


def test_a_first_token_is_decided_without_running_the_block_that_it_begins():
    known = golden("fast-dllm-v2")
    prompt = known.tensors["decode.threshold_0.5_sub8_aligned.prompt_ids"]
    options = {"strategy": "led-threshold", "threshold": 1e-9}
    first, both = (known.model.decode(prompt, 16, max_nfe=limit, **options) for limit in (None, 2))
    # the prompt, then the block, then the finished block alone, then the next
    assert (first.nfe.item(), first.rows.item()) == (4, 16 + 8 + 8 + 8)
    assert both.nfe.item() == 2


@pytest.mark.parametrize("run", ["dynamic_0.5_unaligned", "dynamic_0.5_block8", "static_stop"])
def test_the_block_cache_changes_rows_and_nothing_else(run):
    known = golden("sdar")
    found = ours("sdar", run)
    options = OPTIONS["sdar"](known.about["decode_runs"][run]["settings"])
    plain = known.model.decode(known.recorded(run, "prompt_ids"), **options, cache="none")
    assert torch.equal(plain.ids[0], found.ids[0])
    assert torch.equal(plain.commit_step[0], found.commit_step[0])
    assert int(found.rows) < int(plain.rows)


COUNTED = {
    "llada": ["vanilla_steps10", "semi_ar_cfg", "threshold_0.9_prefix", "threshold_0.9_dual"],
    "dream": ["entropy_steps8"],
    "sdar": ["dynamic_0.5_unaligned", "dynamic_0.5_block8"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "run"), [(family, run) for family, names in COUNTED.items() for run in names])
def test_the_counters_agree_with_the_network(family, run, monkeypatch):
    seen = []
    trunk = Transformer.trunk
    monkeypatch.setattr(
        Transformer,
        "trunk",
        lambda self, inputs, *rest: seen.append(inputs.state.ids.numel()) or trunk(self, inputs, *rest),
    )
    known = golden(family)
    options = OPTIONS[family](known.about["decode_runs"][run]["settings"])
    found = known.model.decode(known.recorded(run, "prompt_ids"), **options)
    assert found.nfe.tolist() == [len(seen)]
    assert found.rows.tolist() == [sum(seen)]


@pytest.mark.parametrize("family", ["llada", "dream", "sdar"])
def test_requests_of_any_length_share_a_batch(family):
    known = golden(family)
    prompts = [[7, 8, 9], [1, 2, 3, 4, 5, 6], [], [11] * 5]
    options = {"strategy": "threshold", "threshold": 0.4, "block_length": 8}
    together = known.model.decode(prompts, 16, **options)
    for number, prompt in enumerate(prompts):
        alone = known.model.decode([prompt], 16, **options)
        assert torch.equal(alone.ids[0], together.ids[number])
        assert torch.equal(alone.commit_step[0], together.commit_step[number])
        assert alone.rows[0] == together.rows[number]
        assert together.ids[number][: len(prompt)].tolist() == prompt
        assert (together.commit_step[number][: len(prompt)] == -1).all()
        assert (together.commit_step[number][len(prompt) :] >= 0).all()


TIES = [
    {"strategy": "confidence"},
    {"strategy": "confidence", "cache": "dual", "block_length": 6},
    {"strategy": "confidence", "cache": "dllm"},
    {"strategy": "topk-margin"},
    {"strategy": "entropy"},
    {"strategy": "maskgit-plus"},
    {"strategy": "entropy-bounded", "gamma": 0.5},
    {"strategy": "factor"},
]


@pytest.mark.parametrize("options", TIES, ids=lambda options: "-".join(map(str, options.values())))
def test_an_empty_text_whose_positions_are_all_equal_does_not_see_who_is_beside_it(options):
    """Scores that are equal by symmetry differ in their last digits with the shapes of the batch."""
    model, length = golden("llada").model, 12 if "cache" in options else 15
    alone = model.decode([[]], length, **options)
    for size in (13,) if "cache" in options else (1, 3):
        beside = model.decode([[7] * size, []], length, **options)
        assert torch.equal(alone.ids[0], beside.ids[1])
        assert torch.equal(alone.commit_step[0], beside.commit_step[1])


def together(steps: torch.Tensor) -> list[int]:
    """How many tokens each step decided."""
    return torch.bincount(steps[steps >= 0]).tolist()


@pytest.mark.parametrize(
    ("block", "steps", "taken", "expected"),
    [(8, 3, 2, [3, 3]), (8, 3, 1, [3, 3, 1]), (4, 3, 1, [2, 1]), (4, 2, 3, [1])],
)
@pytest.mark.parametrize("strategy", ["confidence", "left-to-right", "dynamic"])
def test_a_block_that_the_prompt_has_begun_keeps_the_quotas_of_a_whole_one(strategy, block, steps, taken, expected):
    """Until nothing is pending; the next block has them all (by hand, from the published loop)."""
    options = {"threshold": 1.0} if strategy == "dynamic" else {}
    found = golden("sdar").model.decode(
        [[7] * taken], 2 * block - taken, strategy=strategy, block_length=block, steps=steps, **options
    )
    whole = [block // steps + (step < block % steps) for step in range(steps)]
    assert together(found.commit_step[0]) == expected + whole


@pytest.mark.parametrize(
    ("family", "options", "expected"),
    [
        ("sdar", {"max_nfe": 8}, [2] * 8),
        ("sdar", {"max_nfe": 3}, [4, 4, 8]),
        ("llada", {"max_nfe": 8, "block_length": 4}, [2] * 8),
        ("llada", {"max_nfe": 6, "block_length": 4}, [4, 2, 2, 2, 2, 4]),
        ("llada", {"max_nfe": 5}, [4, 3, 3, 3, 3]),
        ("llada", {"max_nfe": 8, "steps": 16}, [1] * 7 + [9]),
    ],
)
def test_a_limit_on_evaluations_is_spread_over_the_text(family, options, expected):
    found = golden(family).model.decode([[7] * 4], 16, strategy="confidence", **options)
    assert together(found.commit_step[0]) == expected
    assert found.nfe.tolist() == [len(expected)]


def test_a_stop_id_ends_its_block_and_banned_ids_are_never_written():
    known = golden("sdar")
    prompt = known.recorded("static_stop", "prompt_ids")
    stopped = ours("sdar", "static_stop")
    assert (stopped.commit_step[0] == -2).sum() > 0
    assert (stopped.ids[0][stopped.commit_step[0] == -2] == 253).all()
    banned = known.model.decode(prompt, 16, strategy="confidence", stop_ids=[215], banned_ids=[215])
    assert 215 not in banned.ids[0][len(prompt[0]) :]
    assert (banned.commit_step[0] != -2).all()
