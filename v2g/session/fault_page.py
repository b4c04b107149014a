"""Writes the table of faults: python -m v2g.session.fault_page docs/session-faults.md."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import msgspec

from v2g.session.fault import Fault
from v2g.session.faults import FAULTS

_HEAD = """# Faults of charging sessions

What a rig may do to the messages of either side. Written from `v2g/session/faults.py` by
`python -m v2g.session.fault_page docs/session-faults.md`; do not edit by hand.

Every fault names a `message` (`"*"`: any), `nth`, the first one it strikes, counted from 1 (default 1), and `times`,
how many it strikes (default 1, 0 = all from there on). Unless `sign` is set, a signature stays as it was. A delay is
borne as long as the other side waits: 2 s for most messages, 5 s or 0.25 s for some ([table](v2g-link.md)).

```yaml
- {fault: drop, message: CurrentDemandRes, nth: 5}
- {fault: replace field, message: PowerDeliveryReq, field: Body.BodyElement.SAScheduleTupleID, value: 9}
```

| fault | what it does | keys, with defaults |
| --- | --- | --- |
"""


def fault_page() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(f"| `{name}` | {_text(kind)} | {_keys(kind)} |\n" for name, kind in FAULTS.items())


def _text(kind: type[Fault]) -> str:
    return " ".join((inspect.getdoc(kind) or "").split()).replace("|", "\\|")


def _keys(kind: type[Fault]) -> str:
    common = {field.name for field in msgspec.structs.fields(Fault)}
    own = [field for field in msgspec.structs.fields(kind) if field.name not in common]
    shown = [f"`{f.name}`" if f.required else f"`{f.name}: {_value(f.default)}`" for f in own]
    return ", ".join(shown) or "none"


def _value(default: object) -> str:
    return "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(fault_page(), encoding="utf-8")
