"""Content models as automata: which particle may follow which (Glushkov), and how often one repeats."""

from __future__ import annotations

from dataclasses import dataclass, field

from v2g.exi.generator.xsd import QName, UnknownFeatureError


@dataclass(eq=False)
class Particle:
    """One element (or wildcard) of a content model. members: (element name, type key)."""

    field: str
    members: list[tuple[QName, str]]
    low: int = 1
    high: int | None = 1
    wildcard: bool = False


@dataclass(eq=False)
class Group:
    """A sequence or choice of particles and groups."""

    kind: str
    parts: list[Particle | Group] = field(default_factory=list)
    low: int = 1
    high: int | None = 1


@dataclass
class Automaton:
    """particles in schema order; first and follow hold their numbers, `END` the end of the content."""

    particles: list[Particle]
    first: list[int]
    follow: list[list[int]]
    repeated: list[bool]


END = 1 << 30


def compile_content(where: str, content: Group) -> Automaton:
    """Build the automaton; raises where two particles with the same name compete, which a V2G schema never does."""
    particles: list[Particle] = []
    follow: list[list[int]] = []

    def add(targets: list[int], extra: list[int]) -> None:
        targets += [number for number in extra if number not in targets]

    def walk(part: Particle | Group) -> tuple[bool, list[int], list[int]]:
        """(may be empty, first particles, last particles); fills `follow`."""
        if isinstance(part, Particle):
            number = len(particles)
            particles.append(part)
            follow.append([number] if part.high != 1 else [])
            return part.low == 0, [number], [number]
        walked = [walk(child) for child in part.parts]
        if part.kind == "choice":
            empty = any(child[0] for child in walked)
            first = [number for child in walked for number in child[1]]
            last = [number for child in walked for number in child[2]]
        else:
            empty, first, last = True, [], []
            for child_empty, child_first, child_last in walked:
                for number in last:
                    add(follow[number], child_first)
                if empty:
                    first = first + child_first
                last = [*last, *child_last] if child_empty else child_last
                empty = empty and child_empty
        if part.high is None:
            for number in last:
                add(follow[number], first)
        elif part.high != 1:
            raise UnknownFeatureError(f"{where}: a {part.kind} with maxOccurs={part.high}")
        return empty or part.low == 0, first, last

    empty, first, last = walk(content)
    for number in last:
        follow[number].append(END)
    if empty:
        first = [*first, END]
    order = {number: (particles[number].wildcard, number) for number in range(len(particles))}
    for targets in [first, *follow]:
        targets.sort(key=lambda number: order.get(number, (True, END)))
        names = [name for number in targets if number != END for name, _ in particles[number].members]
        if len(names) != len(set(names)) or sum(number != END and particles[number].wildcard for number in targets) > 1:
            raise UnknownFeatureError(f"{where}: competing particles with one name")
    return Automaton(particles, first, follow, [_reaches(follow, number) for number in range(len(particles))])


def _reaches(follow: list[list[int]], number: int) -> bool:
    """Whether a particle can come again."""
    seen: set[int] = set()
    todo = list(follow[number])
    while todo:
        other = todo.pop()
        if other == number:
            return True
        if other not in seen and other != END:
            seen.add(other)
            todo += follow[other]
    return False
