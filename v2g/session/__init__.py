"""Charging sessions as state machines: `Secc` (station) and `Evcc` (vehicle), for DIN SPEC 70121 and ISO 15118-2.

    secc = Secc(station, now=clock.monotonic(), tls=True)
    for event in secc.receive(octets, clock.monotonic()): ...

No socket, no clock, no task: octets in, events out (`v2g.session.events`). Call `update` when `deadline` is reached or
something changed outside, `closed` when the connection is gone.
"""
