"""Hugging Face's way: the image-classification pipeline, over torchvision's AlexNet (they have none) on the CPU.

    python baseline_transformers.py FOLDER

FOLDER holds one folder a class. The weights are random: only the speed counts. Prints the images/s of the loop.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torchvision import models
from transformers import PretrainedConfig, PreTrainedModel, ViTImageProcessor, pipeline
from transformers.modeling_outputs import ImageClassifierOutput


class Config(PretrainedConfig):
    """A configuration of nothing but a name."""

    model_type = "alexnet"


class AlexNet(PreTrainedModel):
    """AlexNet as a model of theirs."""

    config_class = Config
    main_input_name = "pixel_values"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.net = models.alexnet(num_classes=2)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> ImageClassifierOutput:
        """Pixels to logits."""
        return ImageClassifierOutput(logits=self.net(pixel_values))


files = sorted(str(path) for path in Path(sys.argv[1]).glob("*/*"))
processor = ViTImageProcessor(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
classify = pipeline(
    "image-classification", model=AlexNet(Config(num_labels=2)).eval(), image_processor=processor, device="cpu"
)
started = time.perf_counter()
count = sum(1 for _ in classify((file for file in files), batch_size=32))
print(count / (time.perf_counter() - started))
