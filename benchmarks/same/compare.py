"""What differs between two sides' records. Nothing here runs or imports the package."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What a probe found: how much is `equal`, what differs and may (`notes`), what differs and must not."""

    probe: str
    equal: str
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def laws(base: Sequence[Record], here: Sequence[Record]) -> Report:
    """Results of `undiffuse verify --json`: the same errors and tolerances to the last bit, and all hold."""
    before, after = ({f"{each['law']}: {each['component']}": each for each in side} for side in (base, here))
    failures = [f"lost: {name}" for name in before if name not in after]
    failures += [f"does not hold {where}: {name}" for where, side in _both(before, after) for name in _broken(side)]
    same = 0
    for name in before.keys() & after.keys():
        changed = [key for key in ("error", "tolerance") if repr(before[name][key]) != repr(after[name][key])]
        same += not changed
        failures += [f"{name}: {key} {before[name][key]!r}, here {after[name][key]!r}" for key in changed]
    return Report("laws", f"{same} of {len(before)} results", tuple(sorted(failures)), _added(before, after))


def _both(before: Any, after: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("at the base", before), ("here", after)


def _broken(results: Mapping[str, Record]) -> list[str]:
    return [name for name, each in results.items() if not each["passed"]]


def _added(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"added: {name}" for name in after if name not in before)


MATCHES: tuple[tuple[str, Callable[[Record], object]], ...] = (
    ("unchanged", lambda each: (each["file"], each["source"], each["replacement"], each["caught_by"])),
    ("in another file", lambda each: (each["source"], each["replacement"], each["caught_by"])),
    ("of other source", lambda each: each["caught_by"]),
    ("caught by another component", lambda each: (each["source"], each["replacement"])),
)
"""In what a mutation and its counterpart agree, the closest first."""


def mutations(base: Sequence[Record], here: Sequence[Record], caught: Record) -> Report:
    """Every wrong formula of the base has its counterpart here, one for one; `caught` is how their tests end here."""
    left, new, found = list(base), list(here), Counter[str]()
    for kind, key in MATCHES:
        free = Counter(key(each) for each in new)
        taken = Counter(key(each) for each in left) & free
        found[kind] = taken.total()
        left, new = _without(left, key, taken), _without(new, key, taken)
    failures = [f"dropped: {each['caught_by']}: {each['source']} → {each['replacement']}" for each in left]
    if not caught["passed"]:
        failures += ["their tests fail here:", *caught["end"]]
    notes = [f"{count} {kind}" for kind, count in found.items() if count and kind != "unchanged"]
    notes += [f"added: {each['caught_by']}: {each['source']}" for each in new]
    return Report("mutations", f"{found.total()} of {len(base)} carried", tuple(failures), tuple(notes))


def _without(records: Sequence[Record], key: Callable[[Record], object], taken: Counter[object]) -> list[Record]:
    remaining, kept = Counter(taken), []
    for each in records:
        if remaining[key(each)]:
            remaining[key(each)] -= 1
        else:
            kept.append(each)
    return kept


def weights(base: Mapping[str, Record], here: Mapping[str, Record]) -> Report:
    """Digests of every tensor, and the held-out bound, by recipe. Other names for the same tensors are a note."""
    failures, renamed, same = [f"lost: recipe {name}" for name in base if name not in here], [], 0
    for recipe in [recipe for recipe in base if recipe in here]:
        before, after = base[recipe], here[recipe]
        if "error" in before or "error" in after:
            failures += [f"{recipe} fails {w}: {side['error']}" for w, side in _both(before, after) if "error" in side]
            continue
        found = _tensors(before["tensors"], after["tensors"])
        if before["bound"] != after["bound"]:
            found.append(f"bound {before['bound']}, here {after['bound']}")
        same += not found
        failures += [f"{recipe}: {each}" for each in found]
        old, new = (
            before["tensors"].keys() - after["tensors"].keys(),
            after["tensors"].keys() - before["tensors"].keys(),
        )
        if not found and old:
            renamed.append(f"{recipe}: tensors renamed: {', '.join(sorted(old))} → {', '.join(sorted(new))}")
    return Report("weights", f"{same} of {len(base)} recipes", tuple(failures), (*renamed, *_added(base, here)))


def _tensors(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of tensors with other bits; those whose bits lie under another name are no difference."""
    bits, other = Counter(before.values()), Counter(after.values())
    if bits == other and all(before[name] == after[name] for name in before.keys() & after.keys()):
        return []
    names = sorted(name for name in before if after.get(name) != before[name])
    return [f"{len(names)} of {len(before)} tensors differ: {', '.join(names[:4])}{' …' * (len(names) > 4)}"]


def golden(base: Mapping[str, Record], here: Mapping[str, Record]) -> Report:
    """Tokens, order, evaluations and rows of every trajectory. Last digits of log-probabilities are a note."""
    failures, notes, same = [], [], 0
    for run, before in base.items():
        after = here[run]
        if "error" in before or "error" in after:
            failures += [f"{run} fails {w}: {side['error']}" for w, side in _both(before, after) if "error" in side]
            continue
        found = [what for what in ("ids", "commit_step", "nfe", "rows") if before[what] != after[what]]
        same += not found
        if found:
            failures.append(f"{run}: other {', '.join(found)}")
        elif before["commit_logprob"] != after["commit_logprob"]:
            pairs = zip(before["commit_logprob"], after["commit_logprob"], strict=True)
            most = max(abs(x - y) for rows in pairs for x, y in zip(*rows, strict=True))
            notes.append(f"{run}: log-probabilities differ by at most {most:.1e}")
    return Report("golden", f"{same} of {len(base)} trajectories", tuple(failures), tuple(notes))
