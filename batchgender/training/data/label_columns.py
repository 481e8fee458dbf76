"""A dataset's label column: which class each of its values is."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from batchgender.errors import UserError
from batchgender.io import Notify, is_number
from batchgender.photos.labels import LabelNames

# Two values that mean no and yes, by what they are written as: the first is Female, as in the default dataset.
_PAIRS = (("0", "1"), ("-1", "1"), ("false", "true"))
_NO_LABEL = "-1"


def classes_of_values(
    declared: Sequence[str] | None, values: Iterable[Any], column: str, names: LabelNames, notify: Notify
) -> dict[Hashable, str]:
    """The class of each value of a column, of those that stand for one; `declared` are class names by index.

    Numbers and booleans that no name explains are taken for Female and Male, in this order, and that is said. Raises
    UserError where the column holds no single values.
    """
    if declared:
        texts: Mapping[Hashable, str] = dict(enumerate(declared))
    else:
        try:
            distinct = sorted(set(values), key=str)
        except TypeError as error:
            raise UserError(f"the column {column} holds lists; name the column of labels label") from error
        texts = {value: str(value).strip() for value in distinct if _is_label(value)}
    plain = {value: _plain(text) for value, text in texts.items()}
    if any(names.canonical_name(text) != text for text in texts.values()):
        return {value: names.canonical_name(text) for value, text in texts.items()}
    found = set(plain.values())
    if found == {_NO_LABEL, "0", "1"}:
        found.discard(_NO_LABEL)
    pair = next((pair for pair in _PAIRS if found and found <= set(pair)), None)
    if pair:
        written = {plain[value]: text for value, text in texts.items()}
        said = " and ".join(
            f"{written[one]} for {name}" for one, name in zip(pair, ("Female", "Male"), strict=True) if one in written
        )
        notify(f"the column {column} does not name its classes: taking {said}; --label-names says it otherwise")
        return {value: ("Female", "Male")[pair.index(one)] for value, one in plain.items() if one in pair}
    if texts and all(is_number(one) for one in found):
        notify(
            f"the column {column} does not name its classes: they are called {', '.join(sorted(texts.values()))};"
            " --label-names female=1 --label-names male=2 names them, for example"
        )
    return dict(texts)


def _is_label(value: Any) -> bool:
    """Whether a value is there: not missing, no NaN (which equals nothing), no empty text."""
    return value is not None and value == value and str(value).strip() != ""


def _plain(text: str) -> str:
    """A number as short as it can be written, other text in lower case."""
    return f"{float(text):g}" if is_number(text) else text.lower()
