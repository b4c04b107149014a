"""What a backend may ask of a station: begin and end transactions from afar."""

from __future__ import annotations

from gateway.admission import Admission
from gateway.authorisation import IdToken, RefusedError
from gateway.connector import Connector
from gateway.station_news import StationNews
from gateway.transaction import Event, State
from ocmf.payload import User
from ocmf.terms import IdType, Level, Tx
from ports.station import RemoteAnswer

REMOTE_FLAGS = frozenset({"OCPP_RS", "OCPP_RS_TLS"})  # OCMF 1.4.1 table 14


class RemoteControl:
    """Refusals are answers, never errors."""

    def __init__(self, news: StationNews, admission: Admission) -> None:
        self._news = news
        self._admission = admission

    def start(self, number: int | None, id: str, id_type: str, flag: str) -> RemoteAnswer:  # noqa: A002 - as the port
        """Somebody may charge: level TRUSTED, since the backend knows who asked (OCMF 1.4.1 table 11)."""
        one = self._waiting() if number is None else self._news.numbered(number)
        if one is None:
            why = "no connector is plugged in and free" if number is None else f"there is no connector {number}"
            return RemoteAnswer(False, detail=why)
        if flag not in REMOTE_FLAGS:
            return RemoteAnswer(False, detail=f"flag {flag!r} is not one of {', '.join(sorted(REMOTE_FLAGS))}")
        if id_type not in tuple(IdType):
            return RemoteAnswer(False, detail=f"OCMF has no identification of type {id_type!r}")
        token = IdToken(id, IdType(id_type))
        user = User(
            assigned=True, level=Level.TRUSTED, flags=("RFID_NONE", flag), id_type=token.id_type, id=token.key[1]
        )
        try:
            self._admission.admit(one, user)
        except RefusedError as error:
            return RemoteAnswer(False, detail=str(error))
        return RemoteAnswer(True)

    def stop(self, transaction_id: str, why: str = "") -> RemoteAnswer:
        """End a transaction; harmless when it is ending already. why: for traces."""
        for one in self._news.followed():
            if one.transaction is not None and one.transaction.transaction_id == transaction_id:
                one.feed(Event.STOP, cause=Tx.END_REMOTE, why=why)
                return RemoteAnswer(True, transaction_id)
        return RemoteAnswer(False, detail=f"there is no open transaction {transaction_id}")

    def _waiting(self) -> Connector | None:
        return next((one for one in self._news.followed() if one.machine.state is State.PLUGGED), None)
