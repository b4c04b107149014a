"""HTML and SVG without a chance to forget escaping: what is no `Markup` is text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"meta", "line", "rect", "path", "circle", "polyline"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()

    def __add__(self, other: str) -> Markup:
        return Markup(str.__add__(self, shown(other)))


def shown(value: object) -> Markup:
    """Any value as text: controls and characters that turn the direction of writing are replaced."""
    if isinstance(value, Markup):
        return value
    text = "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in str(value))
    return Markup(escape(text, quote=True))


def element(tag: str, /, *content: object, **attributes: object) -> Markup:
    """An element. Names of attributes: `class_` is class, `_` stands for `-`; None leaves one out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{shown(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = joined(content)
    if tag in VOID and not inner:
        return Markup(f"<{tag}{said}/>")
    return Markup(f"<{tag}{said}>{inner}</{tag}>")


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other."""
    return Markup(between.join(shown(part) for part in parts))


def table(head: Iterable[object], rows: Iterable[Iterable[object]], **attributes: object) -> Markup:
    """A table; a cell that is an element `td` is taken as it is."""
    body = joined(
        element("tr", *(cell if str(cell).startswith("<td") else element("td", cell) for cell in row)) for row in rows
    )
    return element(
        "table",
        element("thead", element("tr", *(element("th", cell, scope="col") for cell in head))),
        element("tbody", body),
        **attributes,
    )
