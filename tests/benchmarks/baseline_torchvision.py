"""What a user would write instead: torchvision's ImageFolder, DataLoader and AlexNet on the CPU.

    python baseline_torchvision.py FOLDER

FOLDER holds one folder a class. The weights are random: only the speed counts. Prints the images/s of the loop,
decoding included, imports and the making of the model left out.
"""

import os
import sys
import time

import torch
from torchvision import datasets, models, transforms

preprocess = transforms.Compose(
    [
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
dataset = datasets.ImageFolder(sys.argv[1], preprocess)
model = models.alexnet(num_classes=2).eval()
started = time.perf_counter()
with torch.inference_mode():
    for images, _ in torch.utils.data.DataLoader(dataset, 32, num_workers=os.cpu_count() or 1):
        model(images).softmax(1)
print(len(dataset) / (time.perf_counter() - started))
