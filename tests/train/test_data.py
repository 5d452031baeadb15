"""The search split: whole groups, about the wanted share, one seed."""

import numpy as np
import pytest

from fpnbench.graph.errors import UserError
from fpnbench.train.data import DetectionSet, Record, search_split, subset


def make_set(sizes):
    """Return a set whose k-th group has sizes[k] images, dealt in turns."""
    groups = [
        f"g{k}" for turn in range(max(sizes)) for k, n in enumerate(sizes) if turn < n
    ]
    records = tuple(
        Record(
            image_id=i,
            file=f"{i}.png",
            width=8,
            height=8,
            boxes_xyxy=np.zeros((0, 4), np.float32),
            labels=np.zeros(0, np.int64),
            crowd=np.zeros(0, np.bool_),
            areas=np.zeros(0),
            group=group,
        )
        for i, group in enumerate(groups)
    )
    return DetectionSet("toy train", ("a",), records, "digest", (), lambda r: None)


def ids(dataset):
    return [record.image_id for record in dataset.records]


def test_no_group_stands_on_both_sides():
    train = make_set([3, 5, 2, 7, 1, 4, 6, 2, 3, 3])
    for seed in range(20):
        inner, held = search_split(train, seed, 0.25)
        assert sorted(ids(inner) + ids(held)) == ids(train)
        assert not {r.group for r in inner.records} & {r.group for r in held.records}
        assert 9 - 4 <= len(held.records) <= 9 + 4  # within half the largest group


def test_single_images_are_held_out_to_the_number():
    train = make_set([1] * 40)
    assert len(search_split(train, 0, 7)[1].records) == 7
    assert len(search_split(train, 0, 0.25)[1].records) == 10


def test_the_seed_draws_and_nothing_else():
    train = make_set([1] * 40)
    held = ids(search_split(train, 0, 10)[1])
    assert held == ids(search_split(train, 0, 10)[1])
    assert held != ids(search_split(train, 1, 10)[1])
    # Neither the order of the images nor a global generator decides.
    turned = subset(train, range(39, -1, -1), "turned")
    assert sorted(ids(search_split(turned, 0, 10)[1])) == held


def test_the_drawn_split_is_golden():
    """May change only with a line in CHANGELOG: every score hangs on it."""
    assert ids(search_split(make_set([1] * 12), 0, 4)[1]) == [2, 5, 7, 10]


@pytest.mark.parametrize("held_out", [0, -1, 8, 9, 1.0e9])
def test_share_that_leaves_nothing_is_refused(held_out):
    with pytest.raises(UserError, match=r"data\.held_out="):
        search_split(make_set([1] * 8), 0, held_out)


@pytest.mark.parametrize(
    ("sizes", "held_out"), [([8], 0.25), ([8], 0.75), ([20, 20], 1)]
)
def test_group_that_leaves_one_side_empty_is_refused(sizes, held_out):
    with pytest.raises(UserError, match=r"data\.group leaves one side"):
        search_split(make_set(sizes), 0, held_out)


def test_subsets_have_digests_of_their_own():
    train = make_set([1] * 6)
    digests = {subset(train, i, "x").digest for i in ([0, 1], [1, 0], [0], range(6))}
    assert len(digests | {train.digest}) == 5
