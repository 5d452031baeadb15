"""A one-stage detector: backbone, pyramid, predictor."""

from torch import Tensor, nn

from fpnbench.detect.head import Head
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.detect.targets import Predictions


class Detector(nn.Module):
    """Images or cached backbone maps in, predictions out.

    Attributes:
        backbone: None where its maps come from a cache.
        pyramid: the searched part.
        head: the predictor, with loss and decoding.
    """

    def __init__(
        self, backbone: nn.Module | None, pyramid: FeaturePyramid, head: Head
    ) -> None:
        """Put the parts together."""
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid
        self.head = head

    def forward(self, inputs: dict[int, Tensor]) -> Predictions:
        """Predict.

        Args:
            inputs: backbone maps by level, (B, C, H, W); or {0: images (B, 3, H, W)}.
        """
        feats = inputs if self.backbone is None else self.backbone(inputs[0])
        predictions: Predictions = self.head(self.pyramid(feats))
        return predictions
