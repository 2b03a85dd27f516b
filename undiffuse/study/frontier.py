"""Quality against cost of decoding: every strategy, from one token a step to many, on the same prompts.

Cost is counted, not timed: evaluations of the network, and row-forwards, the rows that went through it. On a graphics
processor that waits for its weights an evaluation costs about the same whatever its rows; on a CPU, cost is linear in
rows. A setting that saves evaluations alone is cheaper on one of them only.

Quality is that of `evaluate.generation`, with an n-gram of the text that the model was trained on as scorer. The same
numbers of the text that really follows the prompts say what good means.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..durable import write_bytes
from ..errors import UserError
from ..evaluate.generation import Quality, quality
from ..evaluate.ngram import NGram, best_order
from ..language_model import LanguageModel
from .setting import Setting

RESULTS = "frontier.jsonl"


@dataclass(frozen=True, eq=False)
class Questions:
    """What every setting is asked: prompts of ids with the text that follows each, and who judges the answers."""

    prompts: Sequence[Sequence[int]]
    truth: Sequence[Sequence[int]]
    scorer: NGram

    @property
    def length(self) -> int:
        return len(self.truth[0])

    @classmethod
    def of(cls, model: LanguageModel, text: str, scorer: NGram, samples: int, prompt: int, length: int) -> "Questions":
        """Pieces of a text that the model was not trained on, evenly spread.

        UserError if a piece exceeds the context, or the text holds too few of them.
        """
        if prompt + length > model.context:
            raise UserError(
                f"a prompt of {prompt} tokens and {length} new ones take {prompt + length} positions, and the model "
                f"was trained on {model.context}: use --length {max(model.context - prompt, 1)}"
            )
        ids, size = model.tokenizer.encode(text), prompt + length
        if len(ids) < samples * size:
            raise UserError(
                f"the text for prompts has {len(ids)} tokens, and {samples} pieces of {size} are asked for: "
                f"use -n {max(len(ids) // size, 1)}, or give a longer --prompts file"
            )
        starts = [place * (len(ids) - size) // max(samples - 1, 1) for place in range(samples)]
        pieces = [ids[place : place + size] for place in starts]
        return cls([piece[:prompt] for piece in pieces], [piece[prompt:] for piece in pieces], scorer)

    def judge(self, model: LanguageModel, answers: Sequence[Sequence[int]]) -> Quality:
        """Answers are cut before an end of text."""
        eos = model.tokenizer.vocabulary.eos
        kept = [ids[: ids.index(eos)] if eos in ids else ids for ids in map(list, answers)]
        decode = model.tokenizer.decode_bytes
        return quality(self.scorer, [decode(p) for p in self.prompts], [decode(ids) for ids in kept], kept)


def scorer_of(training: Sequence[str], text: str) -> NGram:
    """Who judges: an n-gram of the training text, of the order that suits the held-out text best."""
    data = [each.encode() for each in training]
    return NGram.fit(data, best_order(data, [text.encode()])[0])


def measure(
    model: LanguageModel, questions: Questions, setting: Setting, temperature: float, seed: int
) -> dict[str, Any]:
    """One line of the results. A setting that the model cannot have gives a line that says why."""
    line: dict[str, Any] = {"name": setting.name, "curve": setting.curve, "setting": asdict(setting)}
    options: dict[str, Any] = {**setting.options}
    try:
        found = model.decode(
            questions.prompts,
            questions.length,
            strategy=setting.strategy,
            steps=setting.steps,
            block_length=setting.block_length,
            cache=setting.cache,
            temperature=temperature,
            seed=seed,
            banned_ids=_unwritable(model),
            **options,
        )
    except UserError as error:
        return line | {"refused": str(error)}
    size = len(questions.prompts[0])
    answers = [ids[size:].tolist() for ids in found.ids]
    tokens, nfe, rows = len(answers) * questions.length, int(found.nfe.sum()), int(found.rows.sum())
    return line | {
        "nfe": nfe / len(answers),
        "rows": rows / len(answers),
        "tokens_per_forward": tokens / nfe,
        "rows_per_token": rows / tokens,
        **asdict(questions.judge(model, answers)),
    }


def frontier(
    model: LanguageModel,
    questions: Questions,
    settings: Sequence[Setting],
    out: Path,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Lines in the order of the settings, each written to `out` as it is done; those that are there are not run again.

    UserError if `out` holds results of another model, other prompts, or another seed or temperature.
    """
    asked = {
        "model": Path(model.name).name,
        "prompts": len(questions.prompts),
        "prompt": len(questions.prompts[0]),
        "length": questions.length,
        "temperature": temperature,
        "seed": seed,
        "order of the scorer": questions.scorer.order,
        "text": asdict(questions.judge(model, questions.truth)),
    }
    done = _resume(out, asked)
    for setting in settings:
        if setting.name not in done:
            done[setting.name] = measure(model, questions, setting, temperature, seed)
            _write(out, asked, done.values())
        yield done[setting.name]


def results(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What was asked, and the lines of a study."""
    asked, *lines = (json.loads(line) for line in (out / RESULTS).read_text(encoding="utf-8").splitlines())
    return asked, lines


def _resume(out: Path, asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    if not (out / RESULTS).exists():
        out.mkdir(parents=True, exist_ok=True)
        return {}
    before, lines = results(out)
    refuse_another(out / RESULTS, before, asked)
    return {line["name"]: line for line in lines}


def refuse_another(file: Path, before: Mapping[str, Any], asked: Mapping[str, Any], what: str = "study") -> None:
    """UserError that names the first value in which what is asked differs from what the file holds."""
    for name, value in asked.items():
        if before.get(name) != value:
            raise UserError(
                f"{file} holds a {what} with another {name} ({before.get(name)}, not {value}): "
                "choose another --out, or ask for the same"
            )


def _write(out: Path, asked: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (asked, *lines))
    write_bytes(out / RESULTS, text.encode())


def _unwritable(model: LanguageModel) -> tuple[int, ...]:
    """The end of the text: every setting writes the same number of tokens."""
    eos = model.tokenizer.vocabulary.eos
    return () if eos is None else (eos,)


def held_out(directory: Path) -> tuple[str, list[str]]:
    """Held-out text and training texts of a run. UserError where the directory is not that of a run."""
    from ..training.run_directory import RunDirectory

    train, valid = RunDirectory.open(directory).text
    return "\n".join(d.text for d in valid.documents), [d.text for d in train.documents]
