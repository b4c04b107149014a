"""A rig file with some values changed, as a scenario asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from hil_rigs.rig_file import RigFile, RigFileError, load_rig, rig_of_text
from hil_rigs.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, compose, scalar_value
from ports.errors import LocalError

_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def changed_rig(path: Path, changes: Mapping[str, Any]) -> RigFile:
    """The rig of a file with other values at some places; null takes a key out. Keys that were not there are made.

    changes: place to value, e.g. {"gateway.connectors[0].max_current_a": 16}. Raises RigFileError (the file itself),
    LocalError (a place that cannot be, or a rig that is no good with the changes).
    """
    if not changes:
        return load_rig(path)
    load_rig(path)  # its own problems first, with their lines
    content = _plain(compose(path.read_text(encoding="utf-8-sig")))
    for place, value in changes.items():
        _set(content, place, value)
    try:
        return rig_of_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except RigFileError as error:
        texts = "; ".join(str(problem).partition(": ")[2] for problem in error.problems)
        raise LocalError(f"with these changes {path.name} is no good rig: {texts}") from error


def _plain(node: Node | None) -> Any:
    if isinstance(node, MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    return scalar_value(node) if isinstance(node, ScalarNode) else None


def _set(content: Any, place: str, value: Any) -> None:
    if _PART.sub("", place).strip("."):
        raise LocalError(f"{place!r} is no place like gateway.connectors[0].secc.tls")
    parts: list[str | int] = [int(index) if index else name for name, index in _PART.findall(place)]
    owner = content
    for part, following in pairwise(parts):
        if isinstance(part, int):
            if not isinstance(owner, list) or part >= len(owner):
                raise LocalError(f"{place}: the rig has no [{part}] there")
            owner = owner[part]
        elif isinstance(owner, dict):
            owner = owner.setdefault(part, [] if isinstance(following, int) else {})
        else:
            raise LocalError(f"{place}: {part} has no keys in the rig")
    last = parts[-1]
    if isinstance(owner, list) and isinstance(last, int) and last <= len(owner):
        owner[last : last + 1] = [] if value is None else [value]
    elif isinstance(owner, dict) and isinstance(last, str):
        if value is None:
            owner.pop(last, None)
        else:
            owner[last] = value
    else:
        raise LocalError(f"{place}: there is no such place in the rig")
