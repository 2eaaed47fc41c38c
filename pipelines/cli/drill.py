"""`depthstream drill`: try the live input against a camera with faults, and print which promises it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipelines.cli.json_file import check_writable, table_console, write_json
from pipelines.drill.course import Course
from pipelines.drill.report import Outcome, Report, report_json, report_table, with_report
from pipelines.drill.scenarios import SCENARIOS, Scenario
from pipelines.drill.subject import Subject, TestCamera, UserCamera
from pipelines.process.signals import status_of
from stream.core.atomic_write import atomic_write
from stream.core.suggest import nearest
from stream.errors import AccessDenied, SettingsError, SourceError, UsageError
from stream.settings import NetworkCamera

err = Console(stderr=True)


def run_drill(
    config: Path | None,
    assignments: Sequence[str] = (),
    *,
    test_camera: bool,
    camera: str | None,
    only: Sequence[str],
    quick: bool,
    json_file: Path | None,
    page: Path | None,
) -> int:
    """Go through the scenarios; returns 1 if a promise is broken, 130 after Ctrl-C.

    Raises UsageError for options that do not fit together, and SourceError for a camera that delivers nothing.
    """
    if (config is None) != test_camera:
        raise UsageError("give either a config file with cameras, or --test-camera")
    for path in (json_file, page):
        if path is not None:
            check_writable(path)
    scenarios = chosen_scenarios(only)
    report, status = Report(), 0
    try:
        _drill_all(_subjects(config, assignments, camera), scenarios, report, quick=quick)
        report.is_complete = True
    except KeyboardInterrupt as interrupt:
        _say(f"interrupted{': this is what is known so far' if report.outcomes else ' before a scenario was over'}")
        status = status_of(interrupt)
    finally:
        _write(report, json_file, page)
    return status or report.exit_status


def chosen_scenarios(only: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios called ``only``, or all. Raises UsageError for a name that does not exist."""
    known = [scenario.name for scenario in SCENARIOS]
    for name in only:
        if name not in known:
            hint = nearest(name, known)
            names = f" There are: {', '.join(known)}" if hint.endswith("?") else ""
            raise UsageError(f'no scenario "{name}"{hint}{names}')
    return tuple(scenario for scenario in SCENARIOS if not only or scenario.name in only)


def _subjects(config: Path | None, assignments: Sequence[str], name: str | None) -> list[Subject]:
    if config is None:
        if name is not None:
            raise UsageError(f"--camera {name}: there is only one camera with --test-camera")
        err.print("making the test camera's images", style="dim")
        return [TestCamera()]
    from pipelines.registry import load

    settings, _ = load(config, assignments)
    cameras = [each for each in getattr(settings, "cameras", ()) if isinstance(each, NetworkCamera)]
    chosen = [each for each in cameras if name in (None, each.name)]
    if not chosen:
        if name is None or not cameras:
            advice = 'its cameras need source = "rtsp" or "url"; to try without a camera of yours: --test-camera'
            raise SettingsError(f"{config}: no network camera to drill with; {advice}")
        known = ", ".join(each.name for each in cameras)
        raise SettingsError(f'{config}: no network camera "{name}"; network cameras there: {known}')
    return [UserCamera(each) for each in chosen]


def _drill_all(subjects: Sequence[Subject], scenarios: Sequence[Scenario], report: Report, *, quick: bool) -> None:
    """One camera after the other. Raises SourceError at the end if one delivers nothing; that ends no other's drill."""
    failed: dict[str, SourceError] = {}
    for subject in subjects:
        try:
            _drill(subject, scenarios, report, quick=quick)
        except SourceError as error:
            failed[subject.name] = error
            if len(subjects) > 1:
                _say(str(error), style="bold red")
                report.skip(subject.name, "all", str(error))
    if failed:
        names = ", ".join(failed)
        raise SourceError(f"no drill with {names}: see above") if len(subjects) > 1 else failed[names]


def _drill(subject: Subject, scenarios: Sequence[Scenario], report: Report, *, quick: bool) -> None:
    """Go through the scenarios with one camera; if it does not answer over TCP, through those that need no proxy."""
    report.cameras[subject.name] = subject.label
    _say(f"{subject.name}: {subject.label}")
    try:
        _go_through(subject, scenarios, report, quick=quick)
    except AccessDenied:
        raise
    except SourceError as error:
        if not (isinstance(subject, UserCamera) and subject.may_need_udp):
            raise
        _say(f"{error}; trying without the proxy, which needs TCP: fewer scenarios are left")
        _go_through(subject.directly(), scenarios, report, quick=quick)


def _go_through(subject: Subject, scenarios: Sequence[Scenario], report: Report, *, quick: bool) -> None:
    """Raises SourceError if the camera does not work in the first scenario; later the scenario is left out."""
    has_worked = False
    with Course(subject) as course:
        for scenario in scenarios:
            if lacks := course.lacks(scenario):
                report.skip(subject.name, scenario.name, f"needs {lacks}")
                continue
            _say(f"{scenario.name}: {scenario.what} ...", style="dim")
            try:
                outcome = Outcome.of(course.run(scenario, quick=quick))
            except SourceError as error:
                if not has_worked or isinstance(error, AccessDenied):
                    raise
                _say(f"{scenario.name}: left out: {error}")
                report.skip(subject.name, scenario.name, str(error))
                continue
            has_worked = True
            report.outcomes.append(outcome)
            err.print(outcome.line, highlight=False, soft_wrap=True)


def _write(report: Report, json_file: Path | None, page: Path | None) -> None:
    if json_file is not None:
        write_json(json_file, report_json(report))
    if not report.outcomes:
        return
    if page is not None:
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        atomic_write(page, with_report(text, report).encode())
    table_console(json_file).print(report_table(report))


def _say(text: str, style: str = "") -> None:
    err.print(text, markup=False, highlight=False, soft_wrap=True, style=style)
