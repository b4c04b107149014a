"""What a generated module imports: the classes of its home as `types`, and from other homes what its code mentions."""

from __future__ import annotations

import re
from collections import defaultdict

from v2g.exi.generator.naming import constant
from v2g.exi.generator.source_code import WIDTH, SourceCode


class Names:
    """Gives the Python name of a class, function or table and remembers which home it comes from."""

    def __init__(self, home: str, module: str) -> None:
        self.home = home
        self.module = module
        self.foreign: dict[str, set[str]] = defaultdict(set)
        self.own: set[str] = set()

    def type(self, key: str) -> str:
        """The message class (or Literal) of a type."""
        home, _, name = key.partition(".")
        if home == self.home:
            return f"types.{name}"
        self.foreign[f"v2g.exi.generated.{home}.types"].add(name)
        return name

    def function(self, verb: str, key: str) -> str:
        """The function that does `verb` to values of a type."""
        home, _, name = key.partition(".")
        return self._own_or_imported(home, f"{verb}_{name}")

    def table(self, key: str) -> str:
        """The table of an enumeration."""
        home, _, name = key.partition(".")
        return self._own_or_imported(home, constant(name))

    def _own_or_imported(self, home: str, name: str) -> str:
        if home != self.home:
            self.foreign[f"v2g.exi.generated.{home}.{self.module}"].add(name)
        else:
            self.own.add(name)
        return name

    def imports(self, head: str, body: str) -> str:
        """The import lines: of `head` what the body uses, then the generated modules."""
        modules = {name: set(names) for name, names in self.foreign.items()}
        if "types." in body:
            modules[f"v2g.exi.generated.{self.home}"] = {"types"}
        plain = []
        for line in head.splitlines():
            start, found, names = line.partition(" import ")
            used = {name for name in names.split(", ") if re.search(rf"\b{name}\b", body)}
            if start.startswith("from v2g"):
                modules[start.removeprefix("from ")] = used
            elif not found and line.startswith("import "):
                plain += [line, ""] if f"{line.removeprefix('import ')}." in body else []
            elif start == "from __future__" or (found and used):
                plain += [line, ""]
        code = SourceCode()
        for line in plain:
            code(line)
        for module, wanted in sorted(modules.items()):
            if wanted:
                ordered = sorted(wanted, key=_isort_order)
                line = f"from {module} import {', '.join(ordered)}"
                code(line) if len(line) <= WIDTH else code.list(f"from {module} import (", ordered, ")")
        return code.text()


def _isort_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name.lower()
