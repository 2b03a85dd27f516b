"""Counters, in Prometheus' words, read off the engine when they are asked for."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from .engine import Engine

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

PATHS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/fim/completions", "/v1/embeddings", "/v1/models"),
    *("/v1/fill", "/v1/generate", "/v1/edit", "/v1/check", "/v1/score", "/v1/choose", "/v1/cancel"),
    *("/healthz", "/readyz", "/metrics", "/version"),
)
"""Those that are counted by name. Others share one, or whoever asks for many paths would fill the memory."""


class Requests:
    """Requests by path, status and seconds, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "undiffuse_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self._seconds = Histogram(
            "undiffuse_request_seconds",
            "From a request to its last byte.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )

    def __call__(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = next((name for name in PATHS if path == name or path.startswith(f"{name}/")), None)
        known = "unknown" if status == 404 else known or ("unknown" if path.startswith("/v1/") else "page")
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)


class Metrics:
    """The registry of one server. Nothing global, so several can live in a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.request = Requests(self._registry)
        self._tick = Histogram("undiffuse_tick_seconds", "A step of a batch.", buckets=SECONDS, registry=self._registry)
        engine.counters.tick_seconds = lambda seconds, rows: self._tick.observe(seconds)

    def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
        """What the engine counted."""
        counters, (waiting, running, ahead) = self._engine.counters, self._engine.queued
        found: list[CounterMetricFamily | GaugeMetricFamily] = []
        for name, help_, value in (
            ("ticks", "Ticks of the engine.", counters.ticks),
            ("steps", "Steps of jobs.", counters.steps),
            ("rows", "Rows that went through the network.", counters.rows),
            ("evaluations", "Network evaluations of jobs that ended.", counters.nfe),
            ("committed_tokens", "Tokens that were decided in jobs that ended.", counters.committed),
            ("prefix_tokens", "Tokens of beginnings that were looked for in pages.", self._engine.pages.asked),
            ("prefix_tokens_found", "Those that were there, and not run again.", self._engine.pages.found),
            ("stepping_seconds", "Seconds within steps.", counters.stepping),
            ("keeping_seconds", "Seconds of the engine between steps.", counters.keeping),
        ):
            found.append(CounterMetricFamily(f"undiffuse_{name}", help_, value))
        ended = CounterMetricFamily("undiffuse_jobs_ended", "Jobs by how they ended.", labels=["how"])
        for how, count in sorted(counters.ended.items()):
            ended.add_metric([how], count)
        found.append(ended)
        for name, help_, value in (
            ("waiting_jobs", "Jobs that wait.", waiting),
            ("running_jobs", "Jobs that run.", running),
            ("prefix_pages_bytes", "Bytes of kept beginnings.", self._engine.pages.bytes),
            ("work_ahead_rows", "Rows of work ahead, as estimated.", ahead),
        ):
            found.append(GaugeMetricFamily(f"undiffuse_{name}", help_, value))
        return found

    def text(self) -> bytes:
        """For Prometheus."""
        return generate_latest(self._registry)
