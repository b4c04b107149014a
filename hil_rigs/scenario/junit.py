"""Results as JUnit XML: a test suite for each scenario, a test case for each assertion."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from hil_rigs.scenario.judge import Verdict
from hil_rigs.scenario.scenario_run import ScenarioResult
from hil_rigs.scenario.twin import twin_verdict, uncaught

_ELEMENT = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "error",  # never reported as passed
    Verdict.NOT_RUN: "skipped",
}


def junit(results: Sequence[ScenarioResult]) -> str:
    """The file's text."""
    root = ElementTree.Element("testsuites", name="plugbench")
    for result in results:
        suite = ElementTree.SubElement(root, "testsuite", name=_name(result), time=f"{result.virtual_s:.3f}")
        counts = dict.fromkeys(("failure", "error", "skipped"), 0)
        for case, verdict, expected, observed, where in _cases(result):
            element = ElementTree.SubElement(
                suite, "testcase", classname=_name(result), name=_text(f"{case}: {expected}")
            )
            kind = _ELEMENT.get(verdict)
            if kind is not None:
                counts[kind] += 1
                ElementTree.SubElement(element, kind, message=_text(observed)).text = where
        properties = ElementTree.Element("properties")
        for clause, why in result.not_applicable:
            ElementTree.SubElement(properties, "property", name=_text(f"not applicable: {clause}"), value=_text(why))
        suite.insert(0, properties)
        suite.set("tests", str(len(suite) - 1))
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(attribute, str(counts[kind]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cases(result: ScenarioResult) -> list[tuple[str, Verdict, str, str, str]]:
    if result.defect:
        verdict = twin_verdict(result)
        why = uncaught(result) if verdict is Verdict.FAIL else ""
        said = "; ".join(filter(None, (why, result.problem, *(f"{one.id}: {one.observed}" for one in result.failed))))
        return [("twin", verdict, f"{result.defect} is caught", said, str(result.file))]
    cases = [(one.id, one.verdict, one.expected, one.observed, f"{one.where} [{one.channel}]") for one in result.judged]
    if result.problem:
        cases.append(("steps", Verdict.INCONCLUSIVE, "every step can be done", result.problem, result.where))
    return cases


def _name(result: ScenarioResult) -> str:
    return _text(f"{result.name} with {result.defect}" if result.defect else result.name)


def _text(text: str) -> str:
    """Without the characters that XML 1.0 cannot carry."""
    return "".join(char if char in "\t\n\r" or char >= " " else "\ufffd" for char in text)
