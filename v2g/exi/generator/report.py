"""What the generator used and met: schema files, event code widths, conflicts, features."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from v2g.exi.generator.flatten import Flattener
from v2g.exi.generator.naming import Library
from v2g.exi.generator.transitions import is_regular
from v2g.exi.grammar import Complex, Simple


def sources(flatteners: list[Flattener], folder: Path) -> list[tuple[str, str]]:
    """(path inside the folder, SHA-256) of every schema file that was read."""
    found: dict[str, str] = {}
    for flattener in flatteners:
        for path, file in flattener.pool.files.items():
            found[path.relative_to(folder.resolve()).as_posix()] = hashlib.sha256(file.text).hexdigest()
    return sorted(found.items())


def report(flatteners: list[Flattener], library: Library, folder: Path) -> str:
    """The report that `make generate` prints."""
    lines = [f"schemas: {folder}"]
    lines += [f"  {digest}  {path}" for path, digest in sources(flatteners, folder)]
    lines.append("schema sets: documents/bits, fragments/bits, types")
    features: Counter[str] = Counter()
    for flattener in flatteners:
        schema = flattener.schema()
        documents, fragments = len(schema.documents), len(schema.fragments)
        lines.append(
            f"  {schema.name}: {documents}/{documents.bit_length()}, {fragments}/{(fragments + 1).bit_length()}, "
            f"{len(flattener.types)}"
        )
        for root in schema.fragments:
            if len(root.types) > 1:
                lines.append(f"    {root.name} has the types {', '.join(root.types)}: relaxed fragment grammar")
    seen: set[Path] = set()
    for flattener in flatteners:
        for path, file in flattener.pool.files.items():
            if path not in seen:
                seen.add(path)
                features.update(str(xml.tag).rpartition("}")[2] for xml in file.root.iter())
    lines.append("features met: " + ", ".join(f"{name} {count}" for name, count in sorted(features.items())))
    kinds = [kind for kind in library.types.values() if isinstance(kind, Complex)]
    left = [kind.key for kind in kinds if not is_regular(kind)]
    wild = [kind.key for kind in kinds if any(step.kind == "wildcard" for step in kind.steps)]
    lists = Counter(step.high for kind in kinds for step in kind.steps if step.many)
    simple = Counter(kind.kind for kind in library.types.values() if isinstance(kind, Simple))
    lines.append(f"left to the interpreter: {', '.join(left)}; wildcards refused in {', '.join(wild)}")
    lines.append(
        "lists by maxOccurs: " + ", ".join(f"{high or 'unbounded'}: {n}" for high, n in sorted(lists.items(), key=str))
    )
    lines.append(
        f"complex types: {len(kinds)}; simple types: " + ", ".join(f"{k} {n}" for k, n in sorted(simple.items()))
    )
    return "\n".join(lines)
