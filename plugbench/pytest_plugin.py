"""pytest fixtures over a rig: `pytest --rig rigs/ci.yaml`. Without --rig the plugin does nothing and loads nothing.

With xdist each worker gets a network namespace of its own where the rig needs that and root allows it: --netns.

Fixtures: rig (a `hil_rigs.scenario.handle.RigHandle`, one for each test), station, vehicle, meter, token, backends,
faults, clock. Markers: claims("iso2", "pnc"): the test needs a rig that says it can; needs_real("meter"): a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
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
NETWORK = pytest.StashKey[str]()
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
    """--rig, --rig-seed, --evidence, --arm, --netns."""
    group = parser.getgroup("plugbench")
    group.addoption("--rig", metavar="FILE", help="rig file for the fixtures of plugbench")
    group.addoption("--rig-seed", metavar="N", type=int, help="seed of the rig's virtual time, instead of the file's")
    group.addoption("--evidence", metavar="DIR", help="keep what each test's rig leaves, in a folder for each test")
    group.addoption("--arm", action="store_true", help="let a rig with limits close its contactors")
    group.addoption(
        "--netns",
        choices=("auto", "always", "never"),
        default="auto",
        help="a network namespace for each worker of xdist (root only); auto: where the rig names interfaces that this "
        "machine has not: each worker then has its own, as a veth pair",
    )


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
    if _wants_network(config):
        _settle_network(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """What the rig is made of, in the JUnit file."""
    # the plugin behind record_testsuite_property, which says nothing in workers of xdist
    junit = next(
        (one for one in session.config.pluginmanager.get_plugins() if hasattr(one, "add_global_property")), None
    )
    if junit is None or RIG not in session.config.stash:
        return
    from hil_rigs.evidence.versions import versions
    from hil_rigs.reality import describe

    file, made_with = session.config.stash[RIG], versions()
    seed = session.config.getoption("--rig-seed")
    facts = {
        "rig": file.path,
        "rig name": file.rig.rig,
        "rig seed": file.rig.seed if seed is None else seed,
        "rig claims": " ".join(file.rig.claims),
        "plugbench": " ".join(filter(None, (made_with.plugbench, made_with.commit))),
    }
    facts |= {f"resource {line.name}": f"{line.kind}: {line.where}, {line.why}" for line in describe(file.rig)}
    for name, value in facts.items():
        junit.add_global_property(name, value)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A marker that is used wrongly is an error of usage, before anything runs."""
    if hasattr(config, "workerinput"):  # of xdist: said by each test, when its turn comes
        return
    for item in items:
        _check_markers(item)


def pytest_report_header(config: pytest.Config) -> str | None:
    """What came of --netns."""
    return config.stash.get(NETWORK, None)


def _wants_network(config: pytest.Config) -> bool:
    """Whether this is a run with workers, or one of them, and they are to be apart."""
    workers = hasattr(config, "workerinput") or getattr(config.option, "tx", None)
    wish, file = config.getoption("--netns"), config.stash.get(RIG, None)
    if not workers or wish == "never":
        return False
    if wish == "always" or file is None:
        return bool(wish == "always")
    from hil_rigs.worker_network import wants_own

    return wants_own(file.rig)


def _settle_network(config: pytest.Config) -> None:
    """A worker leaves for a namespace of its own; the one that starts them says whether they will, or why not."""
    from hil_rigs.worker_network import leave_for_own, why_not
    from ports.errors import RigError

    file = config.stash.get(RIG, None)
    if not hasattr(config, "workerinput"):
        why = why_not()
        config.stash[NETWORK] = (
            f"plugbench: workers share one network: {why}" if why else "plugbench: a network namespace for each worker"
        )
    elif not why_not():
        try:
            leave_for_own(None if file is None else file.rig)
        except RigError as error:
            config.stash[BROKEN] = str(error)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this rig cannot, and everything once the rig is broken."""
    _check_markers(item)
    for marker in item.iter_markers("claims"):
        _skip_unless_claimed(item, marker.args)
    for marker in item.iter_markers("needs_real"):
        _skip_unless_real(item, marker.args)
    if "rig" in getattr(item, "fixturenames", ()) and BROKEN in item.config.stash:
        pytest.skip(f"the rig is broken: {item.config.stash[BROKEN]}")


@pytest.fixture(scope="session")
def _rig_held(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """The rig is ours for the whole session; the yielded function checks that it still is."""
    if RIG not in request.config.stash:
        pytest.skip("no rig: pytest --rig FILE")
    from hil_rigs.locks.labgrid_place import LabgridPlace
    from hil_rigs.locks.rig_lock import rig_held
    from hil_rigs.real_clock import RealClock
    from ports.errors import RigError

    rig = request.config.stash[RIG].rig
    place = None if rig.place is None else LabgridPlace(rig.place.name, rig.place.coordinator)
    is_ours = False
    try:
        with rig_held(rig, RealClock()):
            is_ours = True
            yield (lambda: None) if place is None else place.check
    except RigError as error:
        if is_ours and BROKEN not in request.config.stash:
            raise  # lost when the last test was over
        if not is_ours:
            request.config.stash[BROKEN] = str(error)
            pytest.skip(f"the rig is broken: {error}")


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, _rig_held: Callable[[], None]) -> Iterator[RigHandle]:
    """The rig, up for this test. One that does not come up skips this test and all later ones, with its reason."""
    from hil_rigs.arming import armed
    from hil_rigs.evidence.of_test import finish_test, leave_records
    from hil_rigs.scenario.handle import open_handle
    from hil_rigs.trace_file import TraceFile
    from ports.errors import PeerError, RigError

    config = request.config
    file = config.stash[RIG]
    folder = _folder(config, request.node) or tmp_path
    handle, started = None, datetime.now().astimezone()  # says when, in the manifest: no protocol time
    keep = config.getoption("--evidence")
    arm = armed() if config.getoption("--arm") else nullcontext()
    with TraceFile(folder / "events.jsonl") as tracer, arm:
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


def _check_markers(item: pytest.Item) -> None:
    for name, form in (("claims", CLAIMS_FORM), ("needs_real", REAL_FORM)):
        for marker in item.iter_markers(name):
            if not marker.args or marker.kwargs or not all(isinstance(word, str) for word in marker.args):
                raise pytest.UsageError(f"{item.nodeid}: write the marker as {form}")
            if name == "needs_real" and (unknown := [word for word in marker.args if word not in KINDS]):
                raise pytest.UsageError(f"{item.nodeid}: {', '.join(unknown)} is none of {', '.join(KINDS)}: {form}")


def _skip_unless_claimed(item: pytest.Item, wanted: tuple[str, ...]) -> None:
    file = item.config.stash.get(RIG, None)
    claimed = [] if file is None else file.rig.claims
    if missing := [word for word in wanted if word not in claimed]:
        pytest.skip(f"the rig does not claim {', '.join(missing)}")


def _skip_unless_real(item: pytest.Item, wanted: tuple[str, ...]) -> None:
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
