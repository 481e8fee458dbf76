"""Grad-CAM: which places of the last convolution's maps the answer comes from, by the gradient."""

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.training.networks.deployed import Deployed


class GradCam:
    """Weighs the maps of the last convolution by their mean gradient, and adds them up.

    Selvaraju et al.: "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
    The score is the class's log odds. Values above 0 are the paper's map; those below are, with their sign changed, its
    counterfactual explanation (section 3.3).
    """

    name = "grad-cam"
    title = "Grad-CAM (Selvaraju et al. 2017)"

    def __init__(self, module: Deployed, file: str, flip: bool) -> None:
        """`module` looks at the photo alone; with `flip` its mirror image counts as much. Raises UserError."""
        self._module, self._flip = module, flip
        self._layer = _last_maps(module, file)

    def map(self, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
        """How much each pixel of uint8 [height, width, 3] RGB speaks for the class `target`: float32 [height, width].

        The picture is of the model's size. The values have no unit; below 0 a pixel speaks against the class.
        """
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()  # [1, 3, height, width]
        maps = self._maps(pixels, target)
        if self._flip:
            maps = (maps + self._maps(pixels.flip(3), target).flip(3)) / 2
        return F.interpolate(maps, image.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()

    def _maps(self, pixels: Tensor, target: int) -> Tensor:
        """[1, 1, rows, columns], as coarse as the layer's maps."""
        cam = LayerGradCam(lambda given: self._log_odds(given, target), self._layer)
        return cam.attribute(pixels.clone().requires_grad_()).detach()

    def _log_odds(self, pixels: Tensor, target: int) -> Tensor:
        """The calibrated log odds of a class, [B]: from the logits, for a probability near 1 has no gradient."""
        _, logits = self._module.answers(pixels)
        scores = logits / self._module.temperature
        if self._module.bias is not None:
            scores = scores + self._module.bias
        others = [index for index in range(scores.shape[1]) if index != target]
        return scores[:, target] - torch.logsumexp(scores[:, others], 1)


def _last_maps(module: Deployed, file: str) -> nn.Module:
    """The last part of the network whose maps are as large as those of its last convolution.

    It may be a block, with what is added to the convolution, or the activation behind it; parts that are used several
    times are none. Raises UserError where there is no convolution, or attention comes after it.
    """
    outputs: list[tuple[nn.Module, tuple[int, ...]]] = []
    hooks = [
        part.register_forward_hook(lambda part, _, output: outputs.append((part, tuple(getattr(output, "shape", ())))))
        for part in module.network.modules()
    ]
    try:
        with torch.inference_mode():
            module.answers(torch.zeros(1, 3, module.input_size, module.input_size))
    finally:
        for hook in hooks:
            hook.remove()
    attention = any("attention" in type(part).__name__.lower() for part, _ in outputs)
    maps = [(part, shape[2:]) for part, shape in outputs if len(shape) == 4]
    sizes = [size for part, size in maps if isinstance(part, nn.Conv2d) and size != (1, 1)]
    if attention or not sizes:
        why = "its network is a transformer" if attention else "its network has no convolution"
        raise UserError(f"{file}: Grad-CAM is for convolutional networks, and {why}; --method occlusion explains it")
    uses = Counter(part for part, _ in outputs)
    found = [part for part, size in maps if size == sizes[-1] and uses[part] == 1]
    return found[-1]
