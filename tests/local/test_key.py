import stat

import pytest

from offload.local import key
from offload.local.errors import LocalError


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "key.json"
    made = key.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.make(path) == made == key.read(path)
    assert made.secret_key not in repr(made)
    assert len(made.secret_key) >= 40


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"access_key": "x"}'])
def test_a_broken_key_is_replaced(tmp_path, text):
    path = tmp_path / "key.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(LocalError, match="cannot be read"):
        key.read(path)
    assert key.make(path) == key.read(path)


def test_a_key_that_others_could_read_is_replaced(tmp_path):
    path = tmp_path / "key.json"
    first = key.make(path)
    path.chmod(0o644)
    second = key.make(path)
    assert second != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_engine_has_its_own_key(tmp_path):
    assert key.make(tmp_path / "one") != key.make(tmp_path / "two")


def test_a_missing_key_says_what_to_do(tmp_path):
    with pytest.raises(LocalError, match="offload local down"):
        key.read(tmp_path / "key.json")
