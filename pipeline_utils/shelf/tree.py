"""The tree that the pictures of a shelf make: every round hangs below the picture it came from.

The records say it all, and anybody may have written them: parents may be missing, and may even run in a
circle. Then a round stands at the top, and says so.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline_utils.recipe.rounds import MAX_PICTURES
from pipeline_utils.shelf.index import Card


@dataclass(frozen=True, eq=False)
class Branch:
    """One round, in its order. sources: the pictures it came from that are here, several for a grid.

    lost: it came from pictures that are not on the shelf, or from one that came from itself.
    """

    cards: tuple[Card, ...]
    sources: tuple[Card, ...] = ()
    lost: bool = False

    @property
    def parent(self) -> Card | None:
        """The picture that it hangs below."""
        return self.sources[0] if self.sources else None

    @property
    def number(self) -> int:
        return self.cards[0].round


@dataclass
class Tree:
    """roots: the last one that anything happened in comes first. below: by the id of a picture, oldest first."""

    cards: dict[str, Card] = field(default_factory=dict)  # by id
    roots: list[Branch] = field(default_factory=list)
    below: dict[str, list[Branch]] = field(default_factory=dict)
    of: dict[str, Branch] = field(default_factory=dict)  # the round of a picture, by its id
    led: set[str] = field(default_factory=set)  # ids of pictures that a round came from

    def walk(self, root: Branch) -> Iterator[tuple[int, Branch]]:
        """(depth, round) of a root and all below it, each before those below itself."""
        stack = [(0, root)]
        while stack:
            depth, branch = stack.pop()
            yield depth, branch
            for card in reversed(branch.cards):
                stack += [(depth + 1, each) for each in reversed(self.below.get(card.id, ()))]

    def way_to(self, branch: Branch) -> list[Branch]:
        """The rounds from the root down to this one."""
        way = [branch]
        while way[-1].parent is not None:
            way.append(self.of[way[-1].parent.id])
        return way[::-1]


def grow(cards: Sequence[Card]) -> Tree:
    """The tree of these pictures, in any order. Time and memory are linear, whatever the records say."""
    tree = Tree({card.id: card for card in cards})
    rounds: dict[tuple, list[Card]] = defaultdict(list)
    for card in sorted(tree.cards.values(), key=lambda card: (card.changed, card.file)):
        rounds[_round(card)].append(card)
    waiting: list[Branch] = []
    for members in rounds.values():
        members.sort(key=lambda card: (card.place, not card.control))
        for at in range(0, len(members), MAX_PICTURES):  # what was asked for again and again, on many seeds
            held = tuple(members[at : at + MAX_PICTURES])
            parents = dict.fromkeys(card.parent for card in held if card.parent)
            sources = tuple(tree.cards[each] for each in parents if each in tree.cards)
            branch = Branch(held, sources, lost=bool(parents) and not sources)
            tree.of |= {card.id: branch for card in held}
            if branch.parent is None:
                tree.roots.append(branch)
            else:
                waiting.append(branch)
                tree.below.setdefault(branch.parent.id, []).append(branch)
                tree.led |= {card.id for card in sources}
    reached: set[int] = set()
    newest = {root: _reach(tree, root, reached) for root in tree.roots}
    for branch in waiting:  # only those in or below a circle are left: each is cut at its oldest round
        if id(branch) not in reached:
            top = Branch(branch.cards, lost=True)
            tree.below[branch.parent.id].remove(branch)
            tree.of |= {card.id: top for card in top.cards}
            tree.roots.append(top)
            newest[top] = _reach(tree, top, reached)
    tree.roots.sort(key=lambda root: newest[root], reverse=True)
    return tree


def _round(card: Card) -> tuple:
    """What the pictures of one round share. Older records do not say which it was: then all that came from one
    picture are one round, and at the top all that differ in their seeds alone."""
    if card.round_id:
        return (card.round_id, card.round, card.maker)
    return (card.parent, card.round) if card.parent else ("", card.round, card.series)


def _reach(tree: Tree, root: Branch, reached: set[int]) -> int:
    """Marks all rounds below a root, and says when the newest picture of them was made."""
    newest, queue = 0, deque([root])
    while queue:
        branch = queue.popleft()
        reached.add(id(branch))
        for card in branch.cards:
            newest = max(newest, card.changed)
            queue += [each for each in tree.below.get(card.id, ()) if id(each) not in reached]
    return newest
