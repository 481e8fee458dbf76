"""The settings that a run was begun with: whether those of a run that goes on from it are the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchgender.errors import CannotResume


def changed_settings(before: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The names of the settings that differ, sorted."""
    return sorted(name for name in {*settings, *before} if before.get(name) != settings.get(name))


def check_settings(before: Mapping[str, Any], settings: Mapping[str, Any], unfinished: Path) -> None:
    """Raise CannotResume where an unfinished run had other settings."""
    if changed := changed_settings(before, settings):
        raise begun_with_another(changed, unfinished)


def begun_with_another(changed: list[str], unfinished: Path) -> CannotResume:
    """Why a run can't be resumed whose settings of these names were others."""
    return CannotResume(
        f"{unfinished}: was begun with another {', '.join(changed)};"
        " resume with the same or start again with --overwrite"
    )
