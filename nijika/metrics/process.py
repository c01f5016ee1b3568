"""The process itself: which version it is, whether its loop keeps up, and whether it goes by the newest config.toml."""

import platform
from importlib import metadata

from prometheus_client import Counter, Gauge, Histogram

from nijika.metrics.registry import FOLDER, REGISTRY, SECONDS

BUILD = Gauge(
    "nijika_build_info",
    "1, with the versions as labels.",
    ("version", "python"),
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
PROCESSES = Gauge("nijika_processes", "Processes that serve.", multiprocess_mode="livesum", registry=REGISTRY)
LAG_SECONDS = Histogram(
    "nijika_loop_lag_seconds",
    "How much later than it should the event loop came to something, looked at twice a second in each process.",
    buckets=SECONDS,
    registry=REGISTRY,
)
RELOAD_SUCCESS = Gauge(
    "nijika_config_reload_success",
    "Whether the newest config.toml is the one that counts: 0 if it was refused for its mistakes.",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
RELOADS = Counter(
    "nijika_config_reloads_total",
    "Reloads that were asked for: those after which new processes serve, and those that were refused.",
    ("outcome",),
    registry=REGISTRY,
)
CRASHES = Counter(
    "nijika_process_crashes_total",
    "Processes that ended although nobody had told them to, or could not start again.",
    registry=REGISTRY,
)
RELOAD_TIMESTAMP = Gauge(
    "nijika_config_reload_timestamp_seconds",
    "When config.toml was last read, well or not, in Unix time.",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)


def began() -> None:
    """This process serves; if it has no supervisor, it tells of its configuration itself."""
    BUILD.labels(_version(), platform.python_version()).set(1)
    PROCESSES.set(1)
    if FOLDER is None:
        RELOAD_SUCCESS.set(1)
        RELOAD_TIMESTAMP.set_to_current_time()


def _version() -> str:
    try:
        return metadata.version("nijika")
    except metadata.PackageNotFoundError:
        return "source"
