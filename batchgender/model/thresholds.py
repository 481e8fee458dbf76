"""From probabilities to an answer: the one rule that decides what a photo is called."""

from collections.abc import Mapping, Sequence

UNSURE = "Unsure"


def decide(probabilities: Sequence[float], classes: Sequence[str], thresholds: Mapping[str, float]) -> str:
    """Choose the class of one photo, or `Unsure`; `probabilities` are in class order, six decimals.

    A class is a candidate where its probability is at least its threshold; the one farthest above its threshold
    is taken, the first of equals. Without thresholds this is the largest probability.
    """
    if not thresholds:
        return classes[probabilities.index(max(probabilities))]
    # Rounded, or the last bit of a subtraction would choose between equals.
    margins = [round(p - thresholds.get(name, 0.0), 6) for p, name in zip(probabilities, classes, strict=True)]
    best = max(range(len(margins)), key=margins.__getitem__)
    return classes[best] if margins[best] >= 0 else UNSURE


def in_force(stored: Mapping[str, float], given: float | None, classes: Sequence[str]) -> dict[str, float]:
    """The thresholds of a run: `given` for each class, else those stored in the model file; 0 stands for none."""
    if given is None:
        return dict(stored)
    return dict.fromkeys(classes, given) if given else {}


def described(thresholds: Mapping[str, float]) -> str:
    """Name thresholds on one line: "Female 0.62, Male 0.58"."""
    return ", ".join(f"{name} {threshold:g}" for name, threshold in thresholds.items())
