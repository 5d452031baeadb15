"""The cache against the backbone; its files against kills, rivals and full disks."""

import errno
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from fpnbench.detect.targets import Detections
from fpnbench.graph.errors import UserError
from fpnbench.train import array_store
from fpnbench.train.array_store import stored
from fpnbench.train.cache import cache_features, cache_images
from fpnbench.train.resize import GREY, ResizedSet, fit, mirror

PX = 32


class TinyBackbone(nn.Module):
    """Two fixed convolutions, levels 1 and 2; counts the images it sees."""

    def __init__(self, digest="tiny", gain=1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = gain * torch.randn(4, 3, 3, 3, generator=generator)
        self.digest = digest
        self.channels = {1: 4, 2: 4}
        self.images = 0

    def forward(self, images):
        self.images += len(images)
        fine = nn.functional.conv2d(images, self.weight, stride=2, padding=1)
        return {1: fine, 2: nn.functional.avg_pool2d(fine, 2)}


@pytest.fixture
def train(write, source):
    return source(write()).split("train")


def cached(train, folder, backbone=None, seen=None):
    tell = (
        (lambda done, total: seen.append((done, total))) if seen is not None else quiet
    )
    return cache_features(train, backbone or TinyBackbone(), PX, folder, tell)


def quiet(done, total):
    pass


def test_features_are_the_backbones_and_mirrored_ones_of_the_mirror_image(
    train, tmp_path
):
    cache = cached(train, tmp_path / "c")
    assert len(cache) == 3
    assert cache.channels == {1: 4, 2: 4}
    indices, flips = torch.tensor([2, 0, 1]), torch.tensor([False, True, True])
    feats, _ = cache.batch(indices, flips)
    images, _ = cache_images(train, PX, tmp_path / "c", quiet).batch(indices, flips)
    wanted = TinyBackbone()(images[0])
    for level in (1, 2):
        assert feats[level].shape == wanted[level].shape
        assert feats[level].dtype == torch.float32
        assert feats[level].is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(feats[level], wanted[level], atol=2e-3, rtol=2e-3)


def test_images_are_resized_padded_and_mirrored_inside_their_area(train, tmp_path):
    cache = cache_images(train, PX, tmp_path, quiet)
    assert cache.channels == {0: 3}
    both, _ = cache.batch(torch.tensor([0, 0, 1, 1]), torch.tensor([False, True] * 2))
    plain, turned, tall, tall_turned = both[0]
    # 40 x 20 -> 32 x 16: padding below; 20 x 40 -> 16 x 32: padding on the right.
    assert torch.equal(turned[:, :16], plain[:, :16].flip(2))
    assert torch.equal(tall_turned[..., :16], tall[..., :16].flip(2))
    grey = torch.full((3, 16, 32), GREY / 255)
    assert torch.equal(plain[:, 16:], grey)
    assert torch.equal(turned[:, 16:], grey)
    assert torch.equal(tall[..., 16:], grey.transpose(1, 2))
    assert torch.equal(tall_turned[..., 16:], grey.transpose(1, 2))
    loaded = train.load(train.records[2])  # 32 x 32: nothing to resize
    square, _ = cache.batch(torch.tensor([2]), torch.tensor([False]))
    assert torch.equal(square[0][0], torch.tensor(loaded).permute(2, 0, 1) / 255)


def test_boxes_follow_the_image(train, tmp_path):
    cache = cached(train, tmp_path)
    flips = torch.tensor([False, True, False, False])
    _, targets = cache.batch(torch.tensor([0, 0, 1, 2]), flips)
    boxes, labels = targets.boxes_xyxy_BN4, targets.labels_BN
    assert boxes.dtype == torch.float32
    plain = torch.tensor([[2, 4, 12, 12], [20, 0, 40, 20]]) * 0.8
    turned = torch.tensor([[28, 4, 38, 12], [0, 0, 20, 20]]) * 0.8
    assert torch.allclose(boxes[0], plain)
    assert torch.allclose(boxes[1], turned)
    # Of the second image the crowd is left out; the third has no object.
    assert torch.allclose(boxes[2, 0], torch.tensor([1, 2, 4, 6]) * 0.8)
    assert labels.tolist() == [[1, 0], [1, 0], [0, -1], [-1, -1]]
    assert (boxes[2, 1:] == 0).all()


def test_a_mark_in_the_image_is_where_its_box_is():
    """Paint the box white: resized and mirrored it is white where the target says."""
    pixels = np.zeros((30, 50, 3), np.uint8)
    pixels[10:20, 5:15] = 255
    canvas = mirror(fit(pixels, (100, 60), 100), 100)
    assert canvas[24:36, 74:86].min() > 250  # x: 100 - 2 * (5..15)
    assert canvas[:60].sum() / 3 / 255 == pytest.approx(20 * 20, rel=0.05)


def test_detections_return_to_the_stored_image(train):
    resized = ResizedSet(train, 27)  # 40 x 20 -> 27 x 14: the two scales differ
    boxes = resized.boxes(0, flip=False)
    scores, labels = torch.ones(2), torch.tensor([1, 0])
    back = resized.to_original(Detections(boxes, scores, labels), 0)
    wanted = torch.from_numpy(train.records[0].boxes_xyxy)
    assert torch.allclose(back.boxes_xyxy_N4, wanted, atol=1e-5)
    outside = Detections(torch.tensor([[-5.0, 1, 60, 60]]), scores[:1], labels[:1])
    clipped = resized.to_original(outside, 0).boxes_xyxy_N4
    assert clipped[0, [0, 2, 3]].tolist() == [0, 40, 20]


def test_second_use_computes_nothing(train, tmp_path):
    backbone, seen = TinyBackbone(), []
    first = cached(train, tmp_path, backbone, seen)
    assert backbone.images == 6
    assert seen == [(0, 3), (3, 3)]
    again = cached(train, tmp_path, backbone)
    assert backbone.images == 6
    both = torch.arange(3), torch.tensor([True, False, True])
    assert torch.equal(first.batch(*both)[0][1], again.batch(*both)[0][1])


def test_other_content_backbone_or_size_is_another_cache(
    train, tmp_path, write, source, content
):
    folder = tmp_path / "c"
    cached(train, folder)
    cached(train, folder, TinyBackbone("other"))
    cache_features(train, TinyBackbone(), 64, folder, quiet)
    content["annotations"].pop()
    cached(source(write(train=content)).split("train"), folder)
    assert len(list(folder.glob("features-*px-*[0-9a-f]"))) == 4


def test_broken_image_leaves_nothing_behind(train, tmp_path):
    (tmp_path / "images" / "3.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"3\.png cannot be read"):
        cached(train, tmp_path / "c")
    assert not [path for path in (tmp_path / "c").iterdir() if path.is_dir()]


def test_features_beyond_float16_are_refused(train, tmp_path):
    with pytest.raises(UserError, match="level 1 do not fit into float16"):
        cached(train, tmp_path, TinyBackbone(gain=1e6))


def test_full_disk_is_one_line_with_the_folder(train, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(array_store.os, "fsync", full)
    with pytest.raises(UserError, match=r"cache .*features-32px.*No space left") as hit:
        cached(train, tmp_path / "c")
    assert "\n" not in str(hit.value)
    assert not list((tmp_path / "c").glob("*.part"))
    monkeypatch.undo()
    assert len(cached(train, tmp_path / "c")) == 3


def test_folder_that_cannot_be_made_is_one_line(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cache .* cannot be written or read: "):
        cached(train, tmp_path / "file" / "c")


def test_damaged_file_is_told(train, tmp_path):
    cached(train, tmp_path / "c")
    path = next((tmp_path / "c").glob("*/P1.npy"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"is damaged .*delete it"):
        cached(train, tmp_path / "c")


def test_large_caches_are_mapped_and_give_the_same(train, tmp_path, monkeypatch):
    small = cached(train, tmp_path / "c")
    monkeypatch.setattr(array_store, "IN_MEMORY_BYTES", 0)
    large = cached(train, tmp_path / "c")
    assert isinstance(large._arrays[1], np.memmap)
    both = torch.tensor([2, 1]), torch.tensor([False, True])
    for level in (1, 2):
        pair = [cache.batch(*both)[0][level] for cache in (small, large)]
        assert torch.equal(*pair)


SLOW_FILL = """
import json, sys, time
from pathlib import Path
import numpy as np
from fpnbench.train.array_store import stored

def batches(start):
    Path(sys.argv[2]).write_text("started")
    for row in range(start, 4):
        time.sleep(float(sys.argv[3]))
        yield {3: np.full((1, 2), row, np.float16)}

told = []
arrays = stored(Path(sys.argv[1]), 4, batches, lambda done, total: told.append(done))
print(json.dumps([arrays[3][:, 0].tolist(), told]))
"""


def start(folder, mark, wait_s):
    command = [sys.executable, "-c", SLOW_FILL, str(folder), str(mark), str(wait_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(path):
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_kill_leaves_nothing_broken_and_rivals_do_the_work_once(tmp_path):
    folder = tmp_path / "entry"
    killed = start(folder, tmp_path / "a", 10)
    wait_for(tmp_path / "a")
    killed.kill()
    killed.communicate()
    assert not folder.exists()
    first = start(folder, tmp_path / "b", 0.3)
    wait_for(tmp_path / "b")
    second = start(folder, tmp_path / "c", 0.3)
    results = [json.loads(process.communicate()[0]) for process in (first, second)]
    assert results == [[[0, 1, 2, 3], [0, 1, 2, 3, 4]], [[0, 1, 2, 3], []]]
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("torn", [b"", b"half a row"])
def test_an_interrupted_fill_goes_on_behind_its_last_whole_batch(tmp_path, torn):
    asked = []

    def batches(start, stop=10):
        asked.append(start)
        for row in range(start, 10, 4):
            if row >= stop:
                raise KeyboardInterrupt
            rows = np.arange(row, min(row + 4, 10), dtype=np.float32)
            yield {3: rows[:, None], 4: np.repeat(rows, 3).reshape(-1, 3)}

    with pytest.raises(KeyboardInterrupt):
        stored(tmp_path / "entry", 10, lambda start: batches(start, 8), quiet)
    assert not (tmp_path / "entry").exists()
    with (tmp_path / "entry.part" / "P4.npy").open("ab") as file:
        file.write(torn)  # a kill in the middle of a write
    told = []
    arrays = stored(
        tmp_path / "entry", 10, batches, lambda done, total: told.append(done)
    )
    assert (asked, told) == ([0, 8], [8, 10])
    assert np.array_equal(arrays[3], np.arange(10)[:, None])
    assert np.array_equal(arrays[4], np.repeat(np.arange(10), 3).reshape(-1, 3))


def test_features_of_a_continued_cache_are_the_same(train, tmp_path, monkeypatch):
    monkeypatch.setattr("fpnbench.train.cache.BATCH", 1)
    whole = cached(train, tmp_path / "whole")

    class Stopped(TinyBackbone):
        def forward(self, images):
            if self.images:
                raise KeyboardInterrupt
            return super().forward(images)

    with pytest.raises(KeyboardInterrupt):
        cached(train, tmp_path / "c", Stopped())
    backbone = TinyBackbone()
    again = cached(train, tmp_path / "c", backbone)
    assert backbone.images == 4  # of three images and their mirror images
    both = torch.arange(3), torch.tensor([True, False, True])
    for level in (1, 2):
        pair = [each.batch(*both)[0][level] for each in (whole, again)]
        assert torch.equal(*pair)
