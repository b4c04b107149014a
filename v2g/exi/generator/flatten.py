"""From a pool of schema components to grammars: every type flattened, every root in the order of its event code."""

from __future__ import annotations

from pathlib import Path

from v2g.exi.generator import content, simple
from v2g.exi.generator.content import END, Group, Particle
from v2g.exi.generator.sets import SHARED_HOMES, SchemaSet
from v2g.exi.generator.simple import XS_URI
from v2g.exi.generator.xsd import Node, Pool, QName, UnknownFeatureError
from v2g.exi.grammar import XSI, Complex, Member, Root, Schema, Step, StepKind, Type

XML_URI = "http://www.w3.org/XML/1998/namespace"


# the attributes of a type by qualified name: (type key, required)
Attributes = dict[QName, tuple[str, bool]]


class Flattener:
    """Makes the tables of one schema set."""

    def __init__(self, schema_set: SchemaSet, folder: Path) -> None:
        self.set = schema_set
        self.pool = Pool((folder / schema_set.root).resolve())
        self.types: dict[str, Type] = {}
        self.homes = {uri: SHARED_HOMES.get(uri, schema_set.name) for uri in self.pool.namespaces()}
        self.declared: dict[QName, list[str]] = {}
        self.attribute_names: set[QName] = set()
        self.named: list[tuple[str, str, str]] = []
        for name, node in self.pool.types.items():
            key = self._named_type(name)
            self.named.append((name[1], name[0], key))
            if node.tag == "simpleType":
                self.types[key] = simple.simple_type(self.pool, key, node)
            else:
                self._complex(key, name, node)
        for name, node in self.pool.elements.items():
            self._declare(name, self._element_type(name, node, owner=""))

    def schema(self) -> Schema:
        """The tables of the set."""

        def by_local_name(name: QName) -> tuple[str, str]:
            return name[1], name[0]

        uris = ("", XML_URI, XSI, XS_URI, *self.pool.namespaces())
        names: dict[str, set[str]] = {uri: set() for uri in uris}
        for uri, local in [*self.declared, *self.attribute_names, *self.pool.types]:
            names[uri].add(local)
        return Schema(
            name=self.set.name,
            namespace=next(iter(self.pool.files.values())).target,
            documents=tuple(
                Root(name[1], name[0], tuple(self.declared[name]))
                for name in sorted(self.pool.elements, key=by_local_name)
            ),
            fragments=tuple(
                Root(name[1], name[0], tuple(self.declared[name])) for name in sorted(self.declared, key=by_local_name)
            ),
            attributes=tuple((local, uri) for uri, local in sorted(self.attribute_names, key=by_local_name)),
            uris=uris,
            names=tuple(tuple(sorted(names[uri])) for uri in uris),
            types=tuple(sorted(self.named)),
        )

    def _declare(self, name: QName, key: str) -> None:
        keys = self.declared.setdefault(name, [])
        if key not in keys:
            keys.append(key)

    def _named_type(self, name: QName) -> str:
        uri, local = name
        if uri == XS_URI:
            self.types.setdefault(f"xs.{local}", simple.builtin(local))
            return f"xs.{local}"
        return f"{self.homes[uri]}.{local}"

    def _element_type(self, name: QName, node: Node, owner: str) -> str:
        """The key of the type of an element; anonymous types are named after the element (and its owner if simple)."""
        if node.get("type"):
            return self._named_type(node.qname("type"))
        (anonymous,) = node.children()
        home = self.homes[node.file.target]
        if anonymous.tag == "simpleType":
            key = f"{home}.{owner}_{name[1]}" if owner else f"{home}.{name[1]}"
            self.types[key] = simple.simple_type(self.pool, key, anonymous)
        else:
            key = f"{home}.{name[1]}"
            if key not in self.types:
                self._complex(key, name, anonymous)
        return key

    def _complex(self, key: str, name: QName, node: Node) -> None:
        if key in self.types:
            raise UnknownFeatureError(f"{name}: a second type is called {key}")
        attributes: Attributes = {}
        group, text, base = self._content(name, node, attributes)
        ordered = sorted(attributes.items(), key=lambda item: (item[0][1], item[0][0]))
        steps = [
            Step("attribute", name[1], (Member(name[1], name[0], kind),), required=required)
            for name, (kind, required) in ordered
        ]
        count = len(steps)
        if text:
            steps.append(Step("text", "value", (Member("", "", text),), required=True))
            first, follow = [count], [[count + 1]]
        else:
            automaton = content.compile_content(name[1], group)
            end = count + len(automaton.particles)
            numbered = {END: end} | {number: count + number for number in range(len(automaton.particles))}
            steps += [
                _step(particle, repeated)
                for particle, repeated in zip(automaton.particles, automaton.repeated, strict=True)
            ]
            first = [numbered[number] for number in automaton.first]
            follow = [[numbered[number] for number in targets] for targets in automaton.follow]
            steps = _required(steps, count, first, follow)
        starts = [_after_attribute(steps, number, count, first) for number in range(count + 1)]
        self.types[key] = Complex(
            home=key.partition(".")[0],
            name=key.partition(".")[2],
            uri=name[0],
            steps=tuple(steps),
            states=tuple(tuple(state) for state in [*starts, *follow]),
            attributes=count,
            base=base,
            abstract=node.get("abstract") == "true",
            mixed=node.get("mixed") == "true",
        )

    def _content(self, name: QName, node: Node, attributes: Attributes) -> tuple[Group, str, str]:
        """(particles, key of the simple content, key of the base type) of a complexType; fills the attributes."""
        group, text, base = Group("sequence"), "", ""
        for child in node.children():
            match child.tag:
                case "sequence" | "choice":
                    group.parts.append(self._particle(child, name[1]))
                case "attribute":
                    self._attribute(child, attributes)
                case "complexContent" | "simpleContent":
                    (extension,) = child.children()
                    if extension.tag != "extension":
                        raise UnknownFeatureError(f"{name}: <{child.tag}> with <{extension.tag}>")
                    base_name = extension.qname("base")
                    base = self._named_type(base_name)
                    if child.tag == "simpleContent":
                        text, base = base, ""
                    else:
                        base_node = self.pool.types[base_name]
                        base_group, base_text, _ = self._content(base_name, base_node, attributes)
                        if base_text or base_node.get("mixed"):
                            raise UnknownFeatureError(f"{name}: extends simple or mixed content")
                        group.parts.append(base_group)
                    own, _, _ = self._content(name, extension, attributes)
                    group.parts.append(own)
                case other:
                    raise UnknownFeatureError(f"{name}: <{other}> in a complexType")
        return group, text, base

    def _attribute(self, node: Node, attributes: Attributes) -> None:
        if node.get("use") == "prohibited" or not node.get("type"):
            raise UnknownFeatureError(f"attribute {node.get('name')}: prohibited or anonymous")
        name = (node.file.target if node.file.attributes_qualified else "", node.get("name") or "")
        self.attribute_names.add(name)
        attributes[name] = self._named_type(node.qname("type")), node.get("use") == "required"

    def _particle(self, node: Node, owner: str) -> Particle | Group:
        low = int(node.get("minOccurs") or 1)
        maximum = node.get("maxOccurs") or "1"
        high = None if maximum == "unbounded" else int(maximum)
        if node.tag in ("sequence", "choice"):
            return Group(node.tag, [self._particle(child, owner) for child in node.children()], low, high)
        if node.tag == "any":
            return Particle("", [], low, high, wildcard=True)
        if node.tag != "element":
            raise UnknownFeatureError(f"{owner}: <{node.tag}> as a particle")
        if node.get("ref"):
            head = node.qname("ref")
            members = [(name, self._element_type(name, self.pool.elements[name], "")) for name in self.pool.group(head)]
            if len(members) != len({key for _, key in members}):
                raise UnknownFeatureError(f"{owner}: two substitutes of {head} have one type")
            return Particle(head[1], members, low, high)
        name = (node.file.target if node.file.elements_qualified else "", node.get("name") or "")
        key = self._element_type(name, node, owner)
        self._declare(name, key)
        return Particle(name[1], [(name, key)], low, high)


def _step(particle: Particle, repeated: bool) -> Step:
    members = tuple(Member(name[1], name[0], key) for name, key in particle.members)
    kind: StepKind = "wildcard" if particle.wildcard else "element"
    # a group that repeats makes its members lists without limits of their own
    low, high = (particle.low, particle.high) if particle.high != 1 or not repeated else (0, None)
    return Step(kind, particle.field, members, low, high, many=repeated)


def _required(steps: list[Step], count: int, first: list[int], follow: list[list[int]]) -> list[Step]:
    """Mark the particles that no valid instance can do without."""
    end = len(steps)

    def avoidable(step: int) -> bool:
        seen: set[int] = set()
        todo = [number for number in first if number != step]
        while todo:
            number = todo.pop()
            if number == end:
                return True
            if number not in seen:
                seen.add(number)
                todo += [other for other in follow[number - count] if other != step]
        return False

    return [
        step if number < count else step._replace(required=step.kind == "element" and not avoidable(number))
        for number, step in enumerate(steps)
    ]


def _after_attribute(steps: list[Step], start: int, count: int, first: list[int]) -> list[int]:
    """What may come when the attributes before `start` are done: attributes up to the first required one, content."""
    found = []
    for number in range(start, count):
        found.append(number)
        if steps[number].required:
            return found
    return found + first
