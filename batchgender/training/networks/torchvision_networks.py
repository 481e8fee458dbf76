"""Torchvision's image classifiers by name."""

from torch import nn

# alexnet: ours. googlenet, inception_v3: several outputs while they train. mnasnet: changes its layers by a
# version that plain weights don't carry. vit_h_14: its weights are for pictures of 518x518.
_LEFT_OUT = ["alexnet", "googlenet", "inception_v3", "mnasnet*", "vit_h_14"]


def torchvision_names() -> list[str]:
    """The torchvision classifiers that `build_torchvision_network` takes, in order of their names."""
    # Imported here: it takes two seconds, which a training of AlexNet need not wait for.
    from torchvision import models

    return list(models.list_models(module=models, exclude=_LEFT_OUT))


def build_torchvision_network(name: str, classes: int) -> nn.Module:
    """Make a torchvision classifier with random weights: float [B, 3, 224, 224] to logits [B, classes]."""
    from torchvision import models

    return models.get_model(name, weights=None, num_classes=classes)
