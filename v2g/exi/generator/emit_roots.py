"""Emits roots.py of a schema set: from an event code to the functions, from a message class to the event code."""

from __future__ import annotations

from v2g.exi.generator.imports import Names
from v2g.exi.generator.naming import Library
from v2g.exi.generator.source_code import SourceCode
from v2g.exi.generator.transitions import is_regular
from v2g.exi.grammar import Root, Schema

HEAD = """from __future__ import annotations

from v2g.exi.bits import always
from v2g.exi.roots import Reader, Writer"""


def emit_roots(library: Library, schema: Schema) -> str:
    """Only elements of one complex type stand here; the others are the interpreter's."""
    code = SourceCode()
    limited = library.limited
    names = {verb: Names(schema.name, verb) for verb in ("types", "encode", "decode", "valid")}
    for title, roots, extra in (("DOCUMENT", schema.documents, 1), ("FRAGMENT", schema.fragments, 2)):
        width = (len(roots) + extra - 1).bit_length()
        code(f"{title}_WIDTH = {width}")
        with code.block(f"{title}_READERS: dict[int, Reader] = {{"):
            for number, (root, name) in enumerate(zip(roots, root_names(roots), strict=True)):
                if usable(library, root):
                    key = root.types[0]
                    valid = names["valid"].function("valid", key) if key in limited else "always"
                    function = names["decode"].function("decode", key)
                    row = [f'"{name}"', function, str(key in library.growing), valid]
                    if title == "DOCUMENT" and key in {other.types[0] for other in roots[:number]}:
                        row.append("named=True")
                    code.list(f"{number}: Reader(", row, "),")
        code("}")
        with code.block(f"{title}_WRITERS: dict[str, Writer] = {{"):
            for number, (root, name) in enumerate(zip(roots, root_names(roots), strict=True)):
                if usable(library, root):
                    key = root.types[0]
                    valid = names["valid"].function("valid", key) if key in limited else "always"
                    function = names["encode"].function("encode", key)
                    code.list(f'"{name}": Writer(', [str(number), function, str(key in library.growing), valid], "),")
        code("}")
    code(f"FRAGMENT_END = {len(schema.fragments) + 1}")
    with code.block("ELEMENTS: dict[type, str] = {"):
        seen: set[str] = set()
        for root in schema.documents:
            key = root.types[0]
            if library.is_complex(key) and key not in seen:
                seen.add(key)
                code(f'{names["types"].type(key)}: "{root.name}",')
    code("}")
    body = code.text()
    for verb in ("decode", "encode", "valid"):
        if names[verb].own:
            names["types"].foreign[f"v2g.exi.generated.{schema.name}.{verb}"] |= names[verb].own
        for module, wanted in names[verb].foreign.items():
            names["types"].foreign[module] |= wanted
    return names["types"].imports(HEAD, body) + "\n" + body


def root_names(roots: tuple[Root, ...]) -> list[str]:
    """What a root is called: its local name, with the namespace where two roots share it."""
    locals_ = [root.name for root in roots]
    return [root.name if locals_.count(root.name) == 1 else f"{{{root.uri}}}{root.name}" for root in roots]


def usable(library: Library, root: Root) -> bool:
    """Whether straight-line code serves this root."""
    (key, *others) = root.types
    return not others and library.is_complex(key) and is_regular(library.complex(key))
