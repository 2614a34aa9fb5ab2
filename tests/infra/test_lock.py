import pytest

from infra.lock import Pin, own_pins, package_name, read_lock, requirement_lines, select
from offload import DefinitionError

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def test_a_lock_is_read_with_markers_and_hashes(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text(
        f"# a comment\nmoto[server]==5.2.5 \\\n    --hash={ONE} \\\n    --hash={TWO}\n-e .\n"
        f"Typing_Extensions==4.1 ; python_version < '3.12' \\\n    --hash={ONE}\n"
    )
    moto, typing = read_lock(path)
    assert moto == Pin("moto", "5.2.5", "", (ONE, TWO))
    assert (moto.constraint, moto.locked) == ("moto==5.2.5", f"moto==5.2.5 --hash={ONE} --hash={TWO}")
    assert typing.constraint == "typing-extensions==4.1 ; python_version < '3.12'"
    assert typing.locked == f"typing-extensions==4.1 --hash={ONE}"


@pytest.mark.parametrize("line", ["six==1.17.0", "six==1.17.0 --hash=md5:00", "six==1.17.0 --hash=sha256:00"])
def test_a_package_without_a_hash_is_not_locked(tmp_path, line):
    path = tmp_path / "requirements.txt"
    path.write_text(line)
    with pytest.raises(DefinitionError, match=r"six==1\.17\.0 has no hash: run `make lock`"):
        read_lock(path)
    assert own_pins(path) == []


def test_a_missing_lock_is_named(tmp_path):
    with pytest.raises(DefinitionError, match="is missing"):
        read_lock(tmp_path / "requirements.txt")
    assert own_pins(tmp_path / "requirements.txt") == requirement_lines(tmp_path / "requirements.txt") == []


@pytest.mark.parametrize("line", ["six==1.18", "seven==1.17", "six @ https://example.org/six.whl", "./six"])
def test_what_is_not_locked_in_this_version_is_refused(line):
    with pytest.raises(DefinitionError, match=r"is not locked|does not begin"):
        select([line], [Pin("six", "1.17", "", (ONE,))])


def test_names_are_compared_as_packages_are():
    assert package_name("Typing_Extensions>=4") == "typing-extensions"
    (found,) = select(["Six==1.17"], [Pin("six", "1.17", "", (ONE,))])
    assert found.hashes == (ONE,)


@pytest.mark.parametrize("name", ["requirements.txt", "shared/offload/local/engine.txt", "tests/rie/requirements.txt"])
def test_every_package_of_the_repository_is_locked_and_no_host_is_named(repository, name):
    pins = read_lock(repository / name)
    assert len(pins) >= 4
    assert len(pins) == len(requirement_lines(repository / name))
    for file in (repository / name, (repository / name).with_suffix(".in")):
        assert "http" not in file.read_text()
        assert "index" not in file.read_text()


def test_every_pin_is_in_its_lock(repository):
    for name in ("requirements", "shared/offload/local/engine", "tests/rie/requirements"):
        locked = {(pin.name, pin.version) for pin in read_lock(repository / f"{name}.txt")}
        for line in requirement_lines(repository / f"{name}.in"):
            wanted, _, version = line.partition("==")
            assert (package_name(wanted), version) in locked
