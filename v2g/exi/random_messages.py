"""Random messages that keep every rule of their schema, for tests of codecs and peers, and how much they covered."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import combinations_with_replacement
from random import Random
from typing import TYPE_CHECKING, Any

from v2g.exi.grammar import EE_TEXT, Complex, Production, Simple, productions
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar, message_class, schema

if TYPE_CHECKING:
    from v2g.exi.grammar import Root, Step

# text of one to four octets in UTF-8, without what XML would change
ALPHABET = "ABCabc019-_.:/#" * 4 + "äß€漢😀&<>'\""
# how deep a full list may stand, and how often lists are full
FULL_LIST = 0.02
LONG_LIST = 64
# types with more combinations of optional fields are not enumerated
MANY = 600


class RandomMessages:
    """Makes messages of one schema set; the same seed gives the same messages."""

    def __init__(self, schema_set: SchemaSet, seed: int, *, ascii_only: bool = False, empty: bool = False) -> None:
        self.schema = schema(schema_set)
        self.random = Random(seed)  # noqa: S311 - test data
        self.alphabet = ALPHABET[:60] if ascii_only else ALPHABET
        self.empty = empty
        self.taken: dict[str, set[tuple[int, int, Production]]] = defaultdict(set)
        self.combinations: dict[str, set[frozenset[str]]] = defaultdict(set)
        self.turn: dict[str, int] = defaultdict(int)
        self.budget = 0
        self.fill = False

    def document(self) -> tuple[str, Any]:
        """(root element, message); V2G_Message most of the time where the schema set has it."""
        roots = [root for root in self.schema.documents if _makes_message(root)]
        main = [root for root in roots if root.name == "V2G_Message"]
        root = main[0] if main and self.random.random() < 0.9 else self.random.choice(roots)
        return root.name, self.value(root.types[0])

    def fragment(self) -> tuple[Root, Any]:
        """(element, message or simple value) of any element that the schema set declares."""
        roots = [root for root in self.schema.fragments if not _impossible(root.types[-1])]
        root = self.random.choice(roots)
        return root, self.value(root.types[-1])

    def value(self, key: str) -> Any:
        """A value of a type."""
        self.budget = 400
        return self._value(key)

    def full(self, key: str) -> Any:
        """A value of a type whose lists are full."""
        self.budget, self.fill = 1 << 30, True
        value = self._value(key)
        self.fill = False
        return value

    @staticmethod
    def can_be_valid(key: str) -> bool:
        """Whether a valid message can have a value of this type: abstract types and wildcards rule it out."""
        return not _impossible(key)

    def _value(self, key: str) -> Any:
        kind = grammar(key)
        return self._simple(kind) if isinstance(kind, Simple) else self._complex(kind)

    def _complex(self, kind: Complex) -> Any:
        values: dict[str, Any] = {step.field: [] if step.many else None for step in kind.steps if step.field}
        wanted = self._wanted(kind)
        state = count = 0
        self.budget -= 1
        repeat = self._repeats(kind.steps[0]) if kind.steps else 0
        while True:
            found = productions(kind, state, count)
            chosen = self._choose(kind, found, wanted, state, repeat - count)
            self.taken[kind.key].add((state, min(count, 2), chosen))
            if chosen.step == len(kind.steps):
                break
            step = kind.steps[chosen.step]
            value = self._value(step.members[chosen.member].type)
            if step.many:
                values[step.field].append(value)
            else:
                values[step.field] = value
            if state == chosen.step + 1:
                count += 1
            else:
                count, repeat = 1, self._repeats(step)
            state = chosen.step + 1
        self.combinations[kind.key].add(frozenset(field for field, value in values.items() if value not in (None, [])))
        return message_class(kind.key)(**values)

    def _wanted(self, kind: Complex) -> set[int]:
        """Which optional steps to take this time: all combinations in turn, in an order that mixes them."""
        if self.budget < 0:
            return set()
        turn = self.turn[kind.key]
        self.turn[kind.key] += 1
        every = _mixed_combinations(kind)
        if every:
            fields = every[turn % len(every)]
            return {number for number, step in enumerate(kind.steps) if step.field in fields}
        optional = [number for number, step in enumerate(kind.steps) if not step.required and step.field]
        if turn % 2:  # every pair of neighbours, then random sets
            pairs = [set(pair) for pair in combinations_with_replacement(optional, 2)]
            return pairs[turn // 2 % len(pairs)]
        density = self.random.choice((0.05, 0.2, 0.5, 0.8))
        return {number for number in optional if self.random.random() < density}

    def _repeats(self, step: Step) -> int:
        """How long a list gets."""
        low = max(step.low, 1)
        high = step.high or 5
        if not step.many or self.budget < 0:
            return low
        if self.fill:
            return high
        if self.random.random() < (FULL_LIST if high <= LONG_LIST else FULL_LIST / 20):
            self.budget -= high
            return self.random.choice((high - 1, high))
        return self.random.randint(low, min(high, low + 2))

    def _choose(self, kind: Complex, found: list[Production], wanted: set[int], state: int, left: int) -> Production:
        steps = kind.steps
        usable = [
            production
            for production in found
            if production.step == len(steps)
            or (production.step != EE_TEXT and steps[production.step].field and not _hidden(steps, production))
        ]
        again = [production for production in usable if production.step == state - 1]
        if again and left > 0:
            return self.random.choice(again)
        others = [production for production in usable if production.step >= state]
        for production in others:
            step = production.step
            if step == len(steps) or steps[step].required or step in wanted:
                return self.random.choice([other for other in others if other.step == step])
        return self.random.choice(others or usable)

    def _simple(self, simple: Simple) -> Any:
        random = self.random
        match simple.kind:
            case "enumeration":
                return random.choice(simple.values)
            case "boolean":
                return random.random() < 0.5
            case "string" | "hex" | "base64":
                return self._octets_or_text(simple)
        low = simple.low if simple.low is not None else -(2 ** random.choice((8, 40, 70)))
        high = simple.high if simple.high is not None else 2 ** random.choice((8, 40, 160))
        near = random.choice((0, 1, 127, 128, 16383, 16384, low, high, low + 1, high - 1, -1, -128, -129))
        if random.random() < 0.4 and low <= near <= high:
            return near
        return random.randint(low, high)

    def _octets_or_text(self, simple: Simple) -> Any:
        random = self.random
        low = simple.min_length if self.empty else max(simple.min_length, 1)
        high = simple.max_length if simple.max_length is not None else random.choice((8, 300))
        size = random.randint(low, min(high, low + 12))
        if random.random() < 0.1:
            size = random.choice((low, high))
        if simple.kind == "string":
            return "".join(random.choices(self.alphabet, k=size))
        return random.randbytes(size)

    def coverage(self) -> dict[str, tuple[int, int]]:
        """(reached, possible) message types, productions of all states, and combinations of optional fields.

        Types with more than MANY combinations are counted by their productions alone, which are every pair of
        neighbouring fields.
        """
        kinds = [complex_grammar(key) for key in self.reachable()]
        possible = {kind.key: _all_productions(kind) for kind in kinds}
        combinations = {kind.key: optional_combinations(kind) for kind in kinds}
        combinations = {key: every for key, every in combinations.items() if len(every) <= MANY}
        seen = {key: {(state, production) for state, _, production in taken} for key, taken in self.taken.items()}
        return {
            "types": (sum(kind.key in self.taken for kind in kinds), len(kinds)),
            "productions": (
                sum(len(seen.get(key, set()) & every) for key, every in possible.items()),
                sum(map(len, possible.values())),
            ),
            "combinations": (
                sum(len(self.combinations[key] & every) for key, every in combinations.items()),
                sum(map(len, combinations.values())),
            ),
        }

    def reachable(self) -> list[str]:
        """The complex types that documents of the schema set can contain."""
        todo = [root.types[0] for root in self.schema.documents if _makes_message(root)]
        seen: set[str] = set()
        while todo:
            key = todo.pop()
            kind = grammar(key)
            if key in seen or not isinstance(kind, Complex) or _impossible(key):
                continue
            seen.add(key)
            todo += [member.type for step in kind.steps for member in step.members]
        return sorted(seen)


def optional_combinations(kind: Complex) -> set[frozenset[str]]:
    """All sets of fields that an instance can have; more than MANY are not looked for."""
    end = len(kind.steps)
    reached: dict[int, set[frozenset[str]]] = {0: {frozenset()}}
    complete: set[frozenset[str]] = set()
    # states only lead forward, apart from lists, which add no field
    for state in range(len(kind.states)):
        for fields in reached.pop(state, set()):
            for number in kind.states[state]:
                if number == end:
                    complete.add(fields)
                elif number + 1 > state and _possible(kind.steps[number]):
                    reached.setdefault(number + 1, set()).add(fields | {kind.steps[number].field})
                    if len(reached[number + 1]) > MANY:
                        return reached[number + 1]
    return complete


@cache
def _mixed_combinations(kind: Complex) -> list[frozenset[str]]:
    """All combinations in a fixed order without pattern; none if there are too many."""
    every = sorted(optional_combinations(kind), key=sorted)
    if len(every) > MANY:
        return []
    Random(kind.key).shuffle(every)  # noqa: S311
    return every


def _all_productions(kind: Complex) -> set[tuple[int, Production]]:
    """Every first-level production of every state, without wildcards, mixed text and abstract members."""
    return {
        (state, production)
        for state in range(len(kind.states))
        if state == 0 or kind.steps[state - 1].kind != "wildcard"
        for production in productions(kind, state)
        if production.step == len(kind.steps)
        or (
            production.step != EE_TEXT
            and kind.steps[production.step].field
            and not _hidden(kind.steps, production)
            and production.step + 1 >= state
        )
    }


def _hidden(steps: tuple[Step, ...], production: Production) -> bool:
    """Whether no valid message can have this production."""
    return _impossible(steps[production.step].members[production.member].type)


@cache
def _impossible(key: str) -> bool:
    """Abstract types, and those that need an element for a wildcard."""
    kind = grammar(key)
    if isinstance(kind, Simple):
        return False
    end, seen, todo = len(kind.steps), {0}, [0]
    while todo:
        for number in kind.states[todo.pop()]:
            if number == end:
                return kind.abstract
            if number + 1 not in seen and _possible(kind.steps[number]):
                seen.add(number + 1)
                todo.append(number + 1)
    return True


def _possible(step: Step) -> bool:
    """Whether a valid message can have this step."""
    return bool(step.field) and not all(_impossible(member.type) for member in step.members)


def _makes_message(root: Root) -> bool:
    return isinstance(grammar(root.types[0]), Complex) and not _impossible(root.types[0])
