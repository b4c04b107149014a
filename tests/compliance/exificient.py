"""EXIficient core as a judge: its environment under `.peers/`, its process, and XML compared as XML."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ports.errors import RigError
from v2g.exi.generator import wheel
from v2g.exi.generator.sets import SETS

REPOSITORY = Path(__file__).parents[2]
PEERS = REPOSITORY / ".peers"
HOME = PEERS / "exificient"
ROOTS = {schema_set.name: schema_set.root for schema_set in SETS}
# requests on their way at once: enough to keep the JVM busy, few enough for the pipes
BATCH = 16


def prepare() -> tuple[Path, Path, Path]:
    """(Python with JPype, jar, schemas); made on first use, RigError if this machine cannot."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = HOME / "venv/bin/python"
        if not (HOME / "ready").exists():
            _run(sys.executable, "-m", "venv", str(HOME / "venv"))
            _run(str(python), "-m", "pip", "install", "--quiet", "jpype1")
        jar = HOME / "EXICodec.jar"
        archive_path = wheel.wheel(PEERS / "wheels")
        if not jar.exists():
            with zipfile.ZipFile(archive_path) as archive:
                jar.write_bytes(archive.read("iso15118/shared/EXICodec.jar"))
        folder = HOME / "schemas"
        if not folder.exists():
            _copy_schemas(wheel.schemas(PEERS / "wheels"), folder)
        (HOME / "ready").touch()
    return python, jar, folder


def _run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode:
        raise RigError(f"{' '.join(command)} failed: EXIficient cannot be asked")


def _copy_schemas(source: Path, target: Path) -> None:
    """The schemas without xmldsig's DOCTYPE (its DTD is on w3.org), and xmldsig in every folder that imports it."""
    for path in source.rglob("*.xsd"):
        text = re.sub(rb"<!DOCTYPE.*?\]>", b"", path.read_bytes(), flags=re.DOTALL)
        folders = [path.relative_to(source).parent]
        if path.name == "xmldsig-core-schema.xsd":
            folders += [Path("din_spec"), Path("iso15118_20")]
        for folder in folders:
            (target / folder).mkdir(parents=True, exist_ok=True)
            (target / folder / path.name).write_bytes(text)


class Exificient:
    """The judge's process; a context manager."""

    def __init__(self) -> None:
        python, jar, folder = prepare()
        script = Path(__file__).with_name("exificient_oracle.py")
        self.process = subprocess.Popen(
            [str(python), str(script), str(jar), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, schema: str, *, fragment: bool = False, **tasks: str) -> dict[str, str]:
        """xml: what to encode. hex: what to decode. Returns the results under the same names, or *_error."""
        return next(self.ask_all([(schema, fragment, tasks)]))

    def ask_all(self, requests: Iterable[tuple[str, bool, dict[str, str]]]) -> Iterator[dict[str, str]]:
        """Many questions, answers in order."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        waiting = iter(requests)
        while batch := list(islice(waiting, BATCH)):
            for schema, fragment, tasks in batch:
                line = json.dumps({"root": ROOTS[schema], "fragment": fragment, **tasks})
                self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            # all of them, before a caller can stop half-way
            answers = [self.process.stdout.readline() for _ in batch]
            if "" in answers:
                raise RigError("EXIficient's process died")
            yield from map(json.loads, answers)


def tree(xml: str) -> Any:
    """XML as nested tuples: names, attributes, text, children; what is no content is left out."""

    def plain(element: ET.Element) -> Any:
        children = [plain(child) for child in element]
        text = (element.text or "") if not children else ""
        attributes = {
            name: value for name, value in element.attrib.items() if not name.startswith("{http://www.w3.org/2001/XMLS")
        }
        return element.tag, tuple(sorted(attributes.items())), text, tuple(children)

    return plain(ET.fromstring(xml))
