import pytest

from batchgender.errors import UserError
from batchgender.model.foreign_options import ForeignOptions

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ([127.5] * 3, [128.0] * 3),
        # Caffe: less a mean, divided by nothing.
        ([104, 117, 123], [1, 1, 1]),
        ([0, 0, 0], [255, 255, 255]),
        ([0, 117, 0], [1, 57.12, 255]),
    ],
)
def test_numbers_above_1_are_over_bytes(mean: list[float], std: list[float]) -> None:
    found_mean, found_std, over_bytes = ForeignOptions(None, mean, std).pixels()
    assert over_bytes
    assert found_mean == pytest.approx([value / 255 for value in mean])
    assert found_std == pytest.approx([value / 255 for value in std])


@pytest.mark.parametrize("pixels", [IMAGENET, ([0] * 3, [1] * 3), ([0] * 3, [0.00392157] * 3), ([1] * 3, [1] * 3)])
def test_numbers_up_to_1_stay_as_they_are(pixels: tuple[list[float], list[float]]) -> None:
    assert ForeignOptions(None, *pixels).pixels() == (*pixels, False)


def test_mean_and_std_of_blue_green_red_are_turned_to_red_green_blue() -> None:
    mean, std, _ = ForeignOptions(None, [104, 117, 123], [1, 2, 3], channels="bgr").pixels()
    assert [value * 255 for value in mean] == pytest.approx([123, 117, 104])
    assert [value * 255 for value in std] == pytest.approx([3, 2, 1])


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (IMAGENET[0], [0, 0, 0], "--std above 0"),
        (IMAGENET[0], [0.5, -0.5, 0.5], "--std above 0"),
        ([float("nan"), 0, 0], IMAGENET[1], "three numbers each"),
        (IMAGENET[0], [0.5, float("inf"), 0.5], "three numbers each"),
        ([-1, 0, 0], [1, 1, 1], "three numbers each"),
        ([0, 0, 0], [256, 255, 255], "three numbers each"),
        ([0, 0], [1, 1], "three numbers each"),
        (IMAGENET[0], [58.395, 57.12, 57.375], "give both over the same"),
        ([123.675, 116.28, 103.53], IMAGENET[1], "give both over the same"),
        ([123.675, 0.456, 103.53], [58.395, 57.12, 57.375], "give both over the same"),
        ([0, 0, 0], [0.0039, 1e-5, 0.0039], "--std 0.0039,1e-05,0.0039: below 0.001"),
    ],
)
def test_mean_and_std_that_are_none_are_refused(mean: list[float], std: list[float], words: str) -> None:
    with pytest.raises(UserError) as refused:
        ForeignOptions(None, mean, std).pixels()
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["woman", "female"], "--classes woman,female: two of them are the same class (Female, Female)"),
        (["Cat", "cat"], "two of them are the same class"),
        (["female", " "], "two or more names"),
        (["female"], "two or more names"),
    ],
)
def test_classes_are_two_or_more_names_that_differ(classes: list[str], words: str) -> None:
    with pytest.raises(UserError) as refused:
        ForeignOptions(classes).class_names()
    assert words in str(refused.value)
    assert ForeignOptions([" woman ", "cat"]).class_names() == ["Female", "cat"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [([0, 0], "a value twice"), ([-1, 0], "whole numbers"), ([0, 1, 2], "3 for 2 classes"), ([], "0 for 2 classes")],
)
def test_columns_are_one_a_class(columns: list[int], words: str) -> None:
    with pytest.raises(UserError) as refused:
        ForeignOptions(columns=columns).checked_columns(2)
    assert words in str(refused.value)
    # Of two classes the second alone will do.
    assert ForeignOptions(columns=[3]).checked_columns(2) == [3]
    with pytest.raises(UserError, match="1 for 3 classes"):
        ForeignOptions(columns=[3]).checked_columns(3)


def test_channels_are_in_one_of_two_orders() -> None:
    assert [ForeignOptions(channels=order).bgr for order in (None, "rgb", "bgr")] == [False, False, True]
    with pytest.raises(UserError, match="give rgb or bgr"):
        _ = ForeignOptions(channels="gbr").bgr
