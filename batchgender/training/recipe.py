"""What a training run does, as one frozen record that its checkpoint carries."""

from dataclasses import asdict, dataclass
from typing import Any

from batchgender.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """The seed recipe is the default: cross entropy, Adam at a constant rate, no augmentation."""

    name: str = "seed"
    architecture: str = "alexnet"
    epochs: int = 8
    batch_size: int = 32
    lr: float = 1e-4
    seed: int = 0
    input_size: int = 224
    # ImageNet's, over RGB in 0..1.
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as a checkpoint and a model file hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Recipe":
        """Read what `as_dict` wrote; raises UserError on keys that this version does not know."""
        unknown = sorted(set(data) - set(cls.__dataclass_fields__))
        if unknown:
            raise UserError(f"the recipe has keys that this version does not know: {', '.join(unknown)}")
        lists: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return cls(**lists)
