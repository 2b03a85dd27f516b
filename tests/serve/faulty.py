"""A server that breaks on request, as a process of its own (`faulty_server.py`), and clients that behave badly."""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

PROGRAM = Path(__file__).with_name("faulty_server.py")


class Server:
    """The process, its address, and what it says."""

    def __init__(self, place, *options, **faults):
        command = [sys.executable, str(PROGRAM), str(place), "--port", "0", "--threads", "1", "--dtype", "float64"]
        environment = {**os.environ, **{name: str(value) for name, value in faults.items()}}
        self.program = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=environment)
        self.said = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = self.until(lambda: re.search(r"at http://127.0.0.1:(\d+)", self.words), 60)
        self.port = int(found[1])
        self.address = f"http://127.0.0.1:{self.port}"

    def _read(self):
        for line in self.program.stderr:
            self.said.append(line)

    @property
    def words(self):
        return "".join(self.said)

    def until(self, answer, seconds=10.0):
        """The first answer that is true."""
        end = time.monotonic() + seconds
        while not (found := answer()):
            assert time.monotonic() < end, f"waited in vain; the server says: {self.words}"
            assert self.program.poll() is None, self.words
            time.sleep(0.02)
        return found

    def ask(self, path, body, **more):
        return httpx.post(f"{self.address}{path}", json=body, timeout=60, **more)

    def counted(self, name):
        """A number of /metrics."""
        text = httpx.get(f"{self.address}/metrics", timeout=20).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def running(self):
        return self.counted("undiffuse_running_jobs") + self.counted("undiffuse_waiting_jobs")

    def ended(self, seconds):
        """The exit code, which comes within some seconds."""
        code = self.program.wait(seconds)
        self._reader.join(5)
        return code

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
        self.program.wait()
        self._reader.join(5)
        self.program.stderr.close()


@contextmanager
def faulty(place, *options, **faults):
    """A server, ended with the block."""
    server = Server(place, *options, **faults)
    try:
        yield server
    finally:
        server.close()


def raw(server, path, body, length=None, small=False):
    """A connection over which a request went out, whose body may have said another length."""
    found = socket.socket()
    if small:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.settimeout(20)
    found.connect(("127.0.0.1", server.port))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    size = len(data) if length is None else length
    found.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + data)
    return found


def vanish(connection):
    """Gone without a word, as a machine that loses its power is once its peer asks."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def rest(connection):
    """What a connection still brings until its other end closes it."""
    found = b""
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionError:
        pass
    connection.close()
    return found


def chunks(lines):
    """The objects of a stream."""
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
