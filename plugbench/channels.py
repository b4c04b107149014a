"""`plugbench channels`: what patterns of scenarios can name: channels, their events, and the fields of those."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil_rigs.scenario.message_fields import Fields

MANY = 24  # fields, are shown only when a name is asked for


def add_commands(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("channels", help="list what a scenario can look for: channels, events, fields")
    parser.add_argument("channel", nargs="?", default="", help="wire.v2g, session, store ...")
    parser.add_argument("name", nargs="?", default="", help="of an event or a message: SessionStopRes, state ...")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """List; 0, or 2 for a name that nothing has."""
    from hil_rigs.scenario.channels import CHANNELS
    from hil_rigs.scenario.vocabulary import fields_of, names_of, read_pattern
    from ports.errors import LocalError

    if not args.channel:
        for channel, meaning in CHANNELS.items():
            print(json.dumps({"channel": channel, "meaning": meaning}) if args.json else f"{channel:<12} {meaning}")
        return 0
    try:
        read_pattern(f"{args.channel} {args.name or '*'}")
    except ValueError as error:
        raise LocalError(str(error)) from None
    for name in [args.name] if args.name else names_of(args.channel):
        fields = fields_of(args.channel, name)
        if fields is None:
            continue
        if args.json:
            values = {field: sorted(each) for field, each in sorted(fields.values.items())}
            print(json.dumps({"channel": args.channel, "name": name, "fields": _written(fields), "values": values}))
        elif len(fields.names) > MANY and not args.name:
            print(f"{name}: {len(fields.names)} fields: plugbench channels {args.channel} {name}")
        else:
            print(f"{name}: {' '.join(_written(fields)) or 'no fields'}")
            for field, words in sorted(fields.values.items()) if args.name else ():
                print(f"  {field}: {', '.join(sorted(words))}")
    return 0


def _written(fields: Fields) -> list[str]:
    """As the table has them: a list with its length, and ... where there may be others."""
    names = [f"{name}[{fields.lists[name]}]" if name in fields.lists else name for name in sorted(fields.names)]
    return [*names, *(["..."] if fields.is_open else [])]
