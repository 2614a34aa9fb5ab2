from offload.local import record
from offload.local.record import Record


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "engine.json"
    known = Record(port=4566, pid=7, birth="99", since="2026-11-21T02:00:00.000Z", stack="offload")
    record.write(path, known)
    assert record.read(path) == known
    assert [file.name for file in path.parent.iterdir()] == ["engine.json"]


def test_nothing_is_known_without_a_record_or_from_a_broken_one(tmp_path):
    path = tmp_path / "engine.json"
    assert record.read(path) is None
    for text in ("", "{", "[]", '{"pid": 1}', '{"port": 1, "colour": "red"}'):
        path.write_text(text)
        assert record.read(path) is None, text
