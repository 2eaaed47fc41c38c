"""TOML in, settings out; a mistake is answered with file, table, key, value and the nearest known key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from stream.errors import SettingsError
from stream.settings import Settings
from stream.spelling import nearest

S = TypeVar("S", bound=Settings)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content. Raises SettingsError for a file that is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such config file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as a config file: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def override(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of ``data`` with each ``table.key=value`` put in; list items by number: ``cameras.0.path=clip.mp4``.

    The value is read as TOML (``true``, ``3``, ``"text"``, ``[1, 2]``); what is not TOML is taken as text.
    Raises SettingsError for an assignment without ``=`` and for a path through something that is not a table.
    """
    result: dict[str, Any] = _copy(data)
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        *tables, key = dotted.strip().split(".")
        if not equals or not key:
            raise SettingsError(f'--set {assignment}: expected table.key=value, for example --set model.name="tiny"')
        target: Any = result
        for name in tables:
            target = _step(target, name, assignment)
        if not isinstance(target, dict):
            raise SettingsError(f'--set {assignment}: "{".".join(tables)}" is not a table')
        target[key] = _toml_value(text.strip())
    return result


SECRETS = ("token",)
"""Keys whose values are not repeated, however wrong they are."""


def parse(model: type[S], data: Mapping[str, Any], origin: str) -> S:
    """``data`` as settings. Raises SettingsError with one line for each mistake; ``origin`` names the file."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        lines = [_explain(model, dict(problem)) for problem in error.errors()]
        raise SettingsError("\n".join(f"{origin}: {line}" for line in lines)) from error


def _explain(model: type[Settings], problem: Mapping[str, Any]) -> str:
    location, value = tuple(problem["loc"]), problem.get("input")
    *above, key = location or ("",)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, above)
        return f'{_table(above)}unknown key "{key}" = {_shown(value)}{nearest(str(key), known)}'
    if problem["type"] == "missing":
        return f'{_table(above)}key "{key}" is missing'
    if problem["type"] == "union_tag_not_found":
        return f'{_table(location)}key "source" is missing: "rtsp", "url", "webcam", "video", "images" or "synthetic"'
    if problem["type"] == "union_tag_invalid":
        tag = value.get("source") if isinstance(value, dict) else value
        tags = [str(tag) for tag in problem["ctx"]["expected_tags"].replace("'", "").split(", ")]
        return f"{_table(location)}source = {_shown(tag)} does not exist{nearest(str(tag), tags)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{_table(location)}{message}"
    shown = "***" if key in SECRETS else _shown(value)
    return f"{_table(above)}{key} = {shown}: {message[0].lower()}{message[1:]}"


def _table(location: Iterable[Any]) -> str:
    path = ".".join(str(part) for part in _without_tags(location))
    return f"[{path}] " if path else ""


def _without_tags(location: Iterable[Any]) -> Iterator[Any]:
    """Drop the discriminator's tag that pydantic puts behind a list index: ("cameras", 0, "video") names no table."""
    after_index = False
    for part in location:
        if not after_index:
            yield part
        after_index = isinstance(part, int)


def _known_keys(model: type[Settings], location: Iterable[Any]) -> list[str]:
    here: list[type[Settings]] = [model]
    for part in location:
        if isinstance(part, str):
            fields = [m.model_fields[part].annotation for m in here if part in m.model_fields]
            here = [m for annotation in fields for m in _models_in(annotation)] or [
                m for m in here if part in get_args(getattr(m.model_fields.get("source"), "annotation", None))
            ]
    return sorted({name for m in here for name in m.model_fields})


def _models_in(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in (list, tuple, dict, Union, UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _step(target: Any, name: str, assignment: str) -> Any:
    if isinstance(target, list):
        if not name.isdigit() or int(name) >= len(target):
            raise SettingsError(f'--set {assignment}: there are {len(target)} entries, numbered from 0; got "{name}"')
        return target[int(name)]
    if not isinstance(target, dict):
        raise SettingsError(f'--set {assignment}: "{name}" is not inside a table')
    return target.setdefault(name, {})
