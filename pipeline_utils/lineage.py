"""The tree that the pictures of a shelf make: every round hangs below the picture it came from.

The records say it all, and anybody may have written them: parents may be missing, and may even run in a
circle. Then a round stands at the top, and says so.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline_utils.card import Card
from pipeline_utils.rounds import MAX_PICTURES


@dataclass(frozen=True, eq=False)
class Branch:
    """One round, its control first, then by time. parent: the picture it came from.

    lost: it came from a picture that is not on the shelf, or from one that came from itself.
    """

    cards: tuple[Card, ...]
    parent: Card | None = None
    lost: bool = False

    @property
    def number(self) -> int:
        return self.cards[0].round


@dataclass
class Tree:
    """roots: the last one that anything happened in comes first. below: by the id of a picture, oldest first."""

    roots: list[Branch] = field(default_factory=list)
    below: dict[str, list[Branch]] = field(default_factory=dict)
    of: dict[str, Branch] = field(default_factory=dict)  # the round of a picture, by its id

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
    tree = Tree()
    known = {card.id: card for card in cards}
    rounds: dict[tuple, list[Card]] = defaultdict(list)
    for card in sorted(known.values(), key=lambda card: (card.changed, card.file)):
        rounds[(card.parent, card.round) if card.parent else ("", card.round, card.series)].append(card)
    waiting: list[Branch] = []
    for members in rounds.values():
        members.sort(key=lambda card: not card.control)
        parent = known.get(members[0].parent) if members[0].parent else None
        lost = members[0].parent is not None and parent is None
        for at in range(0, len(members), MAX_PICTURES):  # what was asked for again and again, on many seeds
            branch = Branch(tuple(members[at : at + MAX_PICTURES]), parent, lost)
            tree.of |= {card.id: branch for card in branch.cards}
            if parent is None:
                tree.roots.append(branch)
            else:
                waiting.append(branch)
                tree.below.setdefault(parent.id, []).append(branch)
    reached: set[int] = set()
    newest = {}
    for root in tree.roots:
        newest[root] = _reach(tree, root, reached)
    for branch in waiting:  # only those in or below a circle are left: each is cut at its oldest round
        if id(branch) not in reached:
            top = Branch(branch.cards, None, True)
            tree.below[branch.parent.id].remove(branch)
            tree.of |= {card.id: top for card in top.cards}
            tree.roots.append(top)
            newest[top] = _reach(tree, top, reached)
    tree.roots.sort(key=lambda root: newest[root], reverse=True)
    return tree


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
