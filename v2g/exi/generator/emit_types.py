"""Emits the message classes of a home."""

from __future__ import annotations

from v2g.exi.generator.imports import Names
from v2g.exi.generator.naming import Library
from v2g.exi.generator.source_code import SourceCode
from v2g.exi.grammar import Complex, Simple

HEAD = """from __future__ import annotations

from typing import Literal

import msgspec

from v2g.exi.element import Element"""


def emit_types(library: Library, home: str) -> str:
    """types.py: one class per complex type, one Literal per enumeration."""
    code = SourceCode()
    own = {key: kind for key, kind in library.types.items() if key.partition(".")[0] == home}
    enumerations = {key: kind for key, kind in own.items() if isinstance(kind, Simple) and kind.kind == "enumeration"}
    ordered = _bases_first(library, [kind for kind in own.values() if isinstance(kind, Complex)])
    names = Names(home, "types")
    for key, simple in sorted(enumerations.items()):
        code.list(f"{key.partition('.')[2]} = Literal[", [f'"{value}"' for value in simple.values], "]")
    for kind in ordered:
        code()
        code()
        _emit_class(code, library, kind, names)
    body = code.text().lstrip("\n")
    body = body.replace("types.", "")
    return names.imports(HEAD, body) + ("\n" if enumerations else "\n\n") + body


def _emit_class(code: SourceCode, library: Library, kind: Complex, names: Names) -> None:
    base = library.complex(kind.base) if kind.base else None
    inherited = {step.field for step in base.steps} if base else set()
    with code.block(f"class {kind.name}({names.type(base.key) if base else 'Element'}, kw_only=True):"):
        abstract = "Abstract type" if kind.abstract else "Type"
        code(f'"""{abstract} {{{kind.uri}}}{kind.name}."""')
        fields: dict[str, str] = {}
        for step in kind.steps:
            if not step.field or step.field in inherited:
                continue
            annotation = library.annotation(step, names)
            if step.many:
                line = f"{step.field}: list[{annotation}]"
                fields[step.field] = line if step.required else f"{line} = msgspec.field(default_factory=list)"
            else:
                line = f"{step.field}: {annotation}"
                if not step.required or step.field in fields:
                    line = f"{step.field}: {annotation} | None = None"
                fields[step.field] = line
        if fields:
            code()
        for line in fields.values():
            code(line)


def _bases_first(library: Library, kinds: list[Complex]) -> list[Complex]:
    ordered: list[Complex] = []

    def add(kind: Complex) -> None:
        if kind in ordered:
            return
        if kind.base and kind.base.partition(".")[0] == kind.home:
            add(library.complex(kind.base))
        ordered.append(kind)

    for kind in sorted(kinds, key=lambda kind: kind.name):
        add(kind)
    return ordered
