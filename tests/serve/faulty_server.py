"""`undiffuse serve` as a program whose model breaks on request: `python faulty_server.py PLACE [OPTIONS OF SERVE]`.

A row that holds 漢漢 gets predictions that are no numbers, and one with 🙂🙂 brings the engine down. Every step takes
SLOW seconds more. READER and BODY are the seconds that a reader and a body may take, BUFFER the bytes that the system
holds for a reader.
"""

import os
import socket
import sys
import time
from functools import partial

import torch

from undiffuse.cli.main import run
from undiffuse.serve import command, deck
from undiffuse.serve.api.app import Options
from undiffuse.serve.api.desk import Bounds

SLOW, READER, BUFFER, BODY = (float(os.environ.get(name, 0)) for name in ("SLOW", "READER", "BUFFER", "BODY"))
load, listen, step = command.load, command.listen, deck.step


class Crash(BaseException):
    """What no code of the engine expects."""


def held(ids, tokens):
    """Which rows hold some tokens side by side."""
    if ids.shape[1] < len(tokens):
        return torch.zeros(len(ids), dtype=torch.bool)
    return (ids.unfold(1, len(tokens), 1) == torch.tensor(tokens)).all(-1).any(-1)


def ill(*args, **options):
    model = load(*args, **options)
    network, bad = model.predictor.denoiser, model.tokenizer.encode("漢漢")
    trunk = network.trunk

    def broken(rows, kv=None):
        return trunk(rows, kv).masked_fill(held(rows.state.ids, bad)[:, None, None], torch.nan)

    network.trunk = broken
    crash.tokens = model.tokenizer.encode("🙂🙂")
    return model


def crash(predictor, batch):
    time.sleep(SLOW)
    if bool(held(batch.canvas.ids, crash.tokens).any()):
        raise Crash
    return step(predictor, batch)


def small(host, port):
    found = listen(host, port)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(BUFFER))
    return found


command.load, deck.step = ill, crash
command.Options = partial(Options, body_seconds=BODY or 30.0, bounds=Bounds(reader_seconds=READER or 30.0))
if BUFFER:
    command.listen = small
sys.exit(run(["serve", "--model", *sys.argv[1:]]))
