"""How each camera is, in one line of figures for the page: the pipeline's account and what viewers see of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from stream.core.log import redact
from stream.runtime.stats import Account, CameraHealth, PipelineStats
from stream.web.live.hub import WebSink


def camera_lines(stats: PipelineStats, sink: WebSink) -> list[dict[str, Any]]:
    """One JSON object a camera, the sink's first, then those that only the pipeline knows; no text holds a password."""
    healths = {health.name: health for health in stats.cameras}
    names = dict.fromkeys((*sink.cameras, *healths, *(account.camera for account in stats.accounts)))
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
        "dropped": dict(_redacted(account)) if account else {},
        "grade": health.grade if health else "unknown",
        "trouble": redact(health.trouble) if health else "",
    }


def _account(name: str, accounts: Iterable[Account], stage: str) -> Account | None:
    """Of the frames on their way to the stage that shows; before it has shown any, of the camera's first account."""
    own = [account for account in accounts if account.camera == name]
    return next((account for account in own if account.terminal == stage), own[0] if own else None)


def _redacted(account: Account) -> Counter[str]:
    counts: Counter[str] = Counter()
    for where, count in account.dropped.items():
        counts[redact(where)] += count
    return counts
