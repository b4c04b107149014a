"""A virtual line in a process of its own: its timing does not suffer from what the program under test computes."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from hil_rigs.serial_line.faults import FaultPlan
from hil_rigs.serial_line.line import LineCounters
from hil_rigs.serial_line.virtual_line import VirtualLine
from ports.errors import LocalError, RigError
from ports.serial_line import LineDevice, SerialSettings

_START_S = 30.0  # a fresh interpreter on a small controller under load
_ANSWER_S = 10.0


class LineProcess:
    """`VirtualLine` with the same options, in a process of its own; use it as `with`.

    make_devices: a function at the top level of a module, called in the new process with `arguments`.
    options: those of `VirtualLine`; everything must be picklable.
    """

    def __init__(
        self,
        settings: SerialSettings,
        make_devices: Callable[..., Sequence[LineDevice]],
        arguments: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        self._start = (settings, make_devices, arguments, options)
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None

    @property
    def path(self) -> str:
        """What to open, as `VirtualLine.path`."""
        return str(self._ask("path"))

    @property
    def url(self) -> str:
        """As `VirtualLine.url`."""
        return "ptysim://" + self.path

    @property
    def counters(self) -> LineCounters:
        """What happened on the line so far."""
        counters = self._ask("counters")
        assert isinstance(counters, LineCounters)  # noqa: S101 - for the type checker
        return counters

    @property
    def lateness_s(self) -> list[float]:
        """As `VirtualLine.lateness_s`."""
        lateness = self._ask("lateness")
        assert isinstance(lateness, list)  # noqa: S101 - for the type checker
        return lateness

    def inject(self, fault: str, **how: Any) -> None:
        """As `FaultPlan.inject`; the line must have been given a FaultPlan as `faults`."""
        self._ask("inject", fault, how)

    def unplug(self, for_s: float | None = None, name: str | None = None) -> None:
        """As `VirtualLine.unplug`."""
        self._ask("unplug", for_s, name)

    def plug(self, name: str | None = None) -> None:
        """As `VirtualLine.plug`."""
        self._ask("plug", name)

    def start(self) -> None:
        """Start the process and wait until the line is up. Raises RigError with what went wrong in it."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, *self._start), name="serial line", daemon=True)
        self._process.start()
        other.close()
        self._take(_START_S)

    def close(self) -> None:
        """End the process. Raises RigError with what a device raised."""
        if self._process is None or self._pipe is None:
            return
        try:
            self._ask("close")
        finally:
            self._process.join(_ANSWER_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
            self._pipe.close()
            self._process = self._pipe = None

    def _ask(self, *request: object) -> object:
        if self._pipe is None:
            raise LocalError("the line's process is not started")
        try:
            self._pipe.send(request)
        except OSError:
            raise RigError("the line's process has ended") from None
        return self._take(_ANSWER_S)

    def _take(self, seconds: float) -> object:
        assert self._pipe is not None  # noqa: S101 - both callers have one
        try:
            if not self._pipe.poll(seconds):
                raise RigError(f"the line's process did not answer within {seconds:.0f} s")
            ok, value = self._pipe.recv()
        except (EOFError, OSError):
            raise RigError("the line's process has ended") from None
        if not ok:
            raise RigError(f"in the line's process: {value}")
        return value

    def __enter__(self) -> LineProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(
    pipe: Connection,
    settings: SerialSettings,
    make_devices: Callable[..., Sequence[LineDevice]],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    """The process: answers (True, value) or (False, traceback) until told to close or left alone."""
    try:
        line = VirtualLine(settings, make_devices(*arguments), **options)
        line.start()
    except Exception:  # noqa: BLE001 - told to the other end
        pipe.send((False, traceback.format_exc()))
        return
    pipe.send((True, None))
    plan = options.get("faults")
    commands: dict[str, Callable[..., object]] = {
        "path": lambda: line.path,
        "counters": lambda: line.counters,
        "lateness": lambda: list(line.lateness_s),
        "unplug": line.unplug,
        "plug": line.plug,
        "close": line.close,
        "inject": lambda fault, how: _inject(plan, fault, how),
    }
    name = ""
    while name != "close":
        try:
            name, *values = pipe.recv()
        except EOFError:  # whoever started us is gone
            line.close()
            return
        try:
            pipe.send((True, commands[name](*values)))
        except Exception:  # noqa: BLE001 - told to the other end
            pipe.send((False, traceback.format_exc()))


def _inject(plan: object, fault: str, how: dict[str, Any]) -> None:
    if not isinstance(plan, FaultPlan):
        raise LocalError("give the line a FaultPlan as `faults`, then inject into it")
    plan.inject(fault, **how)
