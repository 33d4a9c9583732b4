"""The binding table is whole, and wrong keys are refused before the screen opens."""

from __future__ import annotations

import pytest

from iotop_ng.errors import UsageError
from iotop_ng.view.bindings import ACTIONS, BY_NAME, EVERYWHERE, LATER, check_keys, with_keys


def test_names_and_keys_are_unique() -> None:
    assert len(BY_NAME) == len(ACTIONS)
    keys = [key for action in ACTIONS for key in action.keys.split(",")] + list(LATER)
    assert len(keys) == len(set(keys))
    assert set(BY_NAME) >= EVERYWHERE


def test_ranks_are_unique() -> None:
    ranks = [action.rank for action in ACTIONS if action.rank]
    assert len(ranks) == len(set(ranks))


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'sort_wrte' \(did you mean 'sort_write'\?\)"):
        check_keys({"sort_wrte": "x"})


@pytest.mark.parametrize("key", ["nokey", "", "x,", "ctrl+", "Enter", "x;y"])
def test_a_key_that_no_keyboard_has_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="quit: no key is called"):
        check_keys({"quit": key})


@pytest.mark.parametrize("key", ["x", "?", "f12", "ctrl+shift+f5", "exclamation_mark", "é", "at"])
def test_a_key_is_known_by_its_character_or_name(key: str) -> None:
    check_keys({"suspend": key.replace("?", "question_mark"), "help": "f1", "settings": "f2"})


def test_one_key_for_two_actions_is_refused() -> None:
    with pytest.raises(UsageError, match="both"):
        check_keys({"sort_read": "q"})
    check_keys({"sort_read": "q", "quit": "x"})


def test_changed_keys_are_shown_as_they_are() -> None:
    changed = {action.name: action for action in with_keys({"quit": "x,f12"})}
    assert changed["quit"].shown == "x f12"
    assert changed["help"].shown == BY_NAME["help"].shown
