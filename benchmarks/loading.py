"""Memory and time of loading, each case in a process of its own.

python -m benchmarks.loading [threads]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
from safetensors.torch import save_file

LAYERS, WIDTH, HIDDEN, HEADS, ROWS = 18, 2048, 5504, 16, 32_000
ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A checkpoint of LLaDA's layout (`own`: of a run), and the format that it is loaded in."""

    stored: str
    asked: str
    shards: int = 1
    own: bool = False
    layers: int = LAYERS
    width: int = WIDTH
    hidden: int = HIDDEN


CASES = {
    "bfloat16": Case("bfloat16", "bfloat16"),
    "bfloat16, 4 shards": Case("bfloat16", "bfloat16", shards=4),
    "float32 to bfloat16, 4 shards": Case("float32", "bfloat16", shards=4, layers=9),
    "bfloat16 to float32": Case("bfloat16", "float32"),
    "a run, float32": Case("float32", "float32", own=True, layers=9),
}


def write_checkpoint(case: Case, directory: Path) -> None:
    """A network of constant numbers: what is in the tensors changes nothing here."""
    from undiffuse.language_model import LanguageModel
    from undiffuse.language_model.checkpoints import Uninitialized
    from undiffuse.models.llada import LLaDA
    from undiffuse.models.transformer import Transformer, TransformerConfig
    from undiffuse.predictor import Predictor
    from undiffuse.process.destinations.mask import Mask
    from undiffuse.process.interpolating import Interpolating
    from undiffuse.process.schedules.one_minus_t import OneMinusT
    from undiffuse.text.tokenizer import Tokenizer

    config = TransformerConfig(
        rows=ROWS,
        width=case.width,
        depth=case.layers,
        heads=HEADS,
        hidden=case.hidden,
        context=4096,
        norm="rmsnorm",
        activation="swiglu",
        qk_norm=False,
        scales=True,
        norm_eps=1e-5,
    )
    dtype = getattr(torch, case.stored)
    if case.own:
        tokenizer = Tokenizer.byte_level()
        process = Interpolating(tokenizer.vocabulary, OneMinusT(), Mask())
        with Uninitialized():
            network = Transformer(config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.01)
        LanguageModel(Predictor(network, process, "leave_one_out"), tokenizer, {}).save(directory)
        return
    with torch.device("meta"), Uninitialized():
        shapes = {name: value.shape for name, value in Transformer(config).state_dict().items()}
    layout = LLaDA()
    tensors = {
        name: torch.full(tuple(shape), 0.01, dtype=dtype)
        for part in layout.parts(config)
        for name, shape in zip(part.tensors, part.shapes([shapes[p] for p in part.parameters]), strict=True)
    }
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({**layout.config(config), "mask_token_id": ROWS - 1}))
    if case.shards == 1:
        save_file(tensors, directory / "model.safetensors")
        return
    names, place = list(tensors), {}
    for shard in range(case.shards):
        file = f"model-{shard + 1:05}-of-{case.shards:05}.safetensors"
        held = names[shard :: case.shards]
        save_file({name: tensors[name] for name in held}, directory / file)
        place |= dict.fromkeys(held, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))


def anonymous() -> int:
    """Bytes of memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Peak:
    """The most anonymous memory in a block of code, looked at every millisecond."""

    def __enter__(self) -> "Peak":
        self.bytes, self._ended = anonymous(), Event()
        self._watch = Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._ended.wait(0.001):
            self.bytes = max(self.bytes, anonymous())

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._watch.join()
        self.bytes = max(self.bytes, anonymous())


def measure(directory: Path, dtype: str, threads: int) -> dict[str, float]:
    """Bytes of weights in the format asked for, peak above `import torch`, and seconds of reading and of loading.

    `imports` is what the library itself takes of the peak.
    """
    torch.set_num_threads(threads)
    before = anonymous()
    import undiffuse as ud

    files, reading, loading, peaks = sorted(directory.glob("*.safetensors")), [], [], []
    assert ud.load  # imported before the clock starts
    imports = anonymous() - before
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for file in files:
            content = file.read_bytes()
            del content
        reading.append(time.perf_counter() - began)
        with Peak() as peak:
            began = time.perf_counter()
            model = ud.load(directory, dtype=getattr(torch, dtype))
            loading.append(time.perf_counter() - began)
        peaks.append(peak.bytes - before)
        weights = sum(p.numel() * p.element_size() for p in model.predictor.denoiser.parameters())
        del model
    return {"weights": weights, "peak": peaks[0], "imports": imports, "reading": min(reading), "loading": min(loading)}


def child(case: Case, threads: int) -> dict[str, float]:
    """The measures of a case, of a checkpoint that exists as long as it takes."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "model"
        command = [sys.executable, "-m", "benchmarks.loading", str(threads), json.dumps(asdict(case)), str(directory)]
        subprocess.run([*command, "write"], check=True)
        return json.loads(subprocess.run([*command, "load"], check=True, capture_output=True, text=True).stdout)


def line(name: str, found: Mapping[str, float]) -> dict[str, Any]:
    return {
        "stored": name,
        "weights, GB": found["weights"] / 1e9,
        "peak memory / weights": found["peak"] / found["weights"],
        "reading the files, s": found["reading"],
        "loading, s": found["loading"],
        "loading / reading": found["loading"] / found["reading"],
    }


def main(threads: int) -> None:
    from .report import write

    table = [line(name, child(case, threads)) for name, case in CASES.items()]
    definition = (
        "Loading a synthetic checkpoint of LLaDA's layout (a run: of ours). Peak memory is anonymous memory above what "
        "`import torch` takes, over the size of the weights in the format that is asked for; reading is reading the "
        f"same files into memory, from a warm cache. Seconds are the least of {ROUNDS}, in turns. Of a run the "
        "checksum is compared too."
    )
    write("loading", definition, threads, table)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    if len(sys.argv) > 2:
        chosen, where = Case(**json.loads(sys.argv[2])), Path(sys.argv[3])
        if sys.argv[4] == "write":
            write_checkpoint(chosen, where)
        else:
            print(json.dumps(measure(where, chosen.asked, count)))
    else:
        main(count)
