"""Rig files: the examples are good, and every mistake has its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_rigs.reality import describe, description_table
from hil_rigs.resources import MeterResource, Pkcs11Resource, SerialResource
from hil_rigs.rig_file import MAX_OCTETS, RigFile, RigFileError, load_rig

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "rigs").glob("*.yaml"))

GOOD = """\
rig: bench
clock: {mode: real}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1}
  hsm:   {kind: pkcs11, module: softhsm, token: gw, key: meter}
  board: {kind: charger}
  ev:    {kind: vehicle}
  cpo:   {kind: cpo.rest}
gateway:
  serial_number: GW
  connectors:
    - {id: "1", evse_id: "DE*PLB*E1", board: board, meter: m1, signer: hsm, max_current_a: 32}
  local_list: [{id: "04AABBCC"}]
  backends: [cpo]
sessions:
  - {connector: "1", vehicle: ev, identification: "04AABBCC", charge_for_s: 20}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "bench.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(RigFileError) as caught:
        load_rig(write(folder, text))
    return [str(problem).removeprefix(f"{folder}/bench.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_good(path: Path) -> None:
    loaded = load_rig(path)
    assert loaded.warnings == ()
    assert path.read_text(encoding="utf-8").startswith(
        "# yaml-language-server: $schema=../hil_rigs/schema/rig.schema.json\n"
    )


def test_there_are_examples() -> None:
    assert {path.name for path in EXAMPLES} >= {
        "first_session.yaml",
        "eight_hours.yaml",
        "mqtt.yaml",
        "two_connectors.yaml",
        "real_hardware.yaml",
    }


def test_a_good_file_becomes_a_rig(tmp_path: Path) -> None:
    loaded = load_rig(write(tmp_path, GOOD))
    assert isinstance(loaded, RigFile)
    bus, meter = loaded.rig.resources["bus"], loaded.rig.resources["m1"]
    assert isinstance(bus, SerialResource)
    assert (bus.settings.baud, bus.settings.format) == (9600, "8N1")
    assert isinstance(meter, MeterResource)
    assert meter.unit == 1
    assert loaded.rig.sessions[0].charge_for_s == 20


def test_relative_paths_count_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rigs").mkdir()
    monkeypatch.chdir(tmp_path)
    text = changed(
        ("module: softhsm", "module: lib/p11.so, pin_file: secrets/pin, real: true"),
        ("  backends", "  journal: journal.db\n  backends"),
    )
    write(tmp_path / "rigs", text)
    loaded = load_rig(Path("rigs/bench.yaml"))
    token = loaded.rig.resources["hsm"]
    assert isinstance(token, Pkcs11Resource)
    assert token.module == str(tmp_path / "rigs/lib/p11.so")
    assert token.pin_file == tmp_path / "rigs/secrets/pin"
    assert loaded.rig.gateway.journal == str(tmp_path / "rigs/journal.db")


def test_a_gateway_signs_with_one_key(tmp_path: Path) -> None:
    second = """  soft: {kind: file_key}
  m2: {kind: meter, model: abb_b23, bus: bus, unit: 2}
  board2: {kind: charger, port: virtual}
gateway:"""
    line = '\n    - {id: "2", evse_id: "DE*PLB*E2", board: board2, meter: m2, signer: soft, max_current_a: 32}'
    text = changed(("gateway:", second), ("signer: hsm, max_current_a: 32}", "signer: hsm, max_current_a: 32}" + line))
    with pytest.raises(RigFileError, match=r'connectors\[1\]\.signer: expected "hsm"'):
        load_rig(write(tmp_path, text))


# Changes of GOOD (old => new; NOTHING takes it out), and below them the beginning of what is said about it.
MISTAKES = r"""
bus: bus => bus: buss
    5: resources.m1.bus: no resource "buss" (expected one of kind serial): did you mean "bus"?
bus: bus => bus: ev
    5: resources.m1.bus: "ev" is of kind vehicle, expected serial
meter: m1 => meter: m2
    13: gateway.connectors[0].meter: no resource "m2"
board: board => board: m1
    13: gateway.connectors[0].board: "m1" is of kind meter, expected charger
signer: hsm => signer: bus
    13: gateway.connectors[0].signer: "bus" is of kind serial, expected pkcs11 or file_key
backends: [cpo] => backends: [m1]
    15: gateway.backends[0]: "m1" is of kind meter, expected cpo.rest or cpo.mqtt
vehicle: ev => vehicle: ev2
    17: sessions[0].vehicle: no resource "ev2"
connector: "1" => connector: "2"
    17: sessions[0].connector: no connector "2": known: 1
eastron_sdm630 => eastron_sdm63
    5: resources.m1.model: no meter model "eastron_sdm63": did you mean "eastron_sdm630"?
unit: 1} => unit: 1, variant: x}
    5: resources.m1.variant: eastron_sdm630 has no variant "x"
unit: 1} => unit: 1}\n  m2: {kind: meter, model: abb_b23, bus: bus, unit: 1}
    6: resources.m2.unit: unit 1 on bus is taken, as m1
unit: 1} => unit: 0}
    5: resources.m1.unit: expected 1 to 247 on a serial line, found 0
bus: bus,  => NOTHING
    5: resources.m1: expected exactly one of bus (serial line) and host (Modbus TCP)
model: eastron_sdm630,  => NOTHING
    5: resources.m1: expected exactly one of model and model_file
unit: 1} => start_kwh: -1}
    5: resources.m1.start_kwh: expected 0 or more, found -1
port: virtual => port: /dev/serial/by-id/usb-x, real: true
baud: 9600} => baud: 9600}\n  b2: {kind: serial, port: /dev/serial/by-id/usb-x, real: true, baud: 9600}
    5: resources.b2.port: the port /dev/serial/by-id/usb-x has one owner; it is taken, as bus
max_current_a: 32 => max_current_a: 40
    13: gateway.connectors[0].max_current_a: 40 A is more than the 32 A of board
DE*PLB*E1 => DE*PLB*1
    13: gateway.connectors[0].evse_id: expected text like DE*PLB*E0001 (EVSE ID), found
port: virtual => port: /dev/ttyUSB0
    4: resources.bus: bus is hardware at /dev/ttyUSB0: say real: true
port: virtual => port: virtual, real: true
    4: resources.bus.real: real: true is not so: bus is virtual
port: virtual => port: /dev/x, real: true, external: true
    4: resources.bus.external: expected one of real and external
port: virtual => port: COM3
    4: resources.bus.port: expected text like virtual
unit: 1} => unit: 1, real: true}
    5: resources.m1.real: real: true is not so: m1 is virtual (simulated on bus, unit 1)
bus: bus => host: 192.0.2.1
    5: resources.m1: m1 is a device at 192.0.2.1:502: say real: true
module: softhsm => module: /opt/p11.so, pin_env: PIN
    6: resources.hsm: hsm is the token "gw" behind /opt/p11.so: say real: true
module: softhsm => module: /opt/p11.so, real: true
    6: resources.hsm: expected pin_file or pin_env
key: meter => key: meter, pin_env: PIN, pin_file: p
    6: resources.hsm: expected one of pin_file and pin_env, found both
mode: real => mode: virtual, start: 2026-03-29T00:55:00+01:00
port: virtual => port: /dev/serial/by-id/usb-x, real: true
    2: clock.mode: virtual time cannot hold for what is outside this process (bus is real: hardware at /dev/serial
mode: real => mode: virtual, start: 2026-03-29T00:55:00Z
kind: cpo.rest => kind: cpo.mqtt
    2: clock.mode: virtual time cannot hold for what is outside this process (cpo is external: a mosquitto process
mode: real => mode: virtual, start: 2026-03-29T00:55:00Z
kind: cpo.rest => kind: cpo.rest, url: "https://cpo.example"
    2: clock.mode: virtual time cannot hold for what is outside this process (cpo is external: the server at
mode: real => mode: virtual, start: 2026-03-29T00:55:00
    2: clock.start: expected a date and time with zone
mode: real => mode: virtual
    2: clock: "start" is missing
mode: real => mode: fast
    2: clock.mode: unknown mode "fast"
mode: real => mode: real, zone: Europe/Berlinn
    2: clock.zone: no zone "Europe/Berlinn"
charge_for_s: 20 => charge_for_s: 20, until_kwh: 3
    17: sessions[0]: expected exactly one of charge_for_s, until_kwh
, charge_for_s: 20 => NOTHING
    17: sessions[0]: expected exactly one of charge_for_s, until_kwh
kind: cpo.rest => kind: cpo.rest, bearer_env: T
    9: resources.cpo.bearer_env: the embedded one needs none
kind: cpo.rest => kind: cpo.rest, url: "http://"
    9: resources.cpo.url: expected text like embedded
kind: cpo.rest => kind: cpo.rest, url: "http://:80/"
    9: resources.cpo.url: expected a host in "http://:80/"
kind: cpo.rest => kind: cpo.rest, url: "http://a:b/"
    9: resources.cpo.url: not a URL
kind: cpo.rest => kind: cpo.rest, url: "http://a/", tls: true
    9: resources.cpo.tls: goes with url: embedded
kind: cpo.rest => kind: cpo.mqtt, username: u
    9: resources.cpo.username: the broker that the run starts needs none
kind: cpo.rest => kind: cpo.mqtt, topic: "a/#"
    9: resources.cpo.topic: expected text like plugbench
[{id: "04AABBCC"}] => [{id: "04AABBCC"}, {id: "04AABBCC"}]
    14: gateway.local_list[1].id: id "04AABBCC" stands here already, as entry 1 of the list
serial_number: GW => serial_number: "GW|1"
    11: gateway.serial_number: expected text like GW-0001, found the text "GW|1"
[cpo] => [cpo, cpo]
    15: gateway.backends[1]: "cpo" stands here already
"""


def mistakes() -> Iterator[tuple[list[tuple[str, str]], str]]:
    changes: list[tuple[str, str]] = []
    for line in MISTAKES.strip().splitlines():
        if line.startswith("    "):
            yield changes, line.strip()
            changes = []
        else:
            old, _, new = line.replace("\\n", "\n").partition(" => ")
            changes.append((old, new.replace("NOTHING", "")))


@pytest.mark.parametrize(("changes", "problem"), list(mistakes()))
def test_a_mistake_has_its_line(tmp_path: Path, changes: list[tuple[str, str]], problem: str) -> None:
    found = problems(tmp_path, changed(*changes))
    assert any(line.startswith(problem) for line in found), found


def test_sessions_that_overlap(tmp_path: Path) -> None:
    second = '  - {connector: "1", vehicle: ev, identification: "04AABBCC", plug_at_s: 10, until_soc: 90}\n'
    found = problems(tmp_path, GOOD + second)
    assert found == [
        "18: sessions[1].plug_at_s: connector 1 is still in the session that begins at 0 s",
        "18: sessions[1].plug_at_s: vehicle ev is still in the session that begins at 0 s",
    ]
    load_rig(write(tmp_path, GOOD + second.replace("plug_at_s: 10", "plug_at_s: 60")))


def test_two_connectors_share_nothing_that_has_one_owner(tmp_path: Path) -> None:
    twice = re.sub(r"(    - \{id.*\n)", r"\1\1", GOOD)
    assert [line.split(": ")[1] for line in problems(tmp_path, twice)] == [
        f"gateway.connectors[1].{key}" for key in ("id", "evse_id", "board", "meter")
    ]


@pytest.mark.parametrize("key", ["bearer", "password", "pin"])
def test_credentials_are_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    for change in (
        ("kind: cpo.rest", 'kind: cpo.rest, url: "https://me:tops3cret@cpo.example/"'),
        ("kind: cpo.rest", 'kind: cpo.mqtt, broker: "mqtts://me:tops3cret@cpo.example/"'),
        ("kind: cpo.rest", f"kind: cpo.rest, {key}: tops3cret"),
        ("kind: cpo.rest", f"kind: cpo.mqtt, {key}: tops3cret"),
        ("key: meter", "key: meter, pin: tops3cret"),
    ):
        found = problems(tmp_path, changed(change))
        assert found
        assert "tops3cret" not in "".join(found)


def test_what_is_allowed_but_rarely_meant_is_a_warning(tmp_path: Path) -> None:
    text = changed(
        ("  cpo: ", "  m9: {kind: meter, model: abb_b23, bus: bus, unit: 9}\n  cpo: "),
        ('identification: "04AABBCC"', 'identification: "04BBCCDD"'),
        ("  backends: [cpo]\n", ""),
    )
    text = text.replace('id: "04AABBCC"', 'id: "04aabbcc"')
    warnings = [str(warning).partition("bench.yaml:")[2] for warning in load_rig(write(tmp_path, text)).warnings]
    assert warnings == [
        "9: resources.m9: nobody uses it",
        "10: resources.cpo: nobody uses it",
        "11: gateway: no backends: signed values stay in the journal",
        '15: gateway.local_list[0].id: "04aabbcc" does not look like ISO14443: 4 or 7 or 10 octets in hexadecimal',
        '17: sessions[0].identification: "04BBCCDD" is not in gateway.local_list: the session will be refused',
    ]


def test_external_programs_say_so(tmp_path: Path) -> None:
    text = changed(("port: virtual", "port: /dev/pts/7, external: true"))
    loaded = load_rig(write(tmp_path, text))
    where = {line.name: (line.where, line.why) for line in describe(loaded.rig)}
    assert where["bus"] == ("external", "another program at /dev/pts/7")
    assert where["m1"] == ("external", "a device on bus, unit 1")
    assert where["ev"] == ("virtual", "simulated by this run")
    assert where["clock"] == ("real", "the machine's")


def test_the_description_has_a_row_for_each_resource(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, GOOD)).rig
    rows = description_table(rig).splitlines()
    assert [row.split()[0] for row in rows] == ["clock", *rig.resources]
    assert "a SoftHSM token made by this run" in rows[3]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RigFileError, match=r"none.yaml:0: cannot read it: No such file"):
        load_rig(tmp_path / "none.yaml")
    with pytest.raises(RigFileError, match="cannot read it: Is a directory"):
        load_rig(tmp_path)
    path = tmp_path / "bench.yaml"
    path.write_bytes(b"rig: a\nclock: \xff\n")
    with pytest.raises(RigFileError, match=r"bench.yaml:2: not UTF-8"):
        load_rig(path)
    path.write_bytes(b"#" * (MAX_OCTETS + 1))
    with pytest.raises(RigFileError, match="too many"):
        load_rig(path)
