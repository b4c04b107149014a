"""What an embedded CSMS knows by itself: its `cards`, or those of the rig's local list where nobody else could say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.authorisation import IdToken
from hil_rigs.resources import CsmsResource, HubResource, MoResource, VehicleResource
from hil_rigs.resources.csms import KnownCard
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig
from hil_rigs.rig_references import LOCAL, Finding
from ports.authorisation import AuthorisationStatus

if TYPE_CHECKING:  # imported where there is a CSMS: a rig without starts faster
    from backends.operators.cpo.authorisation import LocalList


def operators_of(rig: Rig, csms: CsmsResource) -> list[str]:
    """Who is asked first: who gets the bills says who may charge; without anybody, whoever there is."""
    found = [name for kind in (MoResource, HubResource) for name, one in rig.resources.items() if isinstance(one, kind)]
    return csms.bills_to or found


def known_cards(rig: Rig, csms: CsmsResource) -> list[KnownCard]:
    """`cards` as given; without them and without an operator: whom the station lets in by its own list."""
    if csms.cards is not None:
        return csms.cards
    return [] if operators_of(rig, csms) else [KnownCard(id=_key(entry.id)) for entry in rig.gateway.local_list]


def cards_of(rig: Rig, csms: CsmsResource) -> LocalList | None:
    """The same as an authoriser; None when it knows nobody."""
    from backends.operators.cpo.authorisation import LocalList

    cards = known_cards(rig, csms)
    known = {_key(card.id): AuthorisationStatus(card.status) for card in cards}
    types = {_key(card.id): card.type for card in cards if card.type is not None}
    return LocalList(known, "cards", types) if cards else None


def repeated_cards(rig: Rig) -> Iterator[Finding]:
    """A CSMS has one word on each card."""
    for name, one in rig.resources.items():
        if not isinstance(one, CsmsResource):
            continue
        keys = [_key(card.id) for card in one.cards or ()]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                where = ("resources", name, "cards", number, "id")
                yield where, f'"{key}" stands here already, as entry {keys.index(key) + 1} of the list'


def unknown_cards(rig: Rig) -> Iterator[Finding]:
    """May be a mistake: cards that the station lets in, and that its CSMS has never heard of; a list nobody reads."""
    gateway = rig.gateway
    embedded = [
        (name, one)
        for name, one in rig.resources.items()
        if isinstance(one, CsmsResource) and one.url == EMBEDDED and name in (*gateway.backends, *gateway.authorisers)
    ]
    read = LOCAL in gateway.authorisers or any(one.cards is None and not operators_of(rig, one) for _, one in embedded)
    if gateway.local_list and not read:
        yield ("gateway", "local_list"), 'nobody reads it: gateway.authorisers does not name "local"'
    contracts = {_key(one.emaid) for one in rig.resources.values() if isinstance(one, VehicleResource)}
    for name, csms in embedded:
        if csms.cards is not None or not operators_of(rig, csms) or LOCAL not in gateway.authorisers:
            continue
        for number, entry in enumerate(gateway.local_list):
            if _key(entry.id) not in contracts:
                text = f'{name} and its operators do not know "{entry.id}": its transactions are stopped at once'
                yield ("gateway", "local_list", number, "id"), f"{text}; {name}.cards can name it"


def _key(id: str) -> str:  # noqa: A002 - as in IdToken
    return IdToken(id).key[1]
