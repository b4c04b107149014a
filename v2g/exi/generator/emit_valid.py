"""Emits the functions that say whether a message keeps the limits of its schema: ranges and lengths."""

from __future__ import annotations

from v2g.exi.generator.imports import Names
from v2g.exi.generator.naming import Library, constant, limit
from v2g.exi.generator.source_code import WIDTH, SourceCode
from v2g.exi.grammar import Complex, Step

HEAD = """from __future__ import annotations

from collections.abc import Callable

from v2g.exi.bits import always, never"""


def emit_valid(library: Library, home: str) -> str:
    """valid.py: one function per complex type that has a limit anywhere inside."""
    limited = library.limited
    kinds = [kind for kind in library.types.values() if isinstance(kind, Complex) and kind.home == home]
    code, tail, names = SourceCode(), SourceCode(), Names(home, "valid")
    for kind in sorted(kinds, key=lambda kind: kind.name):
        conditions = _conditions(library, kind, limited, names, tail)
        if kind.key not in limited:
            continue
        code()
        code()
        with code.function(f"valid_{kind.name}", f"v: {names.type(kind.key)}", "bool"):
            if len(conditions) == 1 and len(conditions[0]) < WIDTH - 12:
                code(f"return {conditions[0]}")
                continue
            with code.block("return ("):
                for number, condition in enumerate(conditions):
                    _condition(code, f"and {condition}" if number else condition)
            code(")")
    body = code.text().lstrip("\n") + ("\n\n" + tail.text() if tail.lines else "")
    return names.imports(HEAD, body).rstrip("\n") + "\n\n\n" + body


def _condition(code: SourceCode, condition: str) -> None:
    """A condition, an `or` or `for` of it on lines of their own if it is long."""
    start, found, rest = condition.partition("(")
    parts = rest.removesuffix(")").split(" or ") if " or " in rest else rest.removesuffix(")").split(" for ")
    if 4 * code.depth + len(condition) <= WIDTH or not found or len(parts) != 2:
        code(condition)
        return
    word = "or" if " or " in rest else "for"
    with code.block(f"{start}("):
        code(parts[0])
        code(f"{word} {parts[1]}")
    code(")")


def _conditions(library: Library, kind: Complex, limited: set[str], names: Names, tail: SourceCode) -> list[str]:
    found = []
    for step in kind.steps:
        keys = [member.type for member in step.members]
        if not any(key in limited for key in keys) and not library.may_be_abstract(step):
            continue
        field = f"v.{step.field}"
        item = "item" if step.many else field
        if len(keys) > 1:
            table = constant(step.field)
            condition = f"{table}[type({item})]({item})"
            rows = [f"{names.type(key)}: {_verdict(library, key, names)}" for key in keys]
            tail.table(table, f"{table}: dict[type, Callable[..., bool]] = {{", rows, "}")
        elif library.is_complex(keys[0]):
            condition = f"{names.function('valid', keys[0])}({item})"
        else:
            condition = limit(library.simple(keys[0]), item)
        found.append(_quantified(step, field, condition))
    return list(dict.fromkeys(found))


def _verdict(library: Library, key: str, names: Names) -> str:
    """The function for a member of a substitution group."""
    if library.complex(key).abstract:
        return "never"
    return names.function("valid", key) if key in library.limited else "always"


def _quantified(step: Step, field: str, condition: str) -> str:
    if step.many:
        return f"all({condition} for item in {field})"
    return condition if step.required else f"({field} is None or {condition})"
