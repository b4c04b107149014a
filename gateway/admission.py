"""Who may charge at a connector, and what stands in the way: local list, certificates, backends, the connector itself.

Backends may take their time: meanwhile nothing else waits, and everything is looked at once more after their word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gateway.authorisation import IdToken, LocalList, RefusedError
from gateway.backend_word import BackendWord
from gateway.connector import Connector
from gateway.journal import Journal
from gateway.ocsp_check import OcspCheck
from gateway.transaction import RESTING, Event, State
from ocmf.payload import PayloadError, User, check_user
from ocmf.terms import IdType, Level, Tx
from ports.authorisation import AuthorisationRequest, Authoriser
from ports.clock import Clock
from ports.contracts import CertificateStatusSource
from ports.trace import TraceEvent, Tracer

NOBODY = User(assigned=False)  # free charging: IS false, IL and IT NONE


class Admission:
    """Lets users in. connectors: all of the gateway, by name."""

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        local_list: LocalList,
        authorisers: Sequence[Authoriser],
        certificate_status: CertificateStatusSource | None,
        journal: Journal,
        clock: Clock,
        tracer: Tracer,
        list_at: int = 0,
    ) -> None:
        """list_at: how many of the authorisers are asked before the local list."""
        self._connectors = connectors
        self._local_list = local_list
        self._before_list = BackendWord(authorisers[:list_at], clock, tracer)
        self._after_list = BackendWord(authorisers[list_at:], clock, tracer)
        self._ocsp = OcspCheck(certificate_status, clock, tracer)
        self._journal = journal
        self._clock = clock
        self._tracer = tracer
        self._asking: dict[Connector, IdToken] = {}

    async def present(self, one: Connector, token: IdToken) -> None:
        """An identification at the station: begins a transaction, or ends the one that the same one began.

        Raises RefusedError.
        """
        with self._told(one):
            begun = one.machine.user
            if begun is not None:
                _check_same(one, token, begun)
                one.feed(Event.STOP, cause=Tx.END_LOCAL)
                return
            user = await self._wait(one, token, lambda: self._user(one, token, ()))
        self._let_in(one, user)

    async def present_contract(self, one: Connector, emaid: str, certificates: tuple[bytes, ...]) -> None:
        """A contract whose chain and signature the V2G session has verified; never a stop. Raises RefusedError."""
        token = IdToken(emaid, IdType.EMAID)
        with self._told(one):
            begun = one.machine.user
            if begun is not None:
                _check_same(one, token, begun)
                return
            user = await self._wait(one, token, lambda: self._contract_user(one, token, certificates))
        self._let_in(one, user)

    def admit(self, one: Connector, user: User) -> None:
        """A user who has been authorised elsewhere, or needs not to be. Raises RefusedError."""
        with self._told(one):
            if one.machine.user is not None:
                raise RefusedError(f"connector {one.name} is {one.machine.state}", Level.NONE, user.id)
            self._check_free(one, user.id)
            _check_form(user)
        self._let_in(one, user)

    async def _wait(self, one: Connector, token: IdToken, ask: Callable[[], Awaitable[User]]) -> User:
        """Ask while everything else goes on. Raises RefusedError also when the connector is no longer free then."""
        if not token.key[1]:
            raise RefusedError("an identification without a character", Level.INVALID)
        if one in self._asking:
            raise RefusedError(f"connector {one.name} already asks about another identification", Level.NONE, token.id)
        self._check_free(one, token.id)
        self._asking[one] = token
        try:
            user = await ask()
        finally:
            del self._asking[one]
        if one.machine.user is not None:
            raise RefusedError(f"somebody else was faster at connector {one.name}", Level.NONE, token.id)
        self._check_free(one, token.id)
        _check_form(user)
        return user

    async def _contract_user(self, one: Connector, token: IdToken, certificates: tuple[bytes, ...]) -> User:
        roots = one.setup.secc.contract_roots if one.setup.secc is not None else None
        await self._ocsp.check(one.name, certificates, roots, one.policy)
        return await self._user(one, token, certificates)

    async def _user(self, one: Connector, token: IdToken, certificates: tuple[bytes, ...]) -> User:
        """By the local list and the backends, in their order: whoever knows the identification decides."""
        request = AuthorisationRequest(
            one.name, one.setup.point_id, token.key[1], token.id_type.value, tuple(certificates)
        )
        deadline = self._clock.monotonic() + one.policy.authorise_s
        unknown: RefusedError | None = None
        if self._before_list:
            try:
                return await self._before_list.user(request, one.policy.authorise_s)
            except RefusedError as error:
                unknown = _unknown(error)
        try:
            found = self._local_list.check(token, self._clock.now())
        except RefusedError as error:
            of_the_list = _unknown(error)
            unknown = unknown or of_the_list
        else:
            return _by_contract(found) if certificates else found
        if self._after_list:
            return await self._after_list.user(request, deadline - self._clock.monotonic())
        raise unknown

    def _let_in(self, one: Connector, user: User) -> None:
        self._trace("session.authorised", one, id_type=user.id_type, level=user.level, flags=list(user.flags))
        one.authorise(user)

    def _check_free(self, one: Connector, id: str) -> None:  # noqa: A002 - as in IdToken
        """Everything but the identification that can stand in the way."""
        state = one.machine.state
        sharing = [
            other.name
            for other in self._connectors.values()
            if other is not one and other.setup.meter is one.setup.meter and other.machine.state not in RESTING
        ]
        unsigned = self._journal.unsigned()
        trouble = next((pending.error for pending in unsigned if pending.error is not None), None)
        reason = ""
        if state is State.FAULTED:
            reason = f"connector {one.name} is {state}: {', '.join(sorted(one.machine.faults))}"
        elif state not in RESTING:
            reason = f"connector {one.name} is {state}"
        elif sharing:
            reason = f"the meter of {one.name} counts for {', '.join(sharing)}"
        elif trouble is not None:
            reason = f"{len(unsigned)} records wait for the token: {trouble}"
        if reason := reason or self._journal.refusal():
            raise RefusedError(reason, Level.NONE, id)

    @contextmanager
    def _told(self, one: Connector) -> Iterator[None]:
        """Every refusal is traced."""
        try:
            yield
        except RefusedError as error:
            self._trace("session.refused", one, why=str(error), level=error.level, code=error.code)
            raise

    def _trace(self, kind: str, one: Connector, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "session", kind, one.name, data))


def _unknown(error: RefusedError) -> RefusedError:
    """The next one is asked; raised again when it is a no."""
    if error.level is not Level.UNKNOWN:
        raise error
    return error


def _check_same(one: Connector, token: IdToken, begun: User) -> None:
    """Only who began a transaction ends it; that needs no backend, and no list."""
    if (begun.id_type, begun.id) != token.key:
        raise RefusedError(
            f"another {begun.id_type} began the transaction at {one.name}; only that one ends it",
            Level.MISMATCH,
            token.id,
        )


def _check_form(user: User) -> None:
    """Who cannot stand in a record cannot charge."""
    try:
        check_user(user)
    except PayloadError as error:
        raise RefusedError(f"{user.id_type} {user.id}: {error}", Level.INVALID, user.id) from error


def _by_contract(user: User) -> User:
    """An entry of the list whose contract has been proven: not read from a card."""
    others = tuple(flag for flag in user.flags if not flag.startswith(("RFID_", "ISO15118_")))
    return replace(user, level=Level.SECURE, flags=("RFID_NONE", *others, "ISO15118_PNC"))
