"""Fills reference/settings.md with tables made from the JSON Schema of config files (`depthstream schema`)."""

from __future__ import annotations

import json
import re
from typing import Any

from pipelines.registry import json_schema

MARKER = "<!-- tables of settings -->"
ORDER = (
    "cameras",
    "camera",
    "model",
    "steady",
    "render",
    "record",
    "publish",
    "web",
    "mcap",
    "boxes",
    "objects",
    "segmenter",
)
"""The order of the tables on the page; others follow."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs' hook: called with the text of every page."""
    return markdown.replace(MARKER, tables()) if MARKER in markdown else markdown


def tables() -> str:
    """A section for each table of a config file, with the pipelines that have it."""
    schema = json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    users: dict[str, dict[str, list[str]]] = {}
    for recipe in schema["anyOf"]:
        properties = definitions[name_of(recipe)]["properties"]
        pipeline = properties["pipeline"]["const"]
        for table, value in properties.items():
            for name in references(value):
                users.setdefault(table, {}).setdefault(name, []).append(pipeline)
    order = sorted(users, key=lambda table: (*ORDER, table).index(table))
    return "\n\n".join(section(table, users[table], definitions) for table in order)


def section(table: str, models: dict[str, list[str]], definitions: dict[str, Any]) -> str:
    """The models that may stand in one table: several for cameras, which differ by their source."""
    pipelines = sorted({pipeline for names in models.values() for pipeline in names})
    parts = [f"## {table}\n\nIn pipelines: {', '.join(f'`{pipeline}`' for pipeline in pipelines)}."]
    seen: set[str] = set()
    for name in sorted(models, key=lambda name: name.startswith("Boxed")):
        title = title_of(name, definitions[name])
        if title in seen:  # the cameras of "objects" are the others with boxes, as the page says
            continue
        seen.add(title)
        heading = f"### {title}\n\n" if len(models) > 1 else ""
        parts.append(heading + rows(definitions[name], definitions))
    return "\n\n".join(parts)


def title_of(name: str, definition: dict[str, Any]) -> str:
    """A camera goes by its source, any other table by its class."""
    source = definition["properties"].get("source", {})
    kinds = source.get("enum") or [source.get("const")]
    return "source = " + " or ".join(f'"{kind}"' for kind in kinds) if any(kinds) else name


def rows(definition: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> str:
    """One row for each key; tables inside of a table follow as ``inner.key``."""
    lines = [] if prefix else [prose(definition), "", "| Key | Values | Default | Meaning |", "|---|---|---|---|"]
    required, inner = definition.get("required", []), []
    for key, value in definition["properties"].items():
        models = references(value)
        if len(models) == 1:
            inner.append(rows(definitions[models[0]], definitions, f"{prefix}{key}."))
            continue
        default = "required" if key in required else code(value.get("default"))
        lines.append(f"| `{prefix}{key}` | {values_of(value)} | {default} | {cell(value.get('description', ''))} |")
    lines += inner
    return "\n".join(lines)


def values_of(value: dict[str, Any]) -> str:
    """The choices, or the type with its limits."""
    if "anyOf" in value:
        return " or ".join(filter(None, (values_of(each) for each in value["anyOf"] if each.get("type") != "null")))
    if "const" in value:
        return code(value["const"])
    if "enum" in value:
        return ", ".join(code(each) for each in value["enum"])
    if value.get("type") == "array":
        return f"list of {values_of(value['items'])}" if "items" in value else "list"
    low = limit(value, "minimum", "exclusiveMinimum", "≥", ">")
    high = limit(value, "maximum", "exclusiveMaximum", "≤", "<")
    return " ".join([value.get("type", ""), ", ".join(filter(None, (low, high)))]).strip()


def limit(value: dict[str, Any], inclusive: str, exclusive: str, sign: str, strict: str) -> str:
    """ "≥ 3", "> 3" or nothing."""
    if inclusive in value:
        return f"{sign} {value[inclusive]}"
    return f"{strict} {value[exclusive]}" if exclusive in value else ""


def references(value: Any) -> list[str]:
    """Names of the definitions that a key may hold, in order."""
    if isinstance(value, dict):
        found = [name_of(value)] if "$ref" in value else []
        return found + [name for key, each in value.items() if key != "discriminator" for name in references(each)]
    return [name for each in value for name in references(each)] if isinstance(value, list) else []


def name_of(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[-1]


def prose(definition: dict[str, Any]) -> str:
    return re.sub(r"\s+", " ", definition.get("description", ""))


def cell(text: str) -> str:
    """Text that cannot end a cell or begin a tag."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def code(value: Any) -> str:
    """As TOML would have it; unset is empty."""
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"
