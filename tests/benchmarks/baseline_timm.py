"""timm's way: its reader, its transforms and its loader, over torchvision's AlexNet (timm has none) on the CPU.

    python baseline_timm.py FOLDER

FOLDER holds one folder a class. The weights are random: only the speed counts. Prints the images/s of the loop.
"""

import os
import sys
import time

import timm.data
import torch
from torchvision import models

dataset = timm.data.create_dataset("", root=sys.argv[1])
loader = timm.data.create_loader(
    dataset,
    (3, 224, 224),
    batch_size=32,
    crop_pct=1.0,
    num_workers=os.cpu_count() or 1,
    use_prefetcher=False,
    device=torch.device("cpu"),
)
model = models.alexnet(num_classes=2).eval()
started = time.perf_counter()
with torch.inference_mode():
    for images, _ in loader:
        model(images).softmax(1)
print(len(dataset) / (time.perf_counter() - started))
