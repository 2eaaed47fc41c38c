"""One record of statistics per camera for the page: the pipeline's frame account, its health, and the viewers' rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from stream.core.log import redact
from stream.runtime.stats import Account, CameraHealth, PipelineStats
from stream.web.live.hub import WebSink


def camera_lines(stats: PipelineStats, sink: WebSink) -> list[dict[str, Any]]:
    """One JSON object per camera: those of the sink first, then those that only the pipeline knows.

    Removed cameras are left out. Passwords are redacted in all texts.
    """
    healths = {health.name: health for health in stats.cameras}
    captured = [account.camera for account in stats.accounts if not account.is_removed]
    names = dict.fromkeys((*sink.cameras, *healths, *captured))
    return [_line(name, healths.get(name), stats, sink) for name in names]


def _line(name: str, health: CameraHealth | None, stats: PipelineStats, sink: WebSink) -> dict[str, Any]:
    rate = sink.rate(name)
    account = _account(name, stats.accounts, sink.stage)
    return {
        "name": name,
        "state": health.state if health else "live",
        "since_s": health.since_s if health else stats.running_s,
        "offline_s": health.offline_s if health else 0.0,
        "fps": rate.fps,
        "age_p50_ms": rate.age_p50_ms,
        "age_p95_ms": rate.age_p95_ms,
        "captured": account.captured if account else 0,
        "published": account.published if account else 0,
        "dropped": dict(_redacted_drops(account)) if account else {},
        "grade": health.grade if health else "unknown",
        "trouble": redact(health.trouble) if health else "",
        "clock": health.clock if health else "",
    }


def _account(name: str, accounts: Iterable[Account], stage: str) -> Account | None:
    """The camera's account at ``stage``, which feeds the viewers; its first account before that stage has written."""
    of_camera = [account for account in accounts if account.camera == name]
    at_stage = (account for account in of_camera if account.terminal == stage)
    return next(at_stage, of_camera[0] if of_camera else None)


def _redacted_drops(account: Account) -> Counter[str]:
    counts: Counter[str] = Counter()
    for reason, count in account.dropped.items():
        counts[redact(reason)] += count  # several reasons may become one when their passwords are redacted
    return counts
