import pytest
import torch
import torchvision

from batchgender.errors import UserError
from batchgender.training.networks.alexnet import AlexNet
from batchgender.training.networks.deployed import Deployed
from batchgender.training.networks.registry import build


def test_alexnet_is_torchvisions_under_the_same_weights() -> None:
    ours, theirs = AlexNet(classes=2), torchvision.models.alexnet(num_classes=2)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert [str(m) for m in ours.modules()][1:] == [str(m) for m in theirs.modules()][1:]
    assert sum(p.numel() for p in ours.parameters()) == 57_012_034
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours.eval()(pixels), theirs.eval()(pixels))


def test_the_narrow_alexnet_takes_small_pictures_at_a_quarter_of_the_work() -> None:
    network = build("alexnet_narrow", 2).eval()
    work = 0

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal work
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            work += output[0].numel() * layer.weight[0].numel()

    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, 96, 96))
    assert 110e6 < work < 130e6


def test_preprocessing_inside_is_that_of_torchvision() -> None:
    from torchvision.transforms import v2

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    transform = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Resize((224, 224), antialias=True), v2.Normalize(mean, std)]
    )
    image = torch.randint(0, 256, (1, 300, 180, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = AlexNet().eval()
    with torch.inference_mode():
        expected = network(transform(image.permute(0, 3, 1, 2)))
        probabilities, logits = Deployed(network, 224, mean, std, temperature=2.0, bias=[0.0, 0.5])(image)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.allclose(probabilities, torch.softmax(expected / 2 + torch.tensor([0.0, 0.5]), 1), atol=1e-5)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UserError, match="unknown architecture 'vgg'; did you mean vgg"):
        build("vgg", 2)
