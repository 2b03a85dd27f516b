"""A run from its files to its report: what `undiffuse train` and `ud.train` call, and how a run resumes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from ..data.corpus import Corpus
from ..data.readers import read
from ..data.records import as_records
from ..data.split import split
from ..device import AUTO, device_of
from ..errors import UserError
from ..kinds import OBJECTIVES, describe, describe_process, refuse_packages
from ..language_model import LanguageModel
from ..language_model.adapters import update_of
from ..language_model.arguments import function, many, names, path, real, string, whole
from ..objective.objective import Objective
from ..process.process import Process
from ..randomness import check_seed
from ..text.tokenizer import PART, Tokenizer, size_for, size_for_records
from . import checkpoint
from .allocator import keep_freed_memory
from .answers import chat_of, fitted, rated
from .assembly import Assembly
from .configuration import Configuration, DataSettings, read_component
from .finish import finish
from .loop import Job
from .loop import train as train_loop
from .memory import explained, refuse_too_large
from .metrics import MetricsFile
from .pilot import Pilot
from .plan import Budget, Plan
from .planning import extended, make_plan, numbers_of_threads
from .progress import Progress, Watcher, interruptible, unwatched
from .recipe import resolve
from .report import example
from .run_directory import RunDirectory, free_path
from .start import Start
from .state import TrainingState
from .trackers.tracker import check_tracker, tracking

SHOWN_BYTES = 1 << 20
"""Of text, after which more of a tokenizer's training is shown."""
OF_RECORDS = "world"
"""The recipe of records where none is named: a shallow network and a high rate for its table (docs/log.md)."""
DEFAULT = Budget(minutes=2.0)
SAME = (
    "the held-out text is the training text itself, so its likelihood says nothing of new text: give another --valid, "
    "or leave it out to hold out a tenth"
)


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has ended, or was interrupted: its directory, its model, and how many of its steps are done."""

    directory: Path
    model: LanguageModel
    step: int
    steps: int

    @property
    def complete(self) -> bool:
        return self.step == self.steps

    @property
    def example(self) -> str | None:
        """A record of the text with a blank, where it was a list of records."""
        if "closing" not in self.model.manifest:
            return None
        return example(RunDirectory.open(self.directory).text[0], True)

    @property
    def prompt(self) -> str | None:
        """What the first of the texts asks, where they have prompts."""
        first = RunDirectory.open(self.directory).text[0].documents[0]
        if first.messages:
            return next(turn.content for turn in first.messages if turn.role == "user")
        return first.prompt


def train(
    files: Sequence[str | Path] | str | Path,
    *,
    out: str | Path | None = None,
    start: str | Path | None = None,
    revision: str | None = None,
    recipe: str | Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    valid: str | Path | None = None,
    seed: int = 0,
    overrides: Sequence[str] = (),
    objective: Objective | None = None,
    process: Process | None = None,
    template: str | Path | None = None,
    plugins: Collection[str] = (),
    device: str | torch.device | None = AUTO,
    dtype: str | torch.dtype | None = None,
    threads: int | None = None,
    progress: Watcher = unwatched,
) -> Run:
    """Trains a model of some texts (see `data.readers.read`); two minutes if neither minutes nor steps are given.

    The run directory is `out`, or `runs/NAME-OF-TEXT`, and is never overwritten. A tenth of the text is held out,
    unless `valid` names held-out text. The same seed, steps and threads give the same weights, bit for bit. A run that
    has minutes chooses its number of threads, unless it is given, and where it ends by what it measures, and again when
    the machine becomes busy or free (see `pilot`); with steps, nothing looks at a clock. Ctrl-C ends the run early,
    with everything saved. UserError for bad text, settings that do not go together, or a full disk.

    With `start`, the directory of a run, of a saved model or of a public checkpoint, or an id of Hugging Face (at a
    `revision`), training goes on from its weights, with its network, tokenizer and process and a fresh optimizer;
    without a `recipe`, by the objective that it had. Without one a list of records is trained by the recipe `world`.

    `objective` and `process` may be given as objects, which are used as they are described (a process whatever its
    vocabulary). `plugins` are packages that a start may import.

    A `template` writes prompts and conversations as the start answers them: "auto" is its own, "none" writes a prompt
    before its response, and a name (chatml) or a file another. A row then holds the longest of them (512 tokens at
    most), unless model.context says otherwise. `finetune` asks for it.
    """
    files = [path("files", file) for file in ([files] if isinstance(files, str | Path) else many("files", files))]
    for name, value in {"out": out, "start": start, "recipe": recipe, "valid": valid}.items():
        if value is not None:
            path(name, value)
    overrides, plugins = names("overrides", overrides), names("plugins", plugins)
    progress = function("progress", progress)
    seed, threads = check_seed(seed), None if threads is None else whole("threads", threads)
    where = device_of(device)
    budget = _budget(minutes, steps) or DEFAULT
    if dtype is not None:
        overrides = (*overrides, f"training.dtype={str(dtype).removeprefix('torch.')}")
    revision = None if revision is None else string("revision", revision)
    if start is None and revision is not None:
        raise UserError("a revision is of a model to start from, and none is named: leave it out")
    source = None if start is None else Start.of(start, plugins, revision)
    resolved = resolve(recipe, overrides, source, _described(objective, process))
    place = free_path(Path("runs"), _name(files)) if out is None else Path(out)
    if place.exists():
        raise UserError(f"{place} exists already: choose another --out, or go on with that run by --resume {place}")
    check_tracker(resolved.configuration.training.track)
    progress(Progress("reading"))
    text = read(files) if template is None else read(files, minimum_bytes=1)
    chat = chat_of(source, template, text)
    if resolved.configuration.training.prompt_dropout and not any(doc.answers for doc in text.documents):
        raise UserError(
            'training.prompt_dropout needs prompts, and this text has none: give JSONL with "prompt" and "response", '
            "or leave it out"
        )
    if resolved.configuration.lora.rank and source is None:
        raise UserError("lora.rank updates the weights of a model to start from, and none is named (--from)")
    text, records = as_records(text, resolved.configuration.data.records)
    apart = DataSettings(records).apart
    if apart and recipe is None and source is None:
        recipe = OF_RECORDS
        resolved = resolve(recipe, overrides, None, _described(objective, process))
    configuration = replace(resolved.configuration, data=replace(resolved.configuration.data, records=records))
    parts = (
        (text, as_records(read([valid], minimum_bytes=1), records)[0])
        if valid is not None
        else ((s := split(text, apart)).train, s.valid)
    )
    for note in (*text.told, *(parts[1].told if valid is not None else ())):
        progress(Progress("reading", note=note))
    if parts[0].digest == parts[1].digest:
        progress(Progress("reading", note=SAME))
    if template is not None and source is not None and any(doc.answers for doc in text.documents):
        if resolved.origins.get("optimizer.lr") == "default":
            configuration = rated(configuration)
        free = resolved.origins["model.context"] in ("start", "default")
        configuration, note = fitted(configuration, source.tokenizer, parts, chat, free)
        progress(Progress("reading", note=note))
    request = {
        "files": [str(file) for file in files],
        "valid": None if valid is None else str(valid),
        "start": None if start is None else str(start),
        "revision": revision,
        "recipe": str(recipe or "default"),
        "configuration": configuration.to_dict(),
        "origins": dict(resolved.origins),
        "budget": asdict(budget),
        "seed": seed,
        "device": str(where),
        "threads": threads or (torch.get_num_threads() if budget.minutes is None else None),
        "chat": chat,
    }
    known = None if source is None else source.tokenizer
    refuse_too_large(configuration, known, parts[0].bytes, budget, where)
    run = RunDirectory.create(place, request, *parts, None if configuration.lora.rank else source)
    try:
        return _go_on(run, None, plugins, progress)
    except UserError:
        run.discard()  # the corrected command finds its place free
        raise


def resume(
    directory: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    threads: int | None = None,
    plugins: Collection[str] = (),
    progress: Watcher = unwatched,
) -> Run:
    """Goes on with an interrupted run, or extends a finished one by so many more minutes or steps.

    At the same number of threads (the default: those of the run) an interrupted run ends in the same weights as if it
    had not been interrupted. An extension starts again at the full learning rate, without a warm-up, and falls to zero
    at its own end. UserError if the directory holds no run, a damaged one, one with nothing left to do, or one with
    components of packages that `plugins` does not name: going on imports them.
    """
    directory, plugins = path("directory", directory), names("plugins", plugins)
    progress = function("progress", progress)
    threads = None if threads is None else whole("threads", threads)
    extension = _budget(minutes, steps)
    run = RunDirectory.open(directory)
    refuse_packages(run.request, plugins, str(directory))
    plan = run.plan()
    done = plan is not None and run.finished_step == plan.ends[-1]
    if done and extension is None:
        raise UserError(f"{directory} is finished: extend it with --minutes or --steps")
    if not done and extension is not None:
        raise UserError(f"{directory} is not finished: resume it without --minutes and --steps first")
    return _go_on(run, extension, plugins, progress, threads)


def _budget(minutes: object, steps: object) -> Budget | None:
    """None where there is none."""
    if minutes is None and steps is None:
        return None
    return Budget(
        None if minutes is None else real("minutes", minutes), None if steps is None else whole("steps", steps)
    )


def _described(objective: Objective | None, process: Process | None) -> dict[str, dict[str, object]]:
    """Objects as a recipe would say them; UserError for what is none."""
    found: dict[str, dict[str, object]] = {}
    for name, value, cls in (("objective", objective, Objective), ("process", process, Process)):
        if value is None:
            continue
        if not isinstance(value, cls):
            raise UserError(f"{name} is an object here, not {value!r}; by name it is overrides=['{name}.kind=…']")
        found[name] = describe_process(value) if name == "process" else describe(value)
    return found


def _go_on(
    run: RunDirectory,
    extension: Budget | None,
    plugins: Collection[str],
    progress: Watcher,
    threads: int | None = None,
) -> Run:
    """Does what is left of a run, from whatever its directory holds."""
    request = run.request
    fixed = threads or request["threads"]
    choices = () if fixed else numbers_of_threads(torch.get_num_threads())
    if fixed:
        torch.set_num_threads(fixed)
    keep_freed_memory()
    with explained():
        began = monotonic()
        assembly = _assembly(run, plugins, progress)
        if assembly.longest is not None and run.plan() is None:
            progress(Progress("measuring", note=_told(assembly, request["valid"])))
        pilot = Pilot(_plan(run, assembly, extension, choices, monotonic() - began, progress), run.keep_plan, choices)
        job, state = assembly.build(pilot.plan)
        _train(run, job, state, pilot, progress)
        plan = pilot.plan
        progress(Progress("reporting", state.step, plan.ends[-1]))
        model = finish(run, plan, assembly, job, state)
    return Run(run.path, model, state.step, plan.ends[-1])


def _assembly(run: RunDirectory, plugins: Collection[str], progress: Watcher) -> Assembly:
    """From what the directory holds, with a tokenizer of its own if it has none yet."""
    request = run.request
    train_text, valid_text = run.text
    configuration, start = run.configuration, run.start(plugins)
    tokenizer = (
        start.tokenizer if start else run.tokenizer() or _new_tokenizer(run, configuration, train_text, progress)
    )
    lora = configuration.lora
    update = (update_of(start.model, lora.rank, lora.weight, lora.targets),) if start and lora.rank else ()
    where = device_of(request["device"])
    return Assembly(
        configuration, train_text, valid_text, tokenizer, request["seed"], where, start, update, request.get("chat")
    )


def _train(run: RunDirectory, job: Job, state: TrainingState, pilot: Pilot, progress: Watcher) -> None:
    """The loop, from the newest checkpoint on."""
    found = checkpoint.load_latest(run.checkpoints)
    if found is not None:
        try:
            state.load(found.step, found.facts["seconds"], found.tensors)
            state.objective = read_component(OBJECTIVES, found.facts["objective"])
        except ValueError as error:
            raise UserError(f"the checkpoint of step {found.step} in {run.path} is of another run: {error}") from error
    track = tracking(job.settings.track, run.path, state.step, run.request["configuration"])
    position = found.facts["metrics"] if found else 0
    with MetricsFile(run.metrics, position) as metrics, track as show, interruptible() as stopping:

        def write(record: Mapping[str, Any]) -> None:
            metrics.write(record)
            show(record)

        def save() -> None:
            facts = {
                "metrics": metrics.settle(),
                "seconds": state.seconds,
                "objective": describe(state.objective),
            }
            checkpoint.save(run.checkpoints, checkpoint.Checkpoint(state.step, state.tensors(), facts))

        train_loop(job, state, write, save, progress, stopping, pilot)


def _plan(
    run: RunDirectory,
    assembly: Assembly,
    extension: Budget | None,
    threads: tuple[int, ...],
    seconds: float,
    progress: Watcher,
) -> Plan:
    """The plan that the run has; else a new one, or the old one with an extension, which are kept.

    A new run has spent `seconds` of its minutes on its tokenizer.
    """
    plan = run.plan()
    budget = Budget(**run.request["budget"]) if plan is None else extension
    if budget is None:
        assert plan is not None
        return plan
    if budget.minutes is not None:
        progress(Progress("measuring"))
    if plan is None:
        plan = make_plan(assembly, budget.after(seconds), threads)
    else:
        plan = extended(assembly, plan, budget, run.finished_seconds, threads)
    run.keep_plan(plan)
    return plan


def _new_tokenizer(run: RunDirectory, configuration: Configuration, text: Corpus, progress: Watcher) -> Tokenizer:
    """Trained on the training text alone, and kept in the directory."""
    progress(Progress("tokenizing", 0, text.bytes))
    settings = configuration.tokenizer
    if settings.kind == "byte":
        tokenizer = Tokenizer.byte_level()
    else:
        apart = configuration.data.apart
        suiting = size_for_records(text.bytes) if apart else size_for(text.bytes)
        least = (1 if apart else 2) if settings.least_count == "auto" else settings.least_count
        tokenizer = Tokenizer.train(
            _shown(text, progress), suiting if settings.size == "auto" else settings.size, least
        )
    run.keep_tokenizer(tokenizer)
    return tokenizer


def _shown(text: Corpus, progress: Watcher) -> Iterator[str]:
    """The texts in parts; how much of them has been taken is shown."""
    done = shown = 0
    for document in text.documents:
        for part in PART.findall(document.text):
            yield part
            done += len(part.encode())
            if done - shown >= SHOWN_BYTES:
                progress(Progress("tokenizing", done, text.bytes))
                shown = done


def _told(assembly: Assembly, valid: str | None) -> str:
    """What was recognized, what follows, and how it is changed."""
    train, held_out = (len(text.documents) for text in (assembly.train, assembly.valid))
    what = {"lines": ", a line each", "paragraphs": ", a paragraph each"}.get(assembly.configuration.data.records, "")
    count, most = train + (0 if valid else held_out), (assembly.longest or 1) - 1
    told = (
        f"{count:,} records{what}, of at most {most} tokens: each is learned whole and apart from the others "
        "(data.records=off: one running text)"
    )
    return told if valid else f"{told}; {held_out} of them are held out (--valid FILE: none, but that text)"


def _name(files: Sequence[str | Path]) -> str:
    """The default name of a run."""
    first = str(files[0]) if files else "-"
    return "stdin" if first == "-" else Path(first).resolve().stem
