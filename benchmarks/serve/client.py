"""The load generator, in a process of its own: sends what it is told when it is told, and notes what comes back.

python -m benchmarks.serve.client PLAN.json OUT.json

Open loop (`arrivals`): a request is sent at its moment, however many are open. Closed loop (`clients`): so many
clients, each of which sends its next request when it has its answer; some vanish in the middle, or cancel.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 120.0
"""Seconds after the last arrival until whatever is open counts as lost."""


class Generator:
    """One run: `asked` are bodies by number, `done` a record of each request that was sent."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan, self.asked = plan, plan["requests"]
        self.done: list[dict[str, Any]] = []
        self.open: dict[int, float] = {}
        self.late = 0
        self.began = 0.0

    async def run(self) -> dict[str, Any]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=self.plan["address"], timeout=PATIENCE, limits=limits) as self.client:
            self.began = time.perf_counter()
            stopped = await (self._open() if "arrivals" in self.plan else self._closed())
        return {"stopped": stopped, "records": self.done}

    async def _open(self) -> bool:
        """Whether it ended early, since more than a twentieth of all requests had missed the bound."""
        arrivals = self.plan["arrivals"]
        allowed = len(arrivals) // 20
        tasks = []
        watch = asyncio.create_task(self._missing(allowed))
        for number, (at, which) in enumerate(arrivals):
            await asyncio.wait({watch}, timeout=max(self.began + at - time.perf_counter(), 0))
            if watch.done():
                break
            tasks.append(asyncio.create_task(self._one(number, which, at)))
        everyone = asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait({watch, everyone}, return_when=asyncio.FIRST_COMPLETED)
        stopped = watch.done()
        watch.cancel()
        if stopped:
            for task in tasks:
                task.cancel()
        await asyncio.gather(everyone, return_exceptions=True)
        return stopped

    async def _missing(self, allowed: int) -> None:
        """Ends when it is certain that the bound is missed."""
        bound = self.plan["bound"]
        while True:
            now = time.perf_counter() - self.began
            if self.late + sum(now - at > bound for at in self.open.values()) > allowed:
                return
            await asyncio.sleep(0.1)

    async def _one(self, number: int, which: int, at: float) -> None:
        self.open[number] = at
        record = await self._ask(which, None)
        del self.open[number]
        record |= {"number": number, "planned": at}
        self.late += record["ended"] - at > self.plan["bound"]
        self.done.append(record)

    async def _closed(self) -> bool:
        end = self.began + self.plan["seconds"]

        async def client(name: int) -> None:
            rng = random.Random(name)
            while time.perf_counter() < end:
                which = rng.randrange(len(self.asked))
                streams = self.asked[which][1].get("stream")
                fate = rng.choices((None, "vanish", "cancel"), (90, 5, 5))[0] if streams else None
                record = await self._ask(which, fate)
                self.done.append(record | {"planned": record["sent"]})

        await asyncio.gather(*(client(name) for name in range(self.plan["clients"])))
        return False

    async def _ask(self, which: int, fate: str | None) -> dict[str, Any]:
        path, body = self.asked[which]
        record: dict[str, Any] = {"which": which, "sent": self._now, "first": None, "fate": fate, "finishes": 0}
        try:
            if body.get("stream"):
                await self._stream(path, body, record)
            else:
                answer = await self.client.post(path, json=body)
                record |= {"status": answer.status_code, "text": answer.json().get("text"), "finishes": 1}
        except httpx.HTTPError as error:
            record |= {"status": 0, "text": None, "error": type(error).__name__}
        record["ended"] = self._now
        record["first"] = record["first"] if record["first"] is not None else record["ended"]
        return record

    async def _stream(self, path: str, body: dict[str, Any], record: dict[str, Any]) -> None:
        text: list[str] = []
        async with self.client.stream("POST", path, json=body) as answer:
            record["status"] = answer.status_code
            name = answer.headers["x-request-id"]
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    record |= {"text": None, "error": chunk["error"].get("message")}
                    return
                choice = chunk["choices"][0]
                more = choice.get("text") or choice.get("delta", {}).get("content")
                if more:
                    record["first"] = record["first"] or self._now
                    text.append(more)
                record["finishes"] += choice["finish_reason"] is not None
                if record["fate"] == "vanish":
                    return
                if record["fate"] == "cancel":
                    await self.client.post(f"/v1/cancel/{name}")
                    record["fate"] = "cancelled"
        record["text"] = "".join(text)

    @property
    def _now(self) -> float:
        return time.perf_counter() - self.began


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(asyncio.run(Generator(plan).run())), encoding="utf-8")
