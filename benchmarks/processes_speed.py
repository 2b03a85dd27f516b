"""Training and sampling steps of every noise: their speed as a ratio to masked ones, in one process.

The masked network runs its head at every position here, as the others must: what gathering saves is in `gathering`.

python -m benchmarks.processes_speed [threads] [rounds]
"""

import statistics
import sys
from collections.abc import Callable

import torch
from torch.nn import functional as F

from undiffuse.decode.advance import times
from undiffuse.decode.canvas import start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import begin, step
from undiffuse.decode.passes import Sites, read, run
from undiffuse.decode.request import Request
from undiffuse.decode.strategies.strategy import Observation, Strategy
from undiffuse.decode.strategies.tweedie import Tweedie
from undiffuse.kinds import STRATEGIES, build_process
from undiffuse.language_model.defaults import default_strategy
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.bound import Bound
from undiffuse.objective.objective import Objective
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.randomness import Draws
from undiffuse.training.allocator import keep_freed_memory
from undiffuse.training.recipe import resolve
from undiffuse.vocabulary import Vocabulary

from .network import batch_of
from .report import interleaved, median_of_ratios, write

VOCABULARY, CONTEXT, ROWS, STEPS, ROUNDS = 4096, 128, 8, 64, 9
SIZE = {"rows": VOCABULARY, "context": CONTEXT, "width": 256, "depth": 6, "heads": 4}
TRAINED = (
    "udlm", "gidd", "xdlm", "duo", "duo-simple", "flow-matching", "sedd-uniform", "d3pm-uniform", "plaid",
)  # fmt: skip
SAMPLED = (
    "udlm", "gidd", "xdlm", "duo", "flow-matching", "sedd-uniform", "sedd-absorb", "d3pm-uniform", "plaid",
)  # fmt: skip
SOFT = ("duo", "duo-simple")
"""What the network is shown in training: soft tokens."""

Action = Callable[[], object]


def made(recipe: str) -> tuple[Objective, Predictor]:
    """The objective and the network of a recipe, in its number format; the masked one has a time input as the others.

    Networks of vectors train in float32, which their recipe asks for; to compare the noise alone they are in bfloat16.
    """
    configuration = resolve(recipe).configuration
    model = {name: value for name, value in configuration.model.items() if value != "auto"}
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(**{**model, **SIZE, "time_conditioning": True})).bfloat16()  # type: ignore[arg-type]
    process = build_process(configuration.process, Vocabulary(VOCABULARY, mask=VOCABULARY - 1))
    return configuration.objective, Predictor(network, process, configuration.objective.head)


def masked() -> Action:
    """Forward and backward pass of the masked bound, with logits at every position."""
    (_, predictor), batch = made("mdlm"), batch_of(TransformerConfig(**SIZE), ROWS)  # type: ignore[arg-type]
    process, draw, draws = predictor.process, Bound().times, Draws.seeded(0)
    assert isinstance(process, Interpolating)

    def step() -> None:
        noised = draw.noise(process, batch, draws, ROWS)
        logits = predictor.predict(noised, batch, batch.editable).logits
        nats = F.cross_entropy(logits, batch.ids.flatten(), reduction="none")
        weight = process.schedule.weight(noised.t) * process.law.is_mask(noised.state.ids)
        (weight.flatten().float() * nats).sum().backward()

    return step


def trained(recipe: str) -> Action:
    """Forward and backward pass of a recipe at the beginning of its training."""
    objective, predictor = made(recipe)
    batch, draws = batch_of(TransformerConfig(**SIZE), ROWS), Draws.seeded(0)  # type: ignore[arg-type]
    return lambda: objective.loss(predictor, batch, draws, ROWS).sum.backward()


def sampled(recipe: str, strategy: Strategy | None = None) -> tuple[Action, Action]:
    """A step of the recipe's default drawing strategy half way: the whole, and without the network's trunk and head."""
    _, predictor = made(recipe)
    strategy = strategy or STRATEGIES.load(default_strategy(predictor, drawing=True))()
    ids, free = torch.zeros(CONTEXT, dtype=torch.long), torch.ones(CONTEXT, dtype=torch.bool)
    rows = [start(ids, free, key=number, steps=STEPS) for number in range(ROWS)]
    before = begin(predictor, [Request(row, Decoder(strategy)) for row in rows])
    before = before.replace(before.canvas.replace(clock=before.canvas.clock + STEPS // 2))
    memory = before.groups[0].memory

    with torch.no_grad():
        canvas = before.canvas
        at = strategy.step(predictor.process, canvas)
        sites = Sites.of(strategy.reads(predictor.process, canvas, at))
        view, t = strategy.view(canvas, memory), times(canvas, at)
        hidden, _ = run(predictor, canvas, sites, t, canvas.valid, view=view)
        prediction = read(predictor, canvas, sites, t, hidden, view)
        look = Observation(canvas, sites, sites.gather(canvas.ids), prediction, canvas.draws.gather(sites.index))

    @torch.no_grad()
    def decide() -> None:
        strategy.advance(predictor.process, look, at, memory)

    return (lambda: step(predictor, before)), decide


def table(kind: str, actions: dict[str, Action], rounds: int, unit: float) -> list[dict[str, object]]:
    """A line per action: its speed, and the ratio to that of the first with a 95 % interval."""
    found = dict(zip(actions, interleaved(list(actions.values()), rounds), strict=True))
    lines: list[dict[str, object]] = []
    for name, seconds in found.items():
        ratio, low, high = median_of_ratios(found["masked"], seconds)
        lines.append(
            {
                "step": kind,
                "noise": f"{name}, soft tokens" if kind == "training" and name in SOFT else name,
                "tokens/s": round(unit / statistics.median(seconds)),
                "ratio": ratio,
                "95 %": f"{low:.2f} to {high:.2f}",
            }
        )
    return lines


def main(threads: int, rounds: int) -> None:
    torch.set_num_threads(threads)
    keep_freed_memory()
    tokens = ROWS * CONTEXT
    lines = table("training", {"masked": masked()} | {name: trained(name) for name in TRAINED}, rounds, tokens)
    # `tweedie` draws what `ancestral` draws, from logits at every position
    steps = {"masked": sampled("mdlm", Tweedie()), "masked, gathered": sampled("mdlm")}
    steps |= {name: sampled(name) for name in SAMPLED}
    lines += table("sampling", {name: whole for name, (whole, _) in steps.items()}, rounds, tokens)
    alone = {name: decide for name, (_, decide) in steps.items()}
    lines += table("sampling, without the network", alone, rounds, tokens)
    definition = (
        f"{ROWS} rows of {CONTEXT} tokens, vocabulary {VOCABULARY}, width 256, depth 6, time input, bfloat16; {rounds} "
        f"steps of each in turns, in one process; `ratio`: to masked, median with 95 % bootstrap interval. Training: "
        f"forward and backward pass at the start of a recipe, without the optimizer's step; masked training has its "
        f"head at every position here. Sampling: one step of the recipe's default drawing strategy half way through "
        f"{STEPS} steps, and what is left of it without trunk and head, at logits that are given; every position is "
        "pending, and is read also by the masked step; `gathered` reads the positions alone that it opens. plaid is "
        "trained in float32 otherwise, and passes twice through the network in a quarter of the rows."
    )
    write("processes_speed", definition, threads, lines)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(arguments[0] if arguments else 1, arguments[1] if len(arguments) > 1 else ROUNDS)
