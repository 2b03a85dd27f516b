"""Texts as the windows that are scored: consecutive, each token in exactly one, none with context from another.

Where a first token is a condition, windows begin with the last token of the one before, which has been scored there.
"""

from collections.abc import Iterator, Sequence

import torch

from ..types import Batch

TOKENS_AT_ONCE = 4096


def cut(size: int, context: int, led: bool = False) -> list[range]:
    """The windows of so many tokens; `led` by a token each that is a condition, the first one of all among them."""
    if led:
        return [range(start, min(start + context, size)) for start in range(0, size - 1, max(context - 1, 1))]
    return [range(start, min(start + context, size)) for start in range(0, size, context)]


def windows(
    documents: Sequence[Sequence[int]],
    context: int,
    prompts: Sequence[int] | None = None,
    led: bool = False,
    around: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Batch:
    """Every document cut into consecutive windows of at most `context` tokens, padded on the right.

    `prompts` gives the number of leading tokens of each document that are conditions: visible, not scored. A document
    with a prompt is one window, and must fit. With `led` the first token of each window is a condition. What stands
    `around` every window, before and after it, is not scored either.
    """
    before, after = map(list, around)
    rows: list[tuple[Sequence[int], int]] = []
    for number, ids in enumerate(documents):
        prompt = prompts[number] if prompts else 0
        if prompt:
            if len(ids) > context:
                raise ValueError(f"document {number} has {len(ids)} tokens with its prompt; the context is {context}")
            rows.append((ids, prompt))
            continue
        rows.extend((ids[window.start : window.stop], int(led)) for window in cut(len(ids), context, led))
    rows = [([*before, *ids, *after], len(before) + prompt) for ids, prompt in rows]
    length = max((len(ids) for ids, _ in rows), default=0)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    valid, editable = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids, dtype=torch.bool)
    for row, (tokens, prompt) in enumerate(rows):
        ids[row, : len(tokens)] = torch.as_tensor(tokens)
        valid[row, : len(tokens)] = True
        editable[row, prompt : len(tokens) - len(after)] = True
    index = torch.arange(len(rows))
    return Batch(
        ids=ids,
        editable=editable,
        valid=valid,
        positions=torch.arange(length).expand_as(ids),
        index=index,
        epoch=torch.zeros_like(index),
        slot=index,
    )


def chunks(text: Batch) -> Iterator[Batch]:
    """Groups of rows that go through the network together."""
    size = max(1, TOKENS_AT_ONCE // text.ids.shape[1])
    for start in range(0, len(text.ids), size):
        yield text.rows(slice(start, start + size))
