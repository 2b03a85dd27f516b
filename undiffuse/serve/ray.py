"""`undiffuse serve --ray`: replicas of the server, on this machine or on a cluster, behind one front.

The front is this process: it listens, holds the keys, and asks replicas through a handle of Ray Serve, which knows
them, starts them again when they die, and has more or fewer of them by the work ahead (`scaling`). Ray's own HTTP
proxies are not started. Where the environment names a cluster (RAY_ADDRESS), replicas run there; else on this machine,
in processes that end with this one.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..device import AUTO
from ..errors import UserError
from .api.app import Options
from .command import Settings, answer_at, listen, opened, places, say, shown
from .front import Asked, Begin, LostError, create_front
from .replica import Replica
from .scaling import Replicas, wanted

NAME = "undiffuse"
START = 600.0
"""Seconds that a replica may take to load its model."""
TOGETHER = 1024
"""Requests that Ray hands to a replica at once; its engine says when there are too many."""
OBJECTS = 100_000_000
"""Bytes of memory that replicas share, which answers in pieces hardly need."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "2",
}
"""What Ray is told where the environment says nothing else: to report to nobody, and how much lies ahead every 2 s."""


def run(settings: Settings, replicas: Replicas) -> None:
    """Serve until told to stop. UserError without Ray, and for what cannot be loaded, or where nobody can listen."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise UserError("more than one replica needs Ray: pip install 'undiffuse[serve,scale]'") from error
    socket_ = listen(settings.host, settings.port)
    places(settings.models)  # what does not exist is said before anything starts
    try:
        threads = _begin(settings, replicas)
        handle = _deploy(replace(settings, threads=threads), replicas)
        about = handle.about.remote().result()
        if about["refused"]:
            raise UserError(about["refused"])
        address = f"http://{shown(settings.host)}:{socket_.getsockname()[1]}"
        many = replicas.most > 1
        count = f"{replicas} replica{'s' * many} on Ray, {threads} thread{'s' * (threads > 1)} each"
        say(address, about["name"], about["fills"], f"{count}, steps of {about['rows']} rows", settings)
        front = create_front(Handle(handle), Options(keys=settings.keys, origins=settings.origins))
        answer_at(socket_, front, settings.drain, None)
    finally:
        socket_.close()
        if ray.is_initialized():
            if os.environ.get("RAY_ADDRESS"):  # a cluster goes on, and so does what else it serves
                serve.delete(NAME)
            ray.shutdown()


def gpus(device: str | None) -> int:
    """GPUs of a replica: as many as are named, else one where there is any."""
    if device is None or device == AUTO:
        return int(torch.cuda.is_available())
    return sum(name.strip().startswith("cuda") for name in device.split(","))


def policy(context: Any) -> tuple[int, dict[str, Any]]:
    """For Ray's controller: replicas for the work ahead that they report, see `scaling`."""
    told = (context.aggregated_metrics or {}).get("seconds_ahead", {})
    return wanted(list(told.values()), context.target_num_replicas), {}


def _begin(settings: Settings, replicas: Replicas) -> int:
    """Start Ray, or join its cluster; the threads of a replica."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return settings.threads or 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = settings.threads or max(1, cores // replicas.most)
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECTS}
    ray.init(address="local", num_cpus=max(cores, threads * replicas.most), **own, **quiet)
    return threads


def _deploy(settings: Settings, replicas: Replicas) -> Any:
    """The handle of replicas that have loaded their model."""
    from ray import serve
    from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

    assert settings.threads is not None
    if replicas.least == replicas.most:
        many: dict[str, Any] = {"num_replicas": replicas.most}
    else:
        own = AutoscalingPolicy(policy_function=policy)
        scaling = AutoscalingConfig(
            min_replicas=replicas.least,
            max_replicas=replicas.most,
            look_back_period_s=15.0,
            upscale_delay_s=5.0,
            downscale_delay_s=120.0,
            policy=own,
        )
        many = {"autoscaling_config": scaling}
    deployment = serve.deployment(
        RayReplica,
        name=NAME,
        max_ongoing_requests=TOGETHER,
        health_check_period_s=2.0,
        health_check_timeout_s=30.0,
        graceful_shutdown_timeout_s=settings.drain,
        ray_actor_options={"num_cpus": settings.threads, "num_gpus": gpus(settings.device)},
        logging_config={"log_level": "ERROR", "enable_access_log": False},
        **many,
    )
    serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
    share = 1.0 if gpus(settings.device) else 1 / replicas.most
    bound = deployment.bind(settings, share)
    return serve.run(bound, name=NAME, route_prefix=None)


class RayReplica:
    """What Ray runs: the application with its engine, and what Ray asks of it."""

    async def __init__(self, settings: Settings, share: float) -> None:  # type: ignore[misc]
        self._refused = ""
        try:
            self._opened = await asyncio.to_thread(opened, settings, share)
        except UserError as error:  # said by the front; another try would say the same
            self._refused = str(error)
            return
        self._replica = Replica(self._opened.app)
        await self._replica.start()

    async def answer(self, asked: Asked) -> AsyncGenerator[Begin | bytes, None]:
        """See `Replica`."""
        answer = self._replica.answer(asked)
        try:
            async for piece in answer:
                yield piece
        finally:
            await answer.aclose()

    async def about(self) -> dict[str, Any]:
        """What is served, or why nothing is."""
        if self._refused:
            return {"refused": self._refused}
        found = self._opened
        return {"refused": "", "name": found.name, "rows": found.rows, "fills": found.fills}

    async def cancel(self, names: Sequence[str]) -> None:
        """End requests."""
        self._replica.cancel(names)

    async def metrics(self) -> tuple[str, str]:
        """Whose, and what was counted."""
        from ray import serve

        _, text = await self._replica.ask("/metrics")
        return serve.get_replica_context().replica_id.unique_id, text.decode()

    async def check_health(self) -> None:
        """For Ray, which replaces a replica of which this fails."""
        if not self._refused and (await self._replica.ask("/healthz"))[0] != 200:
            raise RuntimeError("/healthz says that the engine does not live")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """For `policy`."""
        return {"seconds_ahead": 0.0 if self._refused else self._replica.seconds_ahead()}


class Handle:
    """Replicas of Ray Serve, as a front asks them."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def ask(self, asked: Asked) -> AsyncGenerator[Begin | bytes, None]:
        """See `front.Replicas`."""
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        answer = self._handle.options(stream=True).answer.remote(asked)
        ended = False
        try:
            async for piece in answer:
                yield piece
            ended = True
        except LostError:  # said by the replica itself
            ended = True
            raise
        except (RayError, RayServeException) as error:
            ended = True
            raise LostError(str(error).strip().partition("\n")[0]) from error
        finally:
            if not ended:
                answer.cancel()

    async def cancel(self, names: Sequence[str]) -> None:
        """See `front.Replicas`."""
        await asyncio.to_thread(lambda: self._handle.broadcast("cancel", list(names)).results(timeout_s=10))

    async def running(self) -> int:
        """See `front.Replicas`."""
        from ray import serve

        status = await asyncio.to_thread(serve.status)
        states = status.applications[NAME].deployments[NAME].replica_states
        return int(states.get("RUNNING", 0))

    async def metrics(self) -> Mapping[str, str]:
        """See `front.Replicas`. While one of them goes away, those of none are known."""
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        try:
            return dict(await asyncio.to_thread(lambda: self._handle.broadcast("metrics").results(timeout_s=10)))
        except (RayError, RayServeException, TimeoutError):
            return {}
