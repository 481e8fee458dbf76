"""The terms of a model's weights: those of its photos, and of the weights and teachers that it began with."""

from collections.abc import Iterable

from batchgender.training.checkpoint import LICENSE

_OWN_TERMS = "; and the terms of the photos trained on since"
_BETWEEN = " | "


def combined_license(stated: Iterable[str]) -> str:
    """The license of a model trained from weights and by teachers of these licenses; "" states none."""
    foreign = [each.removesuffix(_OWN_TERMS) for each in stated if each not in ("", LICENSE)]
    # Terms that several state stand once.
    terms = dict.fromkeys(term for each in foreign for term in each.split(_BETWEEN))
    return _BETWEEN.join(terms) + _OWN_TERMS if terms else LICENSE
