"""Groups in groups: which are above or below one, and on which way, where they may be nested in a circle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Nesting(NamedTuple):
    """A group, and a group that it is nested in directly."""

    group: str
    parent: str


def reached(start: str, beside: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return every other group that is reached from `start`, with the one before it on a shortest way.

    `beside` gives the groups one step from a group: its parents to go up, its children to go down. A group that is
    nested in itself by a circle is met once.
    """
    before: dict[str, str] = {}
    waiting = [start]
    for group in waiting:  # it grows meanwhile: the nearest come first
        for one in beside.get(group, ()):
            if one != start and one not in before:
                before[one] = group
                waiting.append(one)
    return before


def above_each(nestings: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return for every group that is nested (group, parent) all groups above it, at any height."""
    parents = defaultdict[str, set[str]](set)
    for group, parent in nestings:
        parents[group].add(parent)
    return {group: set(reached(group, parents)) for group in parents}


def children_of(nestings: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return by group the groups that are nested in it, in an order that does not depend on that of the nestings."""
    children = defaultdict[str, list[str]](list)
    for child, parent in sorted(nestings):
        children[parent].append(child)
    return children


def chains_to(group: str, nestings: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return for every group below one the groups on a shortest way up to it: itself first, `group` left out.

    Of several ways of one length, the same is found whatever the order of the nestings.
    """
    return chains_below(group, children_of(nestings))


def chains_below(group: str, children: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Return what `chains_to` returns, for who asks of many groups."""
    chains: dict[str, tuple[str, ...]] = {group: ()}
    for child, parent in reached(group, children).items():
        chains[child] = (child, *chains[parent])
    return {child: chain for child, chain in chains.items() if child != group}


@dataclass(frozen=True, slots=True)
class Nested:
    """How groups are nested: pairs, and the groups in which others may be nested that are in none of these.

    `read` are those of which all members were read from the provider, because the pairs do not lead to all of them.
    """

    pairs: set[Nesting]
    partly: set[str]
    read: set[str] = field(default_factory=set[str])

    @property
    def veiled(self) -> set[str]:
        """The groups with others nested in them, at any depth, that are not all known."""
        above = above_each(self.pairs)
        return {group for one in self.partly for group in (one, *above.get(one, ()))}
