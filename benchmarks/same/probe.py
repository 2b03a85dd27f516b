"""What one side of a comparison does, in a process of its own, by the command line and the public names alone.

probe.py, with the side's root as working directory and on PYTHONPATH. Reads {"probe": …, "items": {name: request}} from
stdin and prints one JSON object {"item": name, "record": …} for each; an error is a record {"error": text}. Nothing
else of this repository is imported, so that it runs under commits which do not have this file.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

Record = Any
Request = dict[str, Any]


def laws(request: Request) -> Record:
    """What `undiffuse verify --json` prints."""
    command = [sys.executable, "-m", "undiffuse", "verify", *request["patterns"], "--json", "--threads", "1"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(finished.stdout) if finished.stdout else {"error": f"exit code {finished.returncode}"}


def listed(request: Request) -> Record:
    """The wrong formulas of the tests."""
    sys.path.insert(0, str(Path("tests/mutations").resolve()))
    from mutations import MUTATIONS  # type: ignore[import-not-found]

    return [asdict(mutation) for mutation in MUTATIONS]


def caught(request: Request) -> Record:
    """Whether the tests of wrong formulas pass, and how they end."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/mutations"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return {"passed": finished.returncode == 0, "end": finished.stdout.strip().splitlines()[-15:]}


def weights(request: Request) -> Record:
    """Every tensor of a trained model by name, as a digest of its bits, and the held-out bound of the run."""
    import undiffuse as ud

    with tempfile.TemporaryDirectory() as directory:
        text, run = Path(directory, "text.txt"), Path(directory, "run")
        text.write_text(generated(30_000), encoding="utf-8")
        chosen = {name: request[name] for name in ("recipe", "steps", "overrides")}
        manifest = ud.train([text], out=run, threads=1, **chosen).model.manifest
        return {"tensors": digests(run), "bound": manifest["training"]["bound"]}


def digests(run: Path) -> dict[str, str]:
    """Type, shape and a digest of the bits of each tensor that lies directly in a directory."""
    import torch
    from safetensors.torch import load_file

    found = {}
    for file in sorted(run.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            bits = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            found[name] = f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(bits).hexdigest()[:16]}"
    return found


def generated(size: int) -> str:
    """Sentences of made-up words, about `size` bytes, the same on every machine."""
    chance = random.Random(0)
    words = ["".join(chance.choices("bdfgklmnprst", k=1) + chance.choices("aeiou", k=1)) for _ in range(60)]
    words += ["".join(chance.sample(words, chance.randint(2, 3))) for _ in range(300)]
    rare = [1 / rank for rank in range(1, len(words) + 1)]
    text = ""
    while len(text) < size:
        sentences = [chance.choices(words, rare, k=chance.randint(3, 12)) for _ in range(chance.randint(2, 5))]
        text += " ".join(" ".join(sentence).capitalize() + "." for sentence in sentences) + "\n\n"
    return text


def golden(request: Request) -> Record:
    """What a public checkpoint decodes; floats keep all their digits."""
    import torch

    import undiffuse as ud

    torch.set_num_threads(1)
    found = ud.load(request["checkpoint"], **request["loading"]).decode(request["prompts"], **request["options"])
    each = {name: [row.tolist() for row in getattr(found, name)] for name in ("ids", "commit_step", "commit_logprob")}
    return each | {name: getattr(found, name).tolist() for name in ("nfe", "rows")}


PROBES = {each.__name__: each for each in (laws, listed, caught, weights, golden)}


def main() -> None:
    import undiffuse

    # what the probes print belongs on stderr
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    if Path(undiffuse.__file__).parents[1] != Path.cwd():
        raise RuntimeError(f"undiffuse comes from {undiffuse.__file__}, not from {Path.cwd()}")
    asked = json.load(sys.stdin)
    for name, request in asked["items"].items():
        try:
            record = PROBES[asked["probe"]](request)
        except Exception as error:  # the comparison says which items failed, and goes on
            record = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"item": name, "record": record}), file=answers, flush=True)


if __name__ == "__main__":
    main()
