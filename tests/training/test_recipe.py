"""Recipes by name and from files, and what is said of an ill-made one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgender.errors import UserError
from batchgender.training.recipe import Recipe, changed, find_recipe, recipe_names


def test_a_file_says_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "strong"\nlr = 1e-3\ncrop = [0.5, 2]\nepochs = 3\n')
    (tmp_path / "mine.json").write_text('{"base": "strong", "lr": 0.001, "crop": [0.5, 2.0], "epochs": 3}')
    recipe = find_recipe(str(tmp_path / "mine.toml"))
    assert recipe == find_recipe(str(tmp_path / "mine.json"))
    assert recipe == changed(find_recipe("strong"), {"name": "mine", "lr": 1e-3, "crop": [0.5, 2.0], "epochs": 3})
    (tmp_path / "plain.toml").write_text("lr = 1e-3\n")
    assert find_recipe(str(tmp_path / "plain.toml")) == changed(Recipe(), {"name": "plain", "lr": 1e-3})


def test_what_a_checkpoint_holds_of_a_recipe_is_read_back() -> None:
    for recipe in map(find_recipe, recipe_names()):
        assert Recipe.from_dict(recipe.as_dict()) == recipe


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("learning_rate = 0.1", "keys that this version does not know: learning_rate"),
        ('lr = "high"', "lr wants a number from 0 to 100, has 'high'"),
        ("lr = nan", "lr wants a number from 0 to 100, has nan"),
        ("epochs = 2.5", "epochs wants a whole number"),
        ("epochs = true", "epochs wants a whole number"),
        ("epochs = 0", "epochs wants a whole number from 1"),
        ("crop = 0.5", "crop wants 2 numbers"),
        ("crop = [0.5, 'x']", "crop wants a number from 0.1 to 4, has 'x'"),
        ("crop = [1.5, 0.5]", "crop wants the smaller number first"),
        ("face_share = [0.0, 0.5]", "face_share wants two shares from 0.1, or 0 twice"),
        ("face_share = [1e-9, 1e-9]", "face_share wants two shares from 0.1, or 0 twice"),
        ("balance = 1", "balance wants true or false"),
        ('optimizer = "lion"', "optimizer wants one of adam, adamw, sgd"),
        ("architecture = 18", "architecture wants text"),
        ('base = "best"', "unknown base 'best'; choose from seed, narrow, strong"),
        ("base = []", "unknown base"),
        ("lr = ", "no valid TOML"),
    ],
)
def test_an_ill_made_recipe_is_refused_with_the_key_and_what_it_wants(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        find_recipe(str(tmp_path / "bad.toml"))
    assert reason in str(caught.value) and str(caught.value).startswith(str(tmp_path / "bad.toml"))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name, reason in (
        ("best", f"choose from {', '.join(recipe_names())}, or name a file"),
        (str(tmp_path / "none.toml"), "No such file"),
        (str(tmp_path / "list.json"), "a recipe is a table of keys and values"),
        (str(tmp_path / "bytes.toml"), "no valid TOML"),
    ):
        with pytest.raises(UserError, match=reason):
            find_recipe(name)


def test_the_built_in_recipes_are_named_in_the_help_of_train(cli: Callable[..., Any]) -> None:
    said = cli("train", "--help").stdout
    assert recipe_names()[0] == "seed" == Recipe().name
    assert all(f"{name}," in said for name in recipe_names())


def test_the_default_recipe_is_what_the_keys_have_by_default() -> None:
    assert find_recipe("seed") == Recipe()
