"""A dataset's label column: which class each of its values is."""

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from batchgender.errors import UserError
from batchgender.io import Notify, is_number
from batchgender.photos.labels import ALIASES, LabelNames, name_key

_FEMALE, _MALE = ALIASES
# Two values that mean no and yes, by their keys: False and True have those of 0 and 1.
_PAIRS = (("0", "1"), ("f", "t"), ("-1", "1"))
# The same, in columns that ask: is_male. In others they may be about anything.
_ANSWERS = (("no", "yes"), ("n", "y"))
_YES = frozenset(yes for _, yes in _PAIRS)
# What stands where there is no label, beside values that are one.
_NO_LABELS = frozenset({"-1", "nan", "none", "null", "na", "n/a", "<na>"})


def classes_of_values(
    declared: Sequence[str] | None, values: Iterable[Any], column: str, names: LabelNames, notify: Notify
) -> dict[Hashable, str]:
    """The class of each value of a column, of those that stand for one; `declared` are class names by index.

    No and yes, as numbers, booleans or text, are taken for Female and Male in this order where no name explains them,
    and that is said. Raises UserError where the column holds no single values.
    """
    texts = _texts(declared, values, column)
    if not declared:
        texts = _labelled(texts, names)
    found = {name_key(text) for text in texts.values()}
    pairs = _PAIRS + (_ANSWERS if names_a_class(column, names) else ())
    pair = next((pair for pair in pairs if found <= set(pair) and found & {"0", pair[1]}), None)
    if not pair or all(map(names.is_given, found)):
        return {value: names.canonical_name(text) for value, text in texts.items()}
    class_of = dict(zip(pair, _pair_classes(pair, column, names), strict=True))
    written = {name_key(text): text for text in texts.values()}
    said = " and ".join(f"{written[key]} for {class_of[key]}" for key in pair if key in written)
    notify(f"the column {column} does not name its classes: taking {said}; --label-names says it otherwise")
    return {value: class_of[name_key(text)] for value, text in texts.items()}


def stated_classes(
    declared: Sequence[str] | None, values: Iterable[Any], column: str, names: LabelNames, notify: Notify
) -> dict[Hashable, str]:
    """`classes_of_values` of photos that need no label: where the values are numbers, and no classes, that is said."""
    class_of = classes_of_values(declared, values, column, names, notify)
    if class_of and all(map(is_number, class_of.values())):
        notify(
            f"the column {column} holds numbers that stand for no class, its photos count as unlabelled; --label-names"
            " says which class a number is (--label-names male=1 --label-names female=2, for example)"
        )
    return class_of


def names_a_class(column: str, names: LabelNames) -> str | None:
    """The class that a column asks about by its name, Female or Male (is_female, isMale); None where it does not."""
    words = re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+", column)
    classes = {names.canonical_name(word) for word in words if len(word) > 1} & set(ALIASES)
    return classes.pop() if len(classes) == 1 else None


def _texts(declared: Sequence[str] | None, values: Iterable[Any], column: str) -> dict[Hashable, str]:
    """What each value is written as, but for those that are missing."""
    if declared:
        return dict(enumerate(declared))
    try:
        distinct = sorted(set(values), key=str)
    except TypeError as error:
        raise UserError(f"the column {column} holds lists; name the column of labels label") from error
    # NaN equals nothing, itself neither.
    return {each: text for each in distinct if each is not None and each == each and (text := _text(each))}


def _text(value: Any) -> str:
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()


def _labelled(texts: dict[Hashable, str], names: LabelNames) -> dict[Hashable, str]:
    """Without what stands for no label, where the others are no and yes, Female and Male, or numbers from 0."""
    found = {name_key(text) for text in texts.values()}
    missing = {key for key in found & _NO_LABELS if not names.is_given(key)}
    others = found - missing
    if others == {"1"}:
        missing.discard("-1")
    numbers = "0" in others and all(map(is_number, others))
    ours = all(names.canonical_name(key) in ALIASES or key in _YES for key in others)
    if not (numbers or ours):
        return texts
    return {value: text for value, text in texts.items() if name_key(text) not in missing}


def _pair_classes(pair: Sequence[str], column: str, names: LabelNames) -> tuple[str, str]:
    """The classes of no and yes, by the one of them that is given, else by what the column asks."""
    low, high = pair
    for key, other_way in ((low, False), (high, True)):
        if names.is_given(key):
            given = names.canonical_name(key)
            if given not in ALIASES:
                return (given, high) if key == low else (low, given)
            return (_MALE, _FEMALE) if (given == _FEMALE) == other_way else (_FEMALE, _MALE)
    return (_MALE, _FEMALE) if names_a_class(column, names) == _FEMALE else (_FEMALE, _MALE)
