"""Runs EXIficient core in a JVM, not its JSON wrapper: one JSON request per line in, one answer per line out.

Started with the Python of an environment that has JPype: `python exificient_oracle.py JAR SCHEMA_FOLDER`.
The V2G profile of EXI: bit-packed, schema-informed, not strict, no value string tables, no built-in grammars.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jpype  # type: ignore[import-not-found,unused-ignore]


class Oracle:
    """EXIficient with the grammars of the schema sets asked for."""

    def __init__(self, jar: str, folder: Path) -> None:
        opens = "--add-opens=java.base/java.lang=ALL-UNNAMED"
        # a short life: the second compiler and the threads of the other collectors cost more than they give
        short = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        jpype.startJVM(opens, "-Xmx768m", "-Xss8m", *short, classpath=[jar])
        self.folder = folder
        self.grammars: dict[str, Any] = {}
        self.factories: dict[tuple[str, bool], Any] = {}
        self.string_reader = jpype.JClass("java.io.StringReader")
        self.source = jpype.JClass("org.xml.sax.InputSource")
        self.octets_in = jpype.JClass("java.io.ByteArrayInputStream")
        self.octets_out = jpype.JClass("java.io.ByteArrayOutputStream")
        self.result = jpype.JClass("com.siemens.ct.exi.main.api.sax.EXIResult")
        self.exi_source = jpype.JClass("com.siemens.ct.exi.main.api.sax.EXISource")
        self.stream_result = jpype.JClass("javax.xml.transform.stream.StreamResult")
        self.writer = jpype.JClass("java.io.StringWriter")
        self.transformers = jpype.JClass("javax.xml.transform.TransformerFactory").newInstance()
        parsers = jpype.JClass("javax.xml.parsers.SAXParserFactory").newInstance()
        parsers.setNamespaceAware(True)
        self.reader = parsers.newSAXParser().getXMLReader()

    def factory(self, root: str, *, fragment: bool) -> Any:
        """The EXI options of the V2G standards for a root XSD."""
        if (root, fragment) not in self.factories:
            if root not in self.grammars:
                loader = jpype.JClass("com.siemens.ct.exi.grammars.GrammarFactory").newInstance()
                self.grammars[root] = loader.createGrammars(str(self.folder / root))
            factory = jpype.JClass("com.siemens.ct.exi.core.helpers.DefaultEXIFactory").newInstance()
            factory.setGrammars(self.grammars[root])
            factory.setValueMaxLength(0)
            factory.setValuePartitionCapacity(0)
            factory.setFragment(fragment)
            factory.setMaximumNumberOfBuiltInElementGrammars(0)
            factory.setMaximumNumberOfBuiltInProductions(0)
            self.factories[root, fragment] = factory
        return self.factories[root, fragment]

    def encode(self, factory: Any, xml: str) -> str:
        """XML to EXI octets in hex."""
        stream = self.octets_out()
        result = self.result(factory)
        result.setOutputStream(stream)
        self.reader.setContentHandler(result.getHandler())
        self.reader.parse(self.source(self.string_reader(xml)))
        return bytes(stream.toByteArray()).hex()

    def decode(self, factory: Any, octets: bytes) -> str:
        """EXI octets to XML."""
        source = self.exi_source(factory)
        source.setInputSource(self.source(self.octets_in(octets)))
        writer = self.writer()
        self.transformers.newTransformer().transform(source, self.stream_result(writer))
        return str(writer.toString())


def main() -> None:
    oracle = Oracle(sys.argv[1], Path(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, str] = {}
        factory = oracle.factory(request["root"], fragment=request["fragment"])
        for task, run in (
            ("xml", lambda text, factory=factory: oracle.encode(factory, text)),
            ("hex", lambda text, factory=factory: oracle.decode(factory, bytes.fromhex(text))),
        ):
            if task in request:
                try:
                    answer[task] = run(request[task])
                except Exception as error:  # noqa: BLE001 - whatever Java throws is the answer
                    answer[f"{task}_error"] = str(error)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
