"""pytest fixtures over a rig: `pytest --rig rigs/ci.yaml`. Without --rig the plugin does nothing and loads nothing.

Fixtures: rig (a `hil_rigs.scenario.handle.RigHandle`, one for each test), station, vehicle, meter, token, backends,
faults, clock. Markers: claims("iso2", "pnc"): the test needs a rig that says it can; needs_real("meter"): a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hil_rigs.rig_file import RigFile
    from hil_rigs.scenario.handle import RigHandle

RIG = pytest.StashKey["RigFile"]()
BROKEN = pytest.StashKey[str]()
FAILURE = pytest.StashKey[str]()
CLAIMS_FORM = '@pytest.mark.claims("iso2", "pnc")'
REAL_FORM = '@pytest.mark.needs_real("meter")'
# what a marker says: how the kinds of its resources begin
KINDS = {
    "board": ("charger",),
    "meter": ("meter",),
    "token": ("pkcs11",),
    "vehicle": ("vehicle",),
    "backend": ("cpo", "csms", "pools", "operator"),
    "reader": ("reader",),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """--rig, --seed, --evidence."""
    group = parser.getgroup("plugbench")
    group.addoption("--rig", metavar="FILE", help="rig file for the fixtures of plugbench")
    group.addoption("--rig-seed", metavar="N", type=int, help="seed of the rig's virtual time, instead of the file's")
    group.addoption("--evidence", metavar="DIR", help="keep what each test's rig leaves, in a folder for each test")


def pytest_configure(config: pytest.Config) -> None:
    """Markers are known everywhere; the rig file is read once, when there is one."""
    config.addinivalue_line("markers", f"claims(name, ...): needs a rig that claims these: {CLAIMS_FORM}")
    config.addinivalue_line("markers", f"needs_real(kind, ...): needs real {', '.join(KINDS)}: {REAL_FORM}")
    path = config.getoption("--rig")
    if path:
        from hil_rigs.rig_file import load_rig
        from ports.errors import RigError

        try:
            config.stash[RIG] = load_rig(Path(path))
        except RigError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this rig cannot, and everything once the rig is broken."""
    for marker in item.iter_markers("claims"):
        _skip_unless_claimed(item, marker)
    for marker in item.iter_markers("needs_real"):
        _skip_unless_real(item, marker)
    if "rig" in getattr(item, "fixturenames", ()) and BROKEN in item.config.stash:
        pytest.skip(f"the rig is broken: {item.config.stash[BROKEN]}")


@pytest.fixture(scope="session")
def _rig_held(
    request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]
) -> Iterator[Callable[[], None]]:
    """The rig is ours for the whole session; the yielded function checks that it still is."""
    if RIG not in request.config.stash:
        pytest.skip("no rig: pytest --rig FILE")
    from hil_rigs.locks.labgrid_place import LabgridPlace
    from hil_rigs.locks.rig_lock import rig_held
    from hil_rigs.real_clock import RealClock
    from hil_rigs.reality import describe
    from ports.errors import RigError

    file = request.config.stash[RIG]
    rig = file.rig
    for name, value in (("rig", file.path), ("rig name", rig.rig), ("rig seed", rig.seed)):
        record_testsuite_property(name, value)
    for line in describe(rig):
        record_testsuite_property(f"resource {line.name}", f"{line.kind}: {line.where}, {line.why}")
    place = None if rig.place is None else LabgridPlace(rig.place.name, rig.place.coordinator)
    try:
        with rig_held(rig, RealClock()):
            yield (lambda: None) if place is None else place.check
    except RigError as error:
        request.config.stash[BROKEN] = str(error)
        pytest.skip(f"the rig is broken: {error}")


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, _rig_held: Callable[[], None]) -> Iterator[RigHandle]:
    """The rig, up for this test. One that does not come up skips this test and all later ones, with its reason."""
    from hil_rigs.evidence.of_test import finish_test, leave_records
    from hil_rigs.scenario.handle import open_handle
    from hil_rigs.trace_file import TraceFile
    from ports.errors import PeerError, RigError

    config = request.config
    file = config.stash[RIG]
    folder = _folder(config, request.node) or tmp_path
    handle, started = None, datetime.now().astimezone()  # says when, in the manifest: no protocol time
    keep = config.getoption("--evidence")
    with TraceFile(folder / "events.jsonl") as tracer:
        try:
            _rig_held()
            with open_handle(file, folder, seed=config.getoption("--rig-seed"), tracer=tracer) as handle:
                yield handle
                if keep:
                    leave_records(handle, folder)
        except (RigError, PeerError) as error:
            if handle is not None:
                raise
            config.stash[BROKEN] = str(error)
            pytest.skip(f"the rig is broken: {error}")
    if keep and handle is not None:
        sealed = finish_test(folder, handle, request.node.nodeid, request.node.stash.get(FAILURE, ""), started)
        request.node.user_properties.append(("evidence", f"{sealed.archive}, digest {sealed.digest}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """What ended a test, for its evidence."""
    if call.when == "call" and call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
        item.stash[FAILURE] = call.excinfo.exconly()
    return (yield)


@pytest.fixture
def station(rig: RigHandle) -> Any:
    """The gateway: `gateway.controller.Controller`."""
    return rig.bench.controller


@pytest.fixture
def vehicle(rig: RigHandle) -> Any:
    """The only vehicle of the rig: `firmware_sim.vehicle.simulated.SimulatedVehicle`."""
    return _only(rig.bench.plant.vehicles, "vehicle")


@pytest.fixture
def meter(rig: RigHandle) -> Any:
    """The only meter of the rig, as its driver shows it: `ports.meter.Meter`."""
    return _only(rig.bench.metering.meters, "meter")


@pytest.fixture
def token(rig: RigHandle) -> Any:
    """The signer: `ports.signer.Signer`."""
    return rig.bench.signer


@pytest.fixture
def backends(rig: RigHandle) -> Any:
    """What the gateway forwards to, and the servers of this run: `hil_rigs.wiring.cpo.Backends`."""
    return rig.bench.backends


@pytest.fixture
def faults(rig: RigHandle) -> Any:
    """Break something: faults("line.corrupt", times=3) returns the undo."""
    return rig.inject


@pytest.fixture
def clock(rig: RigHandle) -> Any:
    """The rig's clock: `ports.clock.Clock`."""
    return rig.clock


def _only(known: dict[str, Any], what: str) -> Any:
    if len(known) != 1:
        raise pytest.UsageError(f"the fixture {what} needs a rig with one of them; there are {', '.join(known)}")
    return next(iter(known.values()))


def _words(item: pytest.Item, marker: pytest.Mark, form: str) -> tuple[str, ...]:
    if not marker.args or marker.kwargs or not all(isinstance(word, str) for word in marker.args):
        raise pytest.UsageError(f"{item.nodeid}: write the marker as {form}")
    return marker.args


def _skip_unless_claimed(item: pytest.Item, marker: pytest.Mark) -> None:
    wanted = _words(item, marker, CLAIMS_FORM)
    file = item.config.stash.get(RIG, None)
    claimed = [] if file is None else file.rig.claims
    if missing := [word for word in wanted if word not in claimed]:
        pytest.skip(f"the rig does not claim {', '.join(missing)}")


def _skip_unless_real(item: pytest.Item, marker: pytest.Mark) -> None:
    wanted = _words(item, marker, REAL_FORM)
    if unknown := [word for word in wanted if word not in KINDS]:
        raise pytest.UsageError(f"{item.nodeid}: {', '.join(unknown)} is none of {', '.join(KINDS)}: {REAL_FORM}")
    file = item.config.stash.get(RIG, None)
    if missing := [word for word in wanted if file is None or not _is_real(file, word)]:
        pytest.skip(f"the rig has no real {', '.join(missing)}")


def _is_real(file: RigFile, word: str) -> bool:
    from hil_rigs.reality import describe

    return any(line.kind.startswith(KINDS[word]) and line.where != "virtual" for line in describe(file.rig))


def _folder(config: pytest.Config, item: pytest.Item) -> Path | None:
    evidence = config.getoption("--evidence")
    if not evidence:
        return None
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in item.nodeid)
    folder = Path(evidence) / name
    folder.mkdir(parents=True)
    return folder
