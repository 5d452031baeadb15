"""How many choice vectors give one network.

Many do: cells come in any order that makes operands before they are used, operands of a
sum are chosen in any order, unused cells may be anything. The count is exact. A vector
names the cells of its network by their positions, so

    vectors = (ways to name the live cells and to choose their operands) / automorphisms

since the automorphisms of the cell graph act freely on the namings. The numerator is a
dynamic programme over the sets of cells already placed: what a choice means depends on
that set, never on the order within it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Cell:
    """A merging cell or block with every convention resolved.

    Features are numbered in order of creation, the pyramid's inputs first.

    Attributes:
        level: pyramid level it puts out.
        output: it is the pyramid's output of its level.
        roles: the operands (coarse, fine) of global pooling, or none.
        bag: operands that are summed (with what global pooling gives), rising.
        detail: what else tells its kind from others, such as F and kernel.
    """

    level: int
    output: bool
    roles: tuple[int, ...]
    bag: tuple[int, ...]
    detail: tuple[int, ...] = ()

    @property
    def operands(self) -> tuple[int, ...]:
        """All operands."""
        return self.roles + self.bag


def mask(features: Sequence[int]) -> int:
    """Return a set of features as bits."""
    bits = 0
    for feature in features:
        bits |= 1 << feature
    return bits


def renamed(cell: Cell, names: Sequence[int]) -> Cell:
    """Return the cell with feature `i` called `names[i]`."""
    roles = tuple(names[i] for i in cell.roles)
    return replace(cell, roles=roles, bag=tuple(sorted(names[i] for i in cell.bag)))


def live(cells: Sequence[Cell], inputs: int) -> list[Cell]:
    """Drop the cells that no output reaches and number the others anew."""
    alive = {inputs + index for index, cell in enumerate(cells) if cell.output}
    for index in range(len(cells) - 1, -1, -1):
        if inputs + index in alive:
            alive.update(cells[index].operands)
    names, count = list(range(inputs)), inputs
    kept = []
    for index, cell in enumerate(cells):
        names.append(count)
        if inputs + index in alive:
            kept.append(renamed(cell, names))
            count += 1
    return kept


def pair_orders(roles: Sequence[int], levels: Sequence[int]) -> int:
    """Count the ordered pairs of inputs that global pooling takes as (coarse, fine)."""
    coarse, fine = (levels[i] for i in roles)
    return 1 + (coarse > fine) if coarse >= fine else 0


def placements(
    cells: Sequence[Cell],
    inputs: int,
    unused: Sequence[int],
    ways: Callable[[Cell, int], int],
) -> int:
    """Count the pairs of an order of the cells and choices that give them in it.

    Args:
        cells: the live cells.
        inputs: how many features are there before the first cell.
        unused: for every position of an intermediate cell, in how many ways a cell that
            nothing uses can be chosen there.
        ways: (cell, free) -> in how many ways its inputs can be chosen when `free` is
            the bit set of the features that are there and that no cell has used yet.
    """
    needs = [mask(cell.operands) for cell in cells]
    spare = len(unused) - sum(not cell.output for cell in cells)
    counts, used = {(1 << inputs) - 1: 1}, {(1 << inputs) - 1: 0}
    for position in range(spare + len(cells)):
        after: defaultdict[int, int] = defaultdict(int)
        for made, count in counts.items():
            if position < len(unused) and position + inputs - made.bit_count() < spare:
                after[made] += count * unused[position]
            for index, cell in enumerate(cells):
                bit = 1 << inputs + index
                fits = cell.output == (position >= len(unused)) and not made & bit
                if fits and not needs[index] & ~made:
                    after[made | bit] += count * ways(cell, made & ~used[made])
                    used[made | bit] = used[made] | needs[index]
        counts = after
    return sum(counts.values())


def readings(cells: Sequence[Cell], name: int, other: int) -> Iterator[list[Cell]]:
    """Call one use of feature `name` so and all its other uses `other`, in every way.

    For a feature that is made a second time wherever a cell reads `other` instead.
    """
    names = list(range(max(max(cell.operands) for cell in cells) + 1))
    names[name] = other
    plain = [renamed(cell, names) for cell in cells]
    for index, cell in enumerate(cells):
        found = set()
        for slot, feature in enumerate(cell.operands):
            if feature == name:
                operands = [names[i] for i in cell.operands]
                operands[slot] = name
                cut = len(cell.roles)
                bag = tuple(sorted(operands[cut:]))
                found.add(replace(cell, roles=tuple(operands[:cut]), bag=bag))
        for called in found:
            yield [*plain[:index], called, *plain[index + 1 :]]


def automorphisms(cells: Sequence[Cell], inputs: int) -> int:
    """Count the renamings of the cells that leave inputs, outputs and operands alone.

    The product of the orbits of the first cell, of the second where the first is fixed,
    and so on (orbit and stabiliser).
    """
    colours = _colours(cells, inputs)
    if len(set(colours[inputs:])) == len(cells):
        return 1
    count = 1
    for first in range(inputs, inputs + len(cells)):
        fixed = list(range(first))
        count *= sum(
            _extends([*fixed, image], cells, inputs, colours)
            for image in range(first, inputs + len(cells))
        )
    return count


def _extends(
    images: list[int], cells: Sequence[Cell], inputs: int, colours: Sequence[int]
) -> bool:
    """Tell whether an automorphism begins with these images of the first features."""
    last = len(images) - 1
    if last >= inputs:
        wanted, image = cells[last - inputs], images[last]
        if colours[image] != colours[last]:
            return False
        if renamed(wanted, images) != cells[image - inputs]:
            return False
    left = set(range(inputs, inputs + len(cells))) - set(images)
    return not left or any(
        _extends([*images, image], cells, inputs, colours) for image in sorted(left)
    )


def _colours(cells: Sequence[Cell], inputs: int) -> list[int]:
    """Colour features by refinement over operands and consumers.

    Features of different colours are never exchanged by an automorphism.
    """
    kinds = [(cell.level, cell.output, cell.detail) for cell in cells]
    colours = [*range(inputs), *(inputs + hash(kind) for kind in kinds)]
    for _ in cells:
        if len(set(colours)) == len(colours):
            break
        users: list[list[tuple[int, int]]] = [[] for _ in colours]
        for index, cell in enumerate(cells):
            colour = colours[inputs + index]
            for position, feature in enumerate(cell.roles):
                users[feature].append((position, colour))
            for feature in cell.bag:
                users[feature].append((-1, colour))
        refined = colours[:inputs]
        for index, cell in enumerate(cells):
            roles = tuple(colours[i] for i in cell.roles)
            bag = tuple(sorted(colours[i] for i in cell.bag))
            consumers = tuple(sorted(users[inputs + index]))
            refined.append(hash((colours[inputs + index], roles, bag, consumers)))
        colours = refined
    return colours
