"""The report of a run as one HTML file: verdicts, timeline, sequence, versions, files, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hil_rigs.bill_check import CheckedBill
from hil_rigs.evidence.assertions import Assertion
from hil_rigs.evidence.manifest import File, Versions
from hil_rigs.evidence.report.faults import fault_table, injected
from hil_rigs.evidence.report.markup import Markup, element, joined, table
from hil_rigs.evidence.report.plots import timeline
from hil_rigs.evidence.report.results import counted, failed, results, verdict
from hil_rigs.evidence.report.sequence import sequence
from hil_rigs.evidence.report.series import Series
from hil_rigs.evidence.report.style import STYLE
from hil_rigs.run import CheckedSession, RunResult
from hil_rigs.story.step import Story

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and nothing runs, whatever a hostile name may have brought in."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that the report shows. files: all others of the evidence. event_hash: "" in real time.

    title: what the scenario is about, in a sentence.
    """

    run: str
    started: str
    result: RunResult
    assertions: Sequence[Assertion]
    series: Series
    story: Story
    versions: Versions
    files: Mapping[str, File]
    event_hash: str
    scenario: str = ""
    title: str = ""


def page(said: Contents) -> str:
    """The file's content."""
    result = said.result
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width"),
        element("title", f"{said.scenario or result.rig}: {result.verdict}"),
        element("style", Markup(STYLE)),
    )
    sections = (
        _summary(said),
        _problems(said),
        _section("Sessions", _sessions(result.sessions)) if result.sessions else "",
        _section("Bills", _bills(result.bills)) if result.bills else "",
        _section("Assertions", results(said.assertions)) if said.assertions else "",
        _section("Timeline", element("figure", timeline(said.series))),
        _section("Faults", faults) if (faults := fault_table(said.series)) else "",
        _section(
            "Sequence",
            *(element("p", note, class_="warning") for note in said.story.notes),
            element("figure", sequence(said.story.passages, said.series.began or 0.0, injected(said.series))),
        ),
        _section("Signatures", _signatures(said.story)),
        _section("What was real", _resources(result)),
        _section("Versions", _versions(said.versions)),
        _section("Files", _files(said.files)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, element("body", *sections), lang="en") + "\n"


def _section(title: str, *content: object) -> Markup:
    return element("section", element("h2", title), *content)


def _summary(said: Contents) -> Markup:
    result = said.result
    rows = [
        ("run", said.run),
        ("scenario", said.scenario),
        ("assertions", counted(said.assertions)),
        ("started", said.started),
        ("clock", f"{result.clock} time, seed {result.seed}"),
        ("signed by", result.signer),
        ("event hash", said.event_hash),
        ("replay with", element("code", "plugbench replay evidence.zip")),
        ("check with", element("code", "plugbench evidence verify evidence.zip --digest DIGEST")),
    ]
    warning = "" if result.is_hsm else element("p", "The signing key was not in an HSM.", class_="warning")
    listed = element("dl", *(element("dt", name) + element("dd", value) for name, value in _given(rows)))
    about = element("p", said.title, class_="about") if said.title else ""
    return element(
        "header", element("h1", said.scenario or result.rig, verdict(result.verdict)), about, warning, listed
    )


def _given(rows: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
    return [(name, value) for name, value in rows if value]


def _problems(all_of: Contents) -> Markup:
    result = all_of.result
    said: list[object] = [failed(one) for one in all_of.assertions if one.verdict not in ("pass", "not run")]
    said += [f"{one.transaction_id or one.connector}: {text}" for one in result.sessions for text in one.findings]
    said += result.problems
    if not said:
        return Markup()
    return _section("Findings", element("ul", *(element("li", text) for text in said), class_="problems"))


def _sessions(sessions: Sequence[CheckedSession]) -> Markup:
    head = ("connector", "vehicle", "transaction", "verdict", "kWh", "pages", "plant Wh", "plant - record, Wh")
    return table(
        head,
        (
            (
                one.connector,
                one.vehicle,
                one.transaction_id or "none",
                verdict(one.verdict),
                "none" if one.kwh is None else one.kwh,
                " ".join(one.pages) or "none",
                f"{one.plant_wh:.3f}",
                "" if one.difference_wh is None else f"{one.difference_wh:+.3f}",
            )
            for one in sessions
        ),
    )


def _bills(bills: Sequence[CheckedBill]) -> Markup:
    return table(
        ("transaction", "operator", "verdict", "kWh", "with VAT", "signed values"),
        (
            (
                one.transaction_id,
                one.operator,
                verdict("invalid" if one.problems else "valid"),
                "none" if one.kwh is None else one.kwh,
                "none" if one.total is None else f"{one.total} {one.currency}",
                one.values,
            )
            for one in bills
        ),
    )


def _signatures(story: Story) -> Markup:
    if not story.signatures:
        return element("p", "None.", class_="quiet")
    rows = table(
        ("what", "covers", "signed by", "algorithm", "verdict", "trust"),
        (
            (
                one.what,
                one.covers,
                one.signer,
                one.algorithm,
                verdict(one.verdict.value) + (Markup(" ") + element("span", one.problem) if one.problem else ""),
                one.trust,
            )
            for one in story.signatures
        ),
    )
    count = sum(one.verdict.value == "valid" for one in story.signatures)
    summary = f"{len(story.signatures)} signatures, {count} valid when checked again"
    return element("details", element("summary", summary), rows, open="" if count < len(story.signatures) else None)


def _resources(result: RunResult) -> Markup:
    return table(
        ("resource", "kind", "where", "why"), ((one.name, one.kind, one.where, one.why) for one in result.resources)
    )


def _versions(versions: Versions) -> Markup:
    commit = f" ({versions.commit})" if versions.commit else ""
    rows = [
        ("Plugbench", versions.plugbench + commit),
        ("Python", versions.python),
        ("platform", versions.platform),
        *versions.libraries.items(),
    ]
    return element("dl", *(element("dt", name) + element("dd", value) for name, value in rows))


def _files(listed: Mapping[str, File]) -> Markup:
    rows = table(
        ("file", "what", "octets", "SHA-256"),
        ((name, file.what, file.size, element("code", file.sha256)) for name, file in listed.items()),
    )
    note = element(
        "p",
        "This report is one of the files itself; its hash, and these again, are in manifest.json.",
        class_="quiet",
    )
    return joined((element("details", element("summary", f"{len(listed)} files"), rows), note))
