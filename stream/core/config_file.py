"""Read TOML config files into settings; an error names the file, table, key, value and the nearest known key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from stream.core.log import redact
from stream.core.suggest import nearest
from stream.errors import SettingsError
from stream.settings import Settings

S = TypeVar("S", bound=Settings)

SECRETS = ("token",)
"""Settings whose values never appear in output, however wrong they are."""
SECRET_LIKE = (*SECRETS, "password", "passwd", "pwd", "secret")
"""The value of any key that resembles one of these is hidden, too: the key may be a misspelt or misplaced secret."""
MAX_SHOWN_CHARS = 60
"""Longest part of a value that an error message repeats."""


def read_toml(path: Path) -> dict[str, Any]:
    """The content of the file. Raises SettingsError if it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # -sig: Windows' Notepad writes a byte order mark
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such config file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as a config file: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def override(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of ``data`` with each ``table.key=value`` applied; list items by number: ``cameras.0.path=clip.mp4``.

    A value is read as TOML (``true``, ``3``, ``"text"``, ``[1, 2]``) or, if it is not TOML, taken as text. Raises
    SettingsError for an assignment without ``=`` and for a path through something that is not a table.
    """
    result: dict[str, Any] = _copy(data)
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        *tables, key = dotted.strip().split(".")
        shown = f"{dotted}=***" if equals and any(_is_secret(part) for part in (*tables, key)) else redact(assignment)
        if not equals or not key:
            raise SettingsError(f'--set {shown}: expected table.key=value, for example --set model.name="tiny"')
        target: Any = result
        for name in tables:
            target = _descend(target, name, shown)
        if not isinstance(target, dict):
            raise SettingsError(f'--set {shown}: "{".".join(tables)}" is not a table')
        target[key] = _toml_value(text.strip())
    return result


def parse(model: type[S], data: Mapping[str, Any], origin: str, context: Mapping[str, Any] | None = None) -> S:
    """``data`` as settings. Raises SettingsError with one line for each error; ``origin`` names the file.

    ``context`` is passed to the model's validators.
    """
    try:
        return model.model_validate(dict(data), context=dict(context or {}))
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in _root_causes([dict(each) for each in error.errors()])]
        raise SettingsError("\n".join(f"{origin}: {line}" for line in lines)) from error


def _copy(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _descend(target: Any, name: str, shown: str) -> Any:
    if isinstance(target, list):
        if not name.isdigit() or int(name) >= len(target):
            raise SettingsError(f'--set {shown}: there are {len(target)} entries, numbered from 0; got "{name}"')
        return target[int(name)]
    if not isinstance(target, dict):
        raise SettingsError(f'--set {shown}: "{name}" is not inside a table')
    return target.setdefault(name, {})


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _root_causes(problems: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``problems`` without consequences: pydantic also calls a list too short when its only item is wrong."""
    locations = [problem["loc"] for problem in problems]
    return [
        problem
        for problem in problems
        if problem["type"] != "too_short"
        or not any(len(inner) > len(outer := problem["loc"]) and inner[: len(outer)] == outer for inner in locations)
    ]


def _explain(model: type[Settings], problem: Mapping[str, Any]) -> str:
    """One of pydantic's errors in the words of TOML."""
    location, value = tuple(problem["loc"]), problem.get("input")
    *above, key = location or ("",)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, above)
        return f'{_table(above)}unknown key "{key}" = {_shown(value, key)}{nearest(str(key), known)}'
    if problem["type"] == "missing":
        return f'{_table(above)}key "{key}" is missing'
    if problem["type"] == "union_tag_not_found":
        sources = '"rtsp", "url", "webcam", "gstreamer", "video", "images" or "synthetic"'
        return f'{_table(location)}key "source" is missing: {sources}'
    if problem["type"] == "union_tag_invalid":
        tag = value.get("source") if isinstance(value, dict) else value
        tags = [str(tag) for tag in problem["ctx"]["expected_tags"].replace("'", "").split(", ")]
        return f"{_table(location)}source = {_shown(tag)} does not exist{nearest(str(tag), tags)}"
    if problem["type"] == "value_error" and isinstance(value, Mapping | Settings):  # its message names the keys
        return f"{_table(location)}{_message(problem)}"
    if isinstance(key, int) and above:
        key = f"{above.pop()}.{key}"  # written as --set takes it
    return f"{_table(above)}{key} = {_shown(value, key)}: {_expected(problem, str(key))}"


def _expected(problem: Mapping[str, Any], key: str) -> str:
    is_table = isinstance(problem.get("input"), Mapping)
    if problem["type"] in ("tuple_type", "list_type"):
        return (
            f"must be a list: write [[{key}]] above each of its tables" if is_table else 'must be a list: ["...", ...]'
        )
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        name, _, number = key.rpartition(".")
        return f"must be a table: write {f'[[{name}]]' if number.isdigit() else f'[{key}]'} above its keys"
    if problem["type"] == "too_short":
        return "must have at least one entry"
    message = _message(problem)
    return f"{message[0].lower()}{message[1:]}"


def _message(problem: Mapping[str, Any]) -> str:
    return str(problem["msg"]).removeprefix("Value error, ")


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
    """All keys that the table at ``location`` may have."""
    models: list[type[Settings]] = [model]
    for part in location:
        if isinstance(part, str):
            fields = [m.model_fields[part].annotation for m in models if part in m.model_fields]
            models = [m for annotation in fields for m in _models_in(annotation)] or [
                m for m in models if part in get_args(getattr(m.model_fields.get("source"), "annotation", None))
            ]
    return sorted({name for m in models for name in m.model_fields})


def _models_in(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in (list, tuple, dict, Union, UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _is_secret(key: object) -> bool:
    name = str(key).lower()
    return any(each in name for each in SECRET_LIKE) or bool(get_close_matches(name, SECRET_LIKE, n=1, cutoff=0.7))


def _shown(value: Any, key: object = "") -> str:
    """``value`` as TOML, shortened and without passwords; tables and nested lists are only hinted at."""
    if _is_secret(key):
        return "***"
    if isinstance(value, Mapping) and value:
        return "{...}"
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping | list | tuple) for each in value):
        return "[...]"
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    text = redact(text)  # before shortening, which may cut off the "@" that marks a password
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 3] + "..."
