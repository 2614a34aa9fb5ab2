from __future__ import annotations

import pytest

from offload.core.jobs.fingerprint import fingerprint

ERROR = {
    "type": "ValueError",
    "message": "no account 17: 'ann'",
    "traceback": '  File "/a/b/handler.py", line 5, in f\n',
}


def test_the_same_failure_has_one_name():
    same = {
        "type": "ValueError",
        "message": "no account 4: 'bob'",
        "traceback": '  File "/c/b/handler.py", line 9, in f\n',
    }
    assert fingerprint(ERROR) == fingerprint(same)
    assert len(fingerprint(ERROR)) == 8


@pytest.mark.parametrize("change", [{"type": "KeyError"}, {"message": "another"}, {"traceback": ""}], ids=str)
def test_another_failure_has_another_name(change):
    assert fingerprint({**ERROR, **change}) != fingerprint(ERROR)


def test_an_error_that_says_nothing_has_a_name_too():
    assert fingerprint({}) == fingerprint({"type": ""})
