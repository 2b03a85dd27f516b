"""What undiffuse does on a GPU, in one script of at most eight minutes.

python -m benchmarks.gpu [--minutes M] [--only SECTION …] [--out FOLDER] [--smoke]

`recipes` trains every recipe for some steps in bfloat16 on the GPU and in float32 on the processor and compares their
losses; `golden` repeats recorded decodings; `large` decodes with networks of published sizes and random weights;
`training` looks for the largest batch that pays. With `--smoke` everything is tiny and runs on the processor, so that
the script can be tested where there is no GPU. What fails is written down as a failure, and the rest goes on.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

import undiffuse as ud
from undiffuse.language_model.trained import Trained
from undiffuse.models.rules import block_diffusion
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.training.metrics import read_metrics
from undiffuse.training.recipe import recipes
from undiffuse.types import Rows, State, Tags
from undiffuse.vocabulary import Vocabulary

from .network import flops, library_parts
from .report import RESULTS, markdown
from .same.probe import generated

Row = dict[str, Any]
MINUTES = 8.0

LLADA_8B = TransformerConfig(
    rows=126464, width=4096, depth=32, heads=32, hidden=12288, context=4096, norm="rmsnorm", activation="swiglu",
    qk_norm=False, rope_base=500_000.0, scales=True, norm_eps=1e-5,
)  # fmt: skip
SDAR_1_7B = TransformerConfig(
    rows=151936, width=2048, depth=28, heads=16, kv_heads=8, head_dim=128, hidden=6144, context=4096, norm="rmsnorm",
    activation="swiglu", qk_norm=True, rope_base=1e6, scales=True, norm_eps=1e-6, block_length=4, tied=True,
)  # fmt: skip
TRAINED = TransformerConfig(rows=32768, width=768, depth=12, heads=12, context=1024)


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    device: torch.device
    dtype: torch.dtype
    networks: Mapping[str, TransformerConfig]
    trained: TransformerConfig
    recipes: tuple[str, ...]
    recipe_steps: int
    prompt: int
    length: int
    product: int
    most_rows: int
    repeats: int


FULL = Sizes(
    torch.device("cuda"), torch.bfloat16, {"LLaDA 8B": LLADA_8B, "SDAR 1.7B": SDAR_1_7B}, TRAINED,
    recipes=recipes(), recipe_steps=6, prompt=512, length=128, product=8192, most_rows=512, repeats=5,
)  # fmt: skip
SMALL = {"rows": 96, "width": 32, "depth": 2, "heads": 2, "hidden": 64, "context": 64}
SMOKE = Sizes(
    torch.device("cpu"), torch.bfloat16,
    {
        "LLaDA 8B": replace(LLADA_8B, **SMALL),
        "SDAR 1.7B": replace(SDAR_1_7B, **SMALL, kv_heads=1, head_dim=16),
    },
    replace(TRAINED, rows=96, width=32, depth=2, heads=2, context=16),
    recipes=("ar", "mdlm", "plaid"), recipe_steps=2, prompt=16, length=8, product=64, most_rows=4, repeats=2,
)  # fmt: skip


class Budget:
    """The time that is left; a section that begins is given a share of it."""

    def __init__(self, minutes: float) -> None:
        self.ends = time.monotonic() + 60 * minutes

    def left(self) -> float:
        return self.ends - time.monotonic()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(action: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median time of a call, the device's work included, after one that warms up."""
    action()
    times = []
    for _ in range(repeats):
        wait(device)
        began = time.perf_counter()
        action()
        wait(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@contextmanager
def memory(device: torch.device, into: Row) -> Iterator[None]:
    """Most bytes that were in use on a GPU meanwhile, as `peak GB`."""
    if device.type != "cuda":
        yield
        into["peak GB"] = "-"
        return
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield
    into["peak GB"] = torch.cuda.max_memory_allocated() / 1e9


def attempt(name: str, action: Callable[[], Row]) -> Row:
    """A row, or what went wrong in its place."""
    try:
        return action()
    except Exception as error:  # the report says which one, and the rest goes on
        return {"what": name, "failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}


# every recipe


def losses(recipe: str, sizes: Sizes, device: torch.device, dtype: str, folder: Path) -> list[float]:
    """The training losses of a few steps."""
    text, out = folder / "text.txt", folder / f"{recipe}-{device.type}-{dtype}"
    text.write_text(generated(30_000), encoding="utf-8")
    small = (
        "tokenizer.kind=byte", "model.width=64", "model.depth=2", "model.heads=2", "model.context=64",
        "training.rows=16", "training.validations=1", "training.windows=1", "training.report_every=1",
    )  # fmt: skip
    ud.train([text], out=out, recipe=recipe, steps=sizes.recipe_steps, overrides=small, device=device, dtype=dtype)
    lines = read_metrics(out / "metrics.jsonl")
    return [line["nats_per_token"] for line in lines if "nats_per_token" in line]


def recipe_section(sizes: Sizes, budget: Budget) -> Iterator[Row]:
    """Both begin at the same weights and draw the same noise, so that losses differ by rounding, and by what it does to
    the steps before."""
    with tempfile.TemporaryDirectory() as folder:
        for recipe in sizes.recipes:

            def compared(recipe: str = recipe) -> Row:
                began = time.perf_counter()
                there = losses(recipe, sizes, sizes.device, "bfloat16", Path(folder))
                taken = time.perf_counter() - began
                here = losses(recipe, sizes, torch.device("cpu"), "float32", Path(folder))
                off = [abs(a - b) / max(abs(b), 1e-3) for a, b in zip(there, here, strict=True)]
                return {
                    "what": recipe, "steps": len(off), "first loss": here[0], "last loss": here[-1],
                    "last loss there": there[-1], "most off": max(off), "seconds": taken,
                }  # fmt: skip

            yield attempt(recipe, compared)
            if budget.left() < 0:
                return


# recorded decodings


def golden_section(sizes: Sizes, budget: Budget) -> Iterator[Row]:
    """float32: tokens and their order are those of the processor but where two confidences are a rounding apart."""
    tests = Path(__file__).parents[1] / "tests" / "language_model"
    sys.path.insert(0, str(tests))
    import recorded  # type: ignore[import-not-found]

    for family in recorded.OPTIONS:
        known = recorded.golden(family)
        there = known.load(device=sizes.device)
        same, runs = 0, recorded.runs(family)
        wrong = []
        for run in runs:
            options = recorded.OPTIONS[family](known.about["decode_runs"][run]["settings"])
            found = there.decode(known.recorded(run, "prompt_ids"), **options)
            mine = recorded.ours(family, run)
            equal = all(
                torch.equal(a.cpu(), b)
                for name in ("ids", "commit_step")
                for a, b in zip(getattr(found, name), getattr(mine, name), strict=True)
            )
            same += equal
            wrong += [] if equal else [run]
        yield {"what": family, "runs": len(runs), "equal to the processor's": same, "others": ", ".join(wrong) or "-"}
        if budget.left() < 0:
            return


# large networks


def peaks(sizes: Sizes) -> Row:
    """What the device reaches: a product of large matrices, and a copy."""
    n, device = sizes.product, sizes.device
    a, b = (torch.randn(n, n, device=device, dtype=sizes.dtype) for _ in range(2))
    product = seconds(lambda: a @ b, device, sizes.repeats)
    large = torch.empty(n * n * 8, device=device, dtype=sizes.dtype)
    copied = seconds(lambda: large.clone(), device, sizes.repeats)
    return {
        "what": f"product of {n} x {n} matrices, and a copy",
        "TFLOP/s": 2 * n**3 / product / 1e12,
        "GB/s": 2 * large.numel() * large.element_size() / copied / 1e9,
    }


def made(shape: TransformerConfig, sizes: Sizes) -> Trained:
    """A masked model with random weights, made on the device."""
    with torch.device("meta"):
        network = Transformer(shape).to(sizes.dtype)
    network = network.to_empty(device=sizes.device)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.02) if weight.ndim > 1 else torch.nn.init.ones_(weight)
    process = Interpolating(Vocabulary(shape.rows, mask=shape.rows - 1), OneMinusT(), Mask())
    predictor = Predictor(network.eval().requires_grad_(False), process, "leave_one_out")
    return Trained(predictor, None, {}, "random weights")  # type: ignore[arg-type]


def weights_of(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def rows_of(shape: TransformerConfig, count: int, sizes: Sizes) -> Rows:
    ids = torch.full((1, count), shape.rows - 1, device=sizes.device)
    places = torch.arange(count, device=sizes.device)[None]
    span = None if shape.block_length is None else torch.tensor([shape.block_length], device=sizes.device)
    return Rows(State(ids), Tags(places, span=span))


def pass_row(name: str, model: Trained, sizes: Sizes, peak: Row) -> Row:
    """One pass over a prompt and its answer, and the head at one block of it."""
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    count = sizes.prompt + sizes.length
    rows = rows_of(network.config, count, sizes)
    found: Row = {"what": f"{name}: pass over {count} rows"}
    with memory(sizes.device, found), torch.no_grad():
        taken = seconds(lambda: network.head(network.trunk(rows)[:, -32:]), sizes.device, sizes.repeats)
    hidden = sum(weight.numel() for weight, _ in network.matrices)
    work = 2 * hidden * count + 4 * count**2 * network.config.heads * network.config.head_width * network.config.depth
    found |= {"ms": 1e3 * taken, "share of the product": work / taken / 1e12 / peak["TFLOP/s"]}
    few = rows_of(network.config, 4, sizes)
    with torch.no_grad():
        least = seconds(lambda: network.trunk(few), sizes.device, sizes.repeats)
    size = next(network.parameters()).element_size()
    found |= {"ms of 4 rows": 1e3 * least, "share of the copy": hidden * size / least / 1e9 / peak["GB/s"]}
    return found


def graphed_row(name: str, model: Trained, sizes: Sizes) -> Row:
    """A pass of one block: kernel by kernel; on a GPU also as a CUDA graph, and compiled layer by layer."""
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    rows = rows_of(network.config, 32, sizes)
    found: Row = {"what": f"{name}: pass over 32 rows", "graph ms": "-", "compiling s": "-", "compiled ms": "-"}
    with torch.no_grad():
        found["eager ms"] = 1e3 * seconds(lambda: network.trunk(rows), sizes.device, sizes.repeats)
        if sizes.device.type != "cuda":
            return found
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            network.trunk(rows)
        found["graph ms"] = 1e3 * seconds(graph.replay, sizes.device, sizes.repeats)
        plain = [block.forward for block in network.blocks]
        try:
            for block in network.blocks:
                block.forward = torch.compile(block.forward, dynamic=False)
            began = time.perf_counter()
            network.trunk(rows)
            wait(sizes.device)
            found["compiling s"] = time.perf_counter() - began
            found["compiled ms"] = 1e3 * seconds(lambda: network.trunk(rows), sizes.device, sizes.repeats)
        finally:
            for block, forward in zip(network.blocks, plain, strict=True):
                block.forward = forward
    return found


def attention_row(name: str, shape: TransformerConfig, sizes: Sizes) -> Row:
    """The attention of one layer over a whole context, by torch's fused kernels and by flex_attention."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    count, device = shape.context, sizes.device
    q, k, v = (
        torch.randn(1, heads, count, shape.head_width, device=device, dtype=sizes.dtype)
        for heads in (shape.heads, shape.groups, shape.groups)
    )
    rows, mask, blocks = rows_of(shape, count, sizes), None, None
    if shape.block_length is not None:
        allowed = block_diffusion(rows.tags, rows.tags)
        assert allowed is not None
        mask = allowed[:, None]
        span = shape.block_length
        blocks = create_block_mask(lambda b, h, i, j: j // span <= i // span, None, None, count, count, device=device)
    grouped = shape.heads != shape.groups

    def fused() -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)

    attend = torch.compile(flex_attention, dynamic=False) if device.type == "cuda" else flex_attention

    def flex() -> Tensor:
        return attend(q, k, v, block_mask=blocks, enable_gqa=grouped)

    off = (fused().float() - flex().float()).abs().max().item()
    return {
        "what": f"{name}: attention of a layer over {count} rows",
        "fused ms": 1e3 * seconds(fused, device, sizes.repeats),
        "flex ms": 1e3 * seconds(flex, device, sizes.repeats),
        "most off": off,
    }


def decoding_row(name: str, model: Trained, cache: str, strategy: str, sizes: Sizes, options: Row) -> Row:
    """Tokens per second after a prompt, one request."""
    talks = ud.LanguageModel.of(model)
    prompts = [list(range(1, 1 + sizes.prompt // 2)) * 2]
    found: Row = {"what": f"{name}: {strategy}, cache {cache}"}

    def decode() -> Any:
        return talks.decode(prompts, sizes.length, strategy=strategy, cache=cache, **options)

    with memory(sizes.device, found):
        taken = seconds(decode, sizes.device, 1)
    done = decode()
    steps = int(done.nfe.max())
    return found | {"tokens/s": sizes.length / taken, "steps": steps, "ms per step": 1e3 * taken / steps}


def loading_row(name: str, model: Trained, sizes: Sizes) -> Row:
    """Its weights written as a run, and read again from the warm cache."""
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.safetensors")
        save_file({key: value.contiguous().cpu() for key, value in network.state_dict().items()}, file)
        size = file.stat().st_size

        def read() -> None:
            with safe_open(file, framework="pt", device=str(sizes.device)) as held:
                for key in held.keys():  # noqa: SIM118 (no mapping)
                    held.get_tensor(key)

        taken = seconds(read, sizes.device, 1)
    return {
        "what": f"{name}: weights from disk to device",
        "GB": size / 1e9,
        "seconds": taken,
        "GB/s": size / taken / 1e9,
    }


def large_section(sizes: Sizes, budget: Budget) -> Iterator[Row]:
    """Random weights: the numbers are of speed alone."""
    peak = peaks(sizes)
    yield peak
    for name, shape in sizes.networks.items():
        began = time.perf_counter()
        model = made(shape, sizes)
        wait(sizes.device)
        network = model.predictor.denoiser
        assert isinstance(network, Transformer)
        yield {
            "what": f"{name}: made on the device",
            "weights": weights_of(network),
            "seconds": time.perf_counter() - began,
        }
        blocks = shape.block_length is not None
        steps: Row = {} if blocks else {"steps": sizes.length, "block_length": min(32, sizes.length)}
        actions: list[tuple[str, Callable[[], Row]]] = [
            ("pass", lambda name=name, model=model: pass_row(name, model, sizes, peak)),
            *(
                (cache, lambda n=name, m=model, c=cache, s=steps: decoding_row(n, m, c, "confidence", sizes, s))
                for cache in (("none", "block") if blocks else ("none", "prefix", "dual", "dllm"))
            ),
            ("graph", lambda name=name, model=model: graphed_row(name, model, sizes)),
            ("attention", lambda name=name, shape=shape: attention_row(name, shape, sizes)),
            ("loading", lambda name=name, model=model: loading_row(name, model, sizes)),
        ]
        for what, action in actions:
            yield attempt(f"{name}: {what}", action)
            if budget.left() < 0:
                return
        thin = replace(shape, width=64, hidden=64, heads=2, kv_heads=min(2, shape.groups), head_dim=32, rows=1024)
        yield attempt(
            name,
            lambda name=name, thin=thin, steps=steps: decoding_row(
                f"{name} but 64 wide (the host's time)", made(thin, sizes), "none", "confidence", sizes, steps
            ),
        )
        del model, network
        if sizes.device.type == "cuda":
            torch.cuda.empty_cache()


# training


def training_section(sizes: Sizes, budget: Budget) -> Iterator[Row]:
    """Rows are doubled until a twentieth more tokens per second, or memory, is no longer to be had."""
    peak, rows, before = peaks(sizes), 1, 0.0
    yield peak
    while rows <= sizes.most_rows and budget.left() > 0:

        def trained(rows: int = rows) -> Row:
            gradient, update = library_parts(sizes.trained, rows, sizes.device)

            def step() -> None:
                gradient()
                update()

            found: Row = {"what": f"a training step of {rows} x {sizes.trained.context} tokens"}
            with memory(sizes.device, found):
                taken = seconds(step, sizes.device, sizes.repeats)
            tokens = rows * sizes.trained.context
            share = flops(sizes.trained, rows) / taken / 1e12 / peak["TFLOP/s"]
            return found | {"ms": 1e3 * taken, "tokens/s": tokens / taken, "share of the product": share}

        row = attempt(f"a training step of {rows} rows", trained)
        yield row
        if "failed" in row or row["tokens/s"] < 1.05 * before:
            return
        before, rows = row["tokens/s"], 2 * rows


SECTIONS = {
    "recipes": recipe_section,
    "golden": golden_section,
    "large": large_section,
    "training": training_section,
}


def machine(sizes: Sizes) -> Row:
    name = torch.cuda.get_device_name() if sizes.device.type == "cuda" else platform.processor()
    return {"device": name, "dtype": str(sizes.dtype).removeprefix("torch."), "torch": torch.__version__}


def tables(rows: Sequence[Row]) -> list[str]:
    """Rows with the same columns as one table, in their order."""
    lines: list[str] = []
    groups: list[list[Row]] = []
    for row in rows:
        if groups and groups[-1][0].keys() == row.keys():
            groups[-1].append(row)
        else:
            groups.append([row])
    for group in groups:
        lines += [*markdown(group), ""]
    return lines


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--smoke", action="store_true")
    asked = parser.parse_args(arguments)
    if not asked.smoke and not torch.cuda.is_available():
        parser.error("there is no GPU; --smoke runs everything tiny on the processor")
    sizes, budget = SMOKE if asked.smoke else FULL, Budget(asked.minutes)
    result: dict[str, Any] = {"machine": machine(sizes), "sizes": {k: str(v) for k, v in asdict(sizes).items()}}
    result["sections"] = {}
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        rows = result["sections"][name] = []
        if budget.left() <= 0:
            rows.append({"what": name, "failed": "no time was left"})
            continue
        for row in SECTIONS[name](sizes, budget):
            rows.append(row)
            print(name, row, flush=True)
        (asked.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    lines = ["# gpu", "", str(result["machine"]), ""]
    for name, rows in result["sections"].items():
        lines += [f"## {name}", "", " ".join((SECTIONS[name].__doc__ or "").split()), "", *tables(rows)]
    (asked.out / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
