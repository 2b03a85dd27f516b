"""One wrong formula and the law that must catch it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """`replacement` takes the place of `source`, which occurs exactly once in `file` (a path below undiffuse/).

    `caught_by` is a pattern of `undiffuse verify`; one failing result among those that it selects is enough.
    """

    file: str
    source: str
    replacement: str
    caught_by: str
