"""EXI codec against the EXI path of PyPI iso15118 0.31.2 (py4j, EXICodec.jar), in its own environment, in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from v2g.exi import codec
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_common_types import types as common_types
from v2g.exi.generated.iso20_dc import types as dc
from v2g.exi.json_form import to_json
from v2g.exi.schemas import SchemaSet, schema

if TYPE_CHECKING:
    from benchmarks.report import Report
    from v2g.exi.element import Element

TITLE = "EXI codec: encode, decode, memory, start and linearity, against py4j and EXICodec.jar"
HOME = Path(__file__).parents[1] / ".peers" / "iso15118"
ROUNDS = 7
OUR_SECONDS = 0.02  # per round and task
THEIR_CALLS = 12
CHARGE_LOOP, CHECKED, CERTIFICATES = 800, 400, 100
IMPORT = "import time; t = time.process_time(); from v2g.exi import codec; from v2g.exi.generated.sap import roots; "
IMPORT += "from v2g.exi.generated.iso2 import roots; print(time.process_time() - t)"


class Peer:
    """The other codec's process."""

    def __enter__(self) -> Self:
        python = HOME / "venv/bin/python"
        if not (HOME / "ready").exists():
            venv.create(HOME / "venv", with_pip=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", "iso15118==0.31.2", "aiofile"], check=True)
            (HOME / "ready").touch()
        script = Path(__file__).with_name("peers") / "iso15118_exi.py"
        self.process = subprocess.Popen(
            [str(python), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()

    def ask(self, **task: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def seconds(call: Callable[[], object]) -> float:
    """Seconds per call over OUR_SECONDS."""
    begin, count = time.perf_counter(), 0
    while (now := time.perf_counter()) - begin < OUR_SECONDS:
        for _ in range(20):
            call()
        count += 20
    return (now - begin) / count


def run(report: Report) -> None:
    """Print the ratios and figures."""
    started = time.perf_counter()
    with Peer() as peer:
        for name, (message, floor) in messages().items():
            report.progress(name)
            compare(report, peer, name, message, floor)
        theirs = peer.ask(task="memory")["octets"]
    report.ratio("memory of the process, ours / theirs with its JVM", our_memory(), theirs, ceiling=0.2)
    start(report)
    linearity(report)
    report.value("benchmark", time.perf_counter() - started, "s")


def compare(report: Report, peer: Peer, name: str, message: Element, floor: int) -> None:
    """Both codecs on one message, rounds interleaved; the results must be the same."""
    name_of_set = codec.schema_of(message)
    namespace, octets, text = schema(name_of_set).namespace, codec.encode(message), json.dumps(to_json(message))
    assert peer.ask(task="encode", namespace=namespace, message=text, repeat=3)["result"] == octets.hex()
    # its JSON has other forms of some values: compared as what it encodes to
    shown = peer.ask(task="decode", namespace=namespace, message=octets.hex(), repeat=3)["result"]
    assert peer.ask(task="encode", namespace=namespace, message=shown, repeat=1)["result"] == octets.hex()
    ours: dict[str, Callable[[], object]] = {
        "encode": lambda: codec.encode(message, check=False),
        "encode, limits checked": lambda: codec.encode(message),
        "decode": lambda: codec.decode(name_of_set, octets, check=False),
        "decode, limits checked": lambda: codec.decode(name_of_set, octets),
    }
    times: dict[str, list[float]] = {task: [] for task in (*ours, "their encode", "their decode")}
    for _ in range(ROUNDS):
        for task, call in ours.items():
            times[task].append(seconds(call))
        for task, sent in (("encode", text), ("decode", octets.hex())):
            answer = peer.ask(task=task, namespace=namespace, message=sent, repeat=THEIR_CALLS)
            times[f"their {task}"].append(answer["seconds"])
    median = {task: statistics.median(found) for task, found in times.items()}
    for task in ours:
        theirs = median[f"their {task.partition(',')[0]}"]
        wanted = floor if "checked" not in task or floor < CHECKED else CHECKED
        report.ratio(f"{name} {task}", 1 / median[task], 1 / theirs, floor=wanted, detail=f"{len(octets)} octets")


def our_memory() -> int:
    """Resident octets of a process that does the same work with our codec."""
    code = (
        "import benchmarks.exi as b; from pathlib import Path\n"
        "for message, _ in b.messages().values():\n"
        "    for _ in range(200): b.codec.decode(b.codec.schema_of(message), b.codec.encode(message))\n"
        "print([l.split()[1] for l in Path('/proc/self/status').read_text().splitlines() if l.startswith('VmRSS')][0])"
    )
    return 1024 * int(python(code))


def start(report: Report) -> None:
    """How long the handshake and -2 take to be there."""
    times = [float(python(IMPORT)) for _ in range(ROUNDS)]
    report.ratio("import of SAP and -2 / 100 ms", statistics.median(times), 0.1, ceiling=1.0)


def linearity(report: Report) -> None:
    """Time per octet of long messages against short ones."""
    short, long = schedules(1, 100), schedules(3, 1024)
    sizes = {name: len(codec.encode(message)) for name, message in (("short", short), ("long", long))}
    streams = {"short": codec.encode(short), "long": codec.encode(long)}
    calls: dict[str, dict[str, Callable[[], object]]] = {
        "encode": {"short": lambda: codec.encode(short), "long": lambda: codec.encode(long)},
        "decode": {
            "short": lambda: codec.decode(SchemaSet.ISO2, streams["short"]),
            "long": lambda: codec.decode(SchemaSet.ISO2, streams["long"]),
        },
    }
    for task, pair in calls.items():
        times: dict[str, list[float]] = {"short": [], "long": []}
        for _ in range(ROUNDS):
            for name, call in pair.items():
                times[name].append(seconds(call) / sizes[name])
        median = {name: statistics.median(found) for name, found in times.items()}
        detail = f"{sizes['long']} octets against {sizes['short']}"
        report.ratio(
            f"{task}: time per octet, long / short", median["long"], median["short"], ceiling=1.5, detail=detail
        )


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def messages() -> dict[str, tuple[Element, int]]:
    """Message by name, and the floor of its ratio."""
    status = iso2.DC_EVStatusType(EVReady=True, EVErrorCode="NO_ERROR", EVRESSSOC=43)
    evse = iso2.DC_EVSEStatusType(
        NotificationMaxDelay=0, EVSENotification="None", EVSEIsolationStatus="Valid", EVSEStatusCode="EVSE_Ready"
    )

    def value(unit: iso2.unitSymbolType, number: int, multiplier: int = 0) -> iso2.PhysicalValueType:
        return iso2.PhysicalValueType(Multiplier=multiplier, Unit=unit, Value=number)

    def rational(number: int, exponent: int = 0) -> common_types.RationalNumberType:
        return common_types.RationalNumberType(Exponent=exponent, Value=number)

    request = iso2.CurrentDemandReqType(
        DC_EVStatus=status,
        EVTargetCurrent=value("A", 123),
        EVMaximumVoltageLimit=value("V", 450),
        EVMaximumCurrentLimit=value("A", 200),
        ChargingComplete=False,
        RemainingTimeToFullSoC=value("s", 1800),
        RemainingTimeToBulkSoC=value("s", 900),
        EVTargetVoltage=value("V", 398),
    )
    response = iso2.CurrentDemandResType(
        ResponseCode="OK",
        DC_EVSEStatus=evse,
        EVSEPresentVoltage=value("V", 398),
        EVSEPresentCurrent=value("A", 122),
        EVSECurrentLimitAchieved=False,
        EVSEVoltageLimitAchieved=False,
        EVSEPowerLimitAchieved=False,
        EVSEMaximumVoltageLimit=value("V", 500),
        EVSEMaximumCurrentLimit=value("A", 250),
        EVSEMaximumPowerLimit=value("W", 1000, 2),
        EVSEID="DE*PLB*E1234",
        SAScheduleTupleID=1,
    )
    loop = dc.DC_ChargeLoopReqType(
        Header=common_types.MessageHeaderType(SessionID=bytes(range(8)), TimeStamp=1795146123),
        DisplayParameters=common_types.DisplayParametersType(PresentSOC=43, ChargingComplete=False),
        MeterInfoRequested=False,
        EVPresentVoltage=rational(400),
        CLReqControlMode=dc.Scheduled_DC_CLReqControlModeType(
            EVTargetCurrent=rational(20, 1), EVTargetVoltage=rational(40, 1)
        ),
    )
    return {
        "CurrentDemandReq": (message(request), CHARGE_LOOP),
        "CurrentDemandRes": (message(response), CHARGE_LOOP),
        "-20 DC_ChargeLoopReq": (loop, CHARGE_LOOP),
        "ChargeParameterDiscoveryRes": (schedules(1, 1), CHECKED),
        "CertificateInstallationRes": (installation(), CERTIFICATES),
    }


def message(body: iso2.BodyBaseType) -> iso2.V2G_Message:
    return iso2.V2G_Message(
        Header=iso2.MessageHeaderType(SessionID=bytes(range(8))), Body=iso2.BodyType(BodyElement=body)
    )


def installation() -> iso2.V2G_Message:
    """Two chains of three certificates of 650 octets."""
    certificate = bytes(range(250)) * 2 + bytes(150)
    chain = iso2.CertificateChainType(
        Id="id1", Certificate=certificate, SubCertificates=iso2.SubCertificatesType(Certificate=[certificate] * 2)
    )
    return message(
        iso2.CertificateInstallationResType(
            ResponseCode="OK",
            SAProvisioningCertificateChain=iso2.CertificateChainType(
                Certificate=certificate, SubCertificates=iso2.SubCertificatesType(Certificate=[certificate] * 2)
            ),
            ContractSignatureCertChain=chain,
            ContractSignatureEncryptedPrivateKey=iso2.ContractSignatureEncryptedPrivateKeyType(
                Id="id2", value=bytes(48)
            ),
            DHpublickey=iso2.DiffieHellmanPublickeyType(Id="id3", value=bytes(65)),
            eMAID=iso2.EMAIDType(Id="id4", value="DEABCC123ABC56"),
        )
    )


def schedules(tuples: int, entries: int) -> iso2.V2G_Message:
    """ChargeParameterDiscoveryRes with schedules of that many entries."""

    def value(unit: iso2.unitSymbolType, number: int) -> iso2.PhysicalValueType:
        return iso2.PhysicalValueType(Multiplier=0, Unit=unit, Value=number)

    schedule = iso2.PMaxScheduleType(
        PMaxScheduleEntry=[
            iso2.PMaxScheduleEntryType(
                TimeInterval=iso2.RelativeTimeIntervalType(start=300 * number), PMax=value("W", 11000 + number)
            )
            for number in range(entries)
        ]
    )
    status = iso2.DC_EVSEStatusType(NotificationMaxDelay=0, EVSENotification="None", EVSEStatusCode="EVSE_Ready")
    return message(
        iso2.ChargeParameterDiscoveryResType(
            ResponseCode="OK",
            EVSEProcessing="Finished",
            SASchedules=iso2.SAScheduleListType(
                SAScheduleTuple=[
                    iso2.SAScheduleTupleType(SAScheduleTupleID=number + 1, PMaxSchedule=schedule)
                    for number in range(tuples)
                ]
            ),
            EVSEChargeParameter=iso2.DC_EVSEChargeParameterType(
                DC_EVSEStatus=status,
                EVSEMaximumCurrentLimit=value("A", 250),
                EVSEMaximumPowerLimit=value("W", 32000),
                EVSEMaximumVoltageLimit=value("V", 500),
                EVSEMinimumCurrentLimit=value("A", 1),
                EVSEMinimumVoltageLimit=value("V", 150),
                EVSEPeakCurrentRipple=value("A", 2),
            ),
        )
    )
