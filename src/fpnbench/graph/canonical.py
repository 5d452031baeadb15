"""Canonical form: two genotypes are the same network if and only if their keys agree.

What no output reaches is dropped, operands of commutative ops are sorted, and nodes are
renumbered by colour refinement over inputs *and* consumers (Weisfeiler-Leman). The key
digests the whole renumbered graph, so two different networks never share one. Nodes
that refinement cannot tell apart are separated by singling out any one of them and
refining again; where such nodes are exchangeable (an automorphism), as in every graph
we have met, the choice does not matter. Equal nodes are never merged: they own
different weights.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from typing import Any

from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import COMMUTATIVE, Op


def canonical(genotype: Genotype) -> Genotype:
    """Return the canonical form; idempotent, keeps `Node.block`."""
    live = prune(genotype)
    colours = _discrete_colours(live)
    depths = _depths(live.nodes)
    order = sorted(range(len(colours)), key=lambda i: (depths[i], colours[i]))
    place = {old: new for new, old in enumerate(order)}
    nodes = tuple(_renumber(live.nodes[old], place) for old in order)
    outputs = tuple((level, place[index]) for level, index in live.outputs)
    return Genotype(nodes, outputs, genotype.repeats)


def key(genotype: Genotype) -> str:
    """Return the network's identity: 16 hex digits of the canonical form's SHA-256."""
    return digest(canonical(genotype))


def digest(form: Genotype) -> str:
    """Return the key of a genotype that is already canonical."""
    nodes = [[_label(node.op)[0], node.inputs] for node in form.nodes]
    text = json.dumps([nodes, form.outputs], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prune(genotype: Genotype) -> Genotype:
    """Drop the nodes that no output reaches; the order of the others stays."""
    alive = {index for _, index in genotype.outputs}
    for index in range(len(genotype.nodes) - 1, -1, -1):
        if index in alive:
            alive.update(genotype.nodes[index].inputs)
    place = {old: new for new, old in enumerate(sorted(alive))}
    nodes = tuple(
        Node(node.op, tuple(place[i] for i in node.inputs), node.block)
        for old, node in enumerate(genotype.nodes)
        if old in alive
    )
    outputs = tuple((level, place[index]) for level, index in genotype.outputs)
    return Genotype(nodes, outputs, genotype.repeats)


@cache
def _label(op: Op) -> tuple[list[str | int], str]:
    """Return op and fields, and both as text; `Node.block` is no part of a key."""
    label = [type(op).__name__, *astuple(op)]
    return label, str(label)


def _renumber(node: Node, place: dict[int, int]) -> Node:
    inputs = [place[i] for i in node.inputs]
    if isinstance(node.op, COMMUTATIVE):
        inputs.sort()
    return Node(node.op, tuple(inputs), node.block)


def _depths(nodes: Sequence[Node]) -> list[int]:
    """Return the longest way from an input to each node."""
    depths: list[int] = []
    for node in nodes:
        depths.append(1 + max((depths[i] for i in node.inputs), default=-1))
    return depths


def _discrete_colours(genotype: Genotype) -> list[int]:
    """Colour the nodes by refinement until every node has a colour of its own."""
    nodes = genotype.nodes
    levels = {index: level for level, index in genotype.outputs}
    labels = [
        f"{_label(node.op)[1]} {levels.get(i, -1)}" for i, node in enumerate(nodes)
    ]
    consumers: list[list[tuple[int, int]]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        ordered = not isinstance(node.op, COMMUTATIVE)
        for position, source in enumerate(node.inputs):
            consumers[source].append((index, position if ordered else -1))
    colours = _refine(nodes, consumers, _ranks(labels))
    while (count := max(colours) + 1) < len(nodes):
        sizes = [0] * count
        for colour in colours:
            sizes[colour] += 1
        tied = next(colour for colour, size in enumerate(sizes) if size > 1)
        chosen = colours.index(tied)
        # Every colour moves up by one place past the tied one to make room below it.
        colours = [2 * colour + 1 for colour in colours]
        colours[chosen] -= 1
        colours = _refine(nodes, consumers, _ranks(colours))
    return colours


def _refine(
    nodes: Sequence[Node], consumers: list[list[tuple[int, int]]], colours: list[int]
) -> list[int]:
    """Split colours by the colours of inputs and consumers until nothing changes."""
    count = max(colours) + 1
    while True:
        signatures = []
        for index, node in enumerate(nodes):
            inputs = [colours[i] for i in node.inputs]
            if isinstance(node.op, COMMUTATIVE):
                inputs.sort()
            users = sorted((colours[i], position) for i, position in consumers[index])
            signatures.append((colours[index], tuple(inputs), tuple(users)))
        colours = _ranks(signatures)
        if (new := max(colours) + 1) == count:
            return colours
        count = new


def _ranks(values: Sequence[Any]) -> list[int]:
    """Replace values by their rank among the distinct ones: colours know no labels."""
    rank = {value: place for place, value in enumerate(sorted(set(values)))}
    return [rank[value] for value in values]
