"""Random views of a photo: each step alone does what its name says, and the same seed gives the same view."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import BLUE, RED, picture
from drawn_faces import draw_portrait

from batchgender.training.augmentation import augment
from batchgender.training.recipe import Recipe, changed, find_recipe

PLAIN, STRONG = Recipe(), find_recipe("strong")


def view(image: np.ndarray, recipe: Recipe, seed: int = 0, size: int = 96) -> np.ndarray:
    return augment(image, size, recipe, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return draw_portrait("female", np.random.default_rng(0))


def test_the_same_seed_gives_the_same_view_and_another_seed_another(portrait: np.ndarray) -> None:
    views = [view(portrait, STRONG, seed) for seed in range(20)]
    assert all(v.shape == (96, 96, 3) and v.dtype == np.uint8 for v in views)
    assert all(np.array_equal(v, view(portrait, STRONG, seed)) for seed, v in enumerate(views))
    assert len({v.tobytes() for v in views}) == 20


def test_the_photo_itself_is_left_as_it_was(portrait: np.ndarray) -> None:
    before = portrait.copy()
    for seed in range(20):
        view(portrait, STRONG, seed, size=224)
    assert np.array_equal(portrait, before)


def test_without_any_step_the_view_is_the_photo_resized(portrait: np.ndarray) -> None:
    resized = cv2.resize(portrait, (96, 96), interpolation=cv2.INTER_AREA).astype(int)
    difference = np.abs(view(portrait, PLAIN).astype(int) - resized)
    assert difference.mean() < 2


def test_a_flip_is_the_mirror_image(portrait: np.ndarray) -> None:
    flipped = view(portrait, replace(PLAIN, flip=1.0)).astype(int)
    plain = view(portrait, PLAIN).astype(int)
    assert np.abs(flipped - plain[:, ::-1]).mean() < 1 < np.abs(flipped - plain).mean()


def test_crops_show_parts_and_frames_show_all() -> None:
    # Red on the left, blue on the right: a crop of half the side shows other shares of them.
    image = np.concatenate([picture(RED, (100, 50)), picture(BLUE, (100, 50))], 1)
    shares = [(view(image, replace(PLAIN, crop=(0.5, 0.5)), s)[..., 0] > 120).mean() for s in range(30)]
    assert min(shares) < 0.2 and max(shares) > 0.8
    for seed in range(30):
        framed = view(image, replace(PLAIN, crop=(1.5, 1.5)), seed)
        for color in (RED, BLUE):
            near = np.abs(framed.astype(int) - color).max(2) < 30
            assert near.sum() > 0.15 * near.size


def test_a_view_around_the_face_shows_it_as_large_as_the_recipe_says() -> None:
    # A red face, half as wide as a blue photo and not in its middle.
    image, box = picture(BLUE, (100, 200)).copy(), np.array([0.1, 0.4, 0.25, 0.5], np.float32)
    image[40:90, 20:70] = RED
    for seed in range(30):
        shown = (
            augment(image, 96, replace(PLAIN, face_share=(0.8, 0.8)), np.random.default_rng(seed), box)[..., 0] > 120
        )
        assert abs(shown.mean() - 0.8**2) < 0.08
        # Whatever the share, the view reaches no further beyond the photo than the crop may.
        wide = augment(image, 96, replace(PLAIN, face_share=(0.1, 0.9)), np.random.default_rng(seed), box)[..., 0] > 120
        assert 0.5**2 - 0.03 < wide.mean() < 0.9**2 + 0.08


def test_of_a_recipe_s_views_as_many_are_drawn_around_the_face_as_it_says() -> None:
    image, box = picture(BLUE, (100, 200)).copy(), np.array([0.1, 0.4, 0.25, 0.5], np.float32)
    image[40:90, 20:70] = RED
    recipe = replace(PLAIN, face_share=(0.8, 0.8), face_views=0.5)
    views = [augment(image, 96, recipe, np.random.default_rng(seed), box)[..., 0] > 120 for seed in range(100)]
    around = sum(view.mean() > 0.4 for view in views)
    # The others show the whole photo, of which the face is an eighth.
    assert 35 < around < 65 and sum(abs(view.mean() - 0.125) < 0.02 for view in views) == 100 - around


def test_a_cap_hides_the_hair_and_leaves_the_face() -> None:
    image, box = picture(BLUE, (100, 100)).copy(), np.array([0.25, 0.3, 0.5, 0.6], np.float32)
    image[30:90, 25:75] = RED
    for seed in range(30):
        rng = np.random.default_rng(seed)
        shown = augment(image, 100, replace(PLAIN, cap=1.0), rng, box)
        changed = np.abs(shown.astype(int) - image).max(2) > 60
        # Above the brows; at the height of the eyes and below nothing.
        assert 0.02 < changed[:48].mean() < 0.6 and not changed[56:].any()
    same = augment(image, 100, replace(PLAIN, cap=1.0), np.random.default_rng(0), None)
    assert np.array_equal(same, image)


def test_gray_has_no_colour(portrait: np.ndarray) -> None:
    gray = view(portrait, replace(PLAIN, grayscale=1.0)).astype(int)
    assert (gray.max(2) - gray.min(2)).max() <= 1
    expected = cv2.cvtColor(view(portrait, PLAIN), cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(gray[..., 0] - expected).max() <= 1


def test_blur_smooths_and_noise_roughens(portrait: np.ndarray) -> None:
    def rough(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=1)).mean())

    plain = rough(view(portrait, PLAIN))
    assert np.mean([rough(view(portrait, replace(PLAIN, blur=1.0), s)) for s in range(10)]) < 0.9 * plain
    assert np.mean([rough(view(portrait, replace(PLAIN, noise=1.0), s)) for s in range(10)]) > 1.1 * plain


@pytest.mark.parametrize("step", ["color", "compress", "erase", "rotate", "shear", "stretch"])
def test_each_step_changes_the_view(portrait: np.ndarray, step: str) -> None:
    recipe = changed(PLAIN, {step: 20.0 if step in ("rotate", "shear") else 1.0})
    assert recipe.augments and not PLAIN.augments
    differ = [not np.array_equal(view(portrait, recipe, s), view(portrait, PLAIN, s)) for s in range(10)]
    assert sum(differ) >= 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (700, 3), (2000, 1500)])
def test_photos_of_any_size_give_a_view(shape: tuple[int, int]) -> None:
    image = picture(RED, shape)
    for seed in range(5):
        assert view(image, STRONG, seed).shape == (96, 96, 3)
