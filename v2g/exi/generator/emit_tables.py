"""Emits the grammars as data (for the interpreter), and the roots of a schema set."""

from __future__ import annotations

import re

from v2g.exi.generator.naming import Library
from v2g.exi.generator.source_code import WIDTH, SourceCode
from v2g.exi.grammar import Complex, Member, Root, Schema, Simple, Step


class Uris:
    """Constants for namespaces, named after their last part."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def __call__(self, uri: str) -> str:
        if not uri:
            return '""'
        return self.names.setdefault(uri, re.sub(r"\W", "", re.split("[:/]", uri)[-1]).upper())

    def lines(self) -> list[str]:
        return [f"{name} = {_literal(uri)}" for uri, name in sorted(self.names.items())]


def emit_grammar(library: Library, home: str) -> str:
    """grammar.py: the types of a home."""
    code, uris = SourceCode(), Uris()
    with code.block("TYPES: dict[str, Type] = {"):
        for key, kind in sorted(library.types.items()):
            if key.partition(".")[0] == home:
                _entry(code, f'"{key}": ', kind, uris)
    code("}")
    body = code.text()
    used = [name for name in ("Complex", "Member", "Simple", "Step") if f"{name}(" in body]
    return _head([*used, "Type"], uris) + body


def _head(used: list[str], uris: Uris) -> str:
    lines = [
        "from __future__ import annotations",
        "",
        f"from v2g.exi.grammar import {', '.join(used)}",
        "",
        *uris.lines(),
    ]
    return "\n".join(lines) + "\n" + ("\n" if uris.names else "")


def _entry(code: SourceCode, head: str, kind: Simple | Complex, uris: Uris) -> None:
    if isinstance(kind, Simple):
        code.list(f"{head}Simple(", _simple(kind), "),")
        return
    with code.block(f"{head}Complex("):
        code(f'home="{kind.home}",')
        code(f'name="{kind.name}",')
        code(f"uri={uris(kind.uri)},")
        if kind.steps:
            with code.block("steps=("):
                for step in kind.steps:
                    _step(code, step, uris)
            code("),")
        else:
            code("steps=(),")
        _tuple(code, "states=", [_numbers(state) for state in kind.states], ",")
        for name in ("attributes", "base", "abstract", "mixed"):
            if getattr(kind, name):
                code(f"{name}={_literal(getattr(kind, name))},")
    code("),")


def _simple(kind: Simple) -> list[str]:
    values = [_literal(kind.name), _literal(kind.kind)]
    for name, default in list(Simple._field_defaults.items()):
        value = getattr(kind, name)
        if value != default:
            inner = ", ".join(_literal(item) for item in value) if name == "values" else ""
            values.append(
                f"{name}=({inner}{',' if len(value) == 1 else ''})" if name == "values" else f"{name}={_literal(value)}"
            )
    # a long enumeration is wrapped by hand: one value per line would be longer than the rest of the file
    return [part for value in values for part in _wrap(value)]


def _wrap(value: str) -> list[str]:
    if len(value) < WIDTH - 20:
        return [value]
    head, _, rest = value.partition("=(")
    lines, line = [], ""
    for item in rest.removesuffix(")").split(", "):
        if len(line) + len(item) > WIDTH - 24:
            lines.append(line)
            line = ""
        line += item + ", "
    indent = "\n" + " " * 12
    return [
        f"{head}=({indent}" + indent.join([*lines, line.rstrip()]).replace(" \n", "\n").rstrip(",") + ",\n        )"
    ]


def _step(code: SourceCode, step: Step, uris: Uris) -> None:
    extra = [
        f"{name}={_literal(getattr(step, name))}"
        for name, default in Step._field_defaults.items()
        if getattr(step, name) != default
    ]
    head = f"Step({_literal(step.kind)}, {_literal(step.field)}, "
    members = [_member(member, uris) for member in step.members]
    inner = ", ".join(members) + ("," if len(members) == 1 else "")
    line = ", ".join([f"{head}({inner})", *extra]) + "),"
    if 4 * code.depth + len(line) <= WIDTH:
        code(line)
        return
    with code.block("Step("):
        code(f"{_literal(step.kind)},")
        code(f"{_literal(step.field)},")
        if 4 * code.depth + len(inner) + 3 <= WIDTH:
            code(f"({inner}),")
        else:
            with code.block("("):
                for member in step.members:
                    parts = [_literal(member.name), uris(member.uri), _literal(member.type)]
                    code.list("Member(", parts, "),")
            code("),")
        for part in extra:
            code(f"{part},")
    code("),")


def _member(member: Member, uris: Uris) -> str:
    return f"Member({_literal(member.name)}, {uris(member.uri)}, {_literal(member.type)})"


def emit_schema(schema: Schema) -> str:
    """schema.py: the roots in the order of their event codes, and the string tables of qualified names."""
    code, uris = SourceCode(), Uris()
    with code.block("SCHEMA = Schema("):
        code(f"name={_literal(schema.name)},")
        code(f"namespace={uris(schema.namespace)},")
        for name, roots in (("documents", schema.documents), ("fragments", schema.fragments)):
            _tuple(code, f"{name}=", [_root(root, uris) for root in roots], ",")
        _tuple(code, "attributes=", [f"({_literal(local)}, {uris(uri)})" for local, uri in schema.attributes], ",")
        _tuple(code, "uris=", [uris(uri) for uri in schema.uris], ",")
        with code.block("names=("):
            for names in schema.names:
                _tuple(code, "", [_literal(name) for name in names], ",")
        code("),")
        _tuple(
            code,
            "types=",
            [f"({_literal(name)}, {uris(uri)}, {_literal(key)})" for name, uri, key in schema.types],
            ",",
        )
    code(")")
    return _head(["Root", "Schema"], uris) + code.text()


def _root(root: Root, uris: Uris) -> str:
    types = ", ".join(_literal(key) for key in root.types) + ("," if len(root.types) == 1 else "")
    return f"Root({_literal(root.name)}, {uris(root.uri)}, ({types}))"


def _tuple(code: SourceCode, head: str, items: list[str], tail: str) -> None:
    if len(items) == 1:
        code(f"{head}({items[0]},){tail}")
    else:
        code.list(f"{head}(", items, f"){tail}")


def _numbers(numbers: tuple[int, ...]) -> str:
    return str(numbers)


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
