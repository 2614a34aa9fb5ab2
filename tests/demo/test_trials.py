import io

import pytest
from PIL import Image

from demo.trials import Expected, judge, picture
from offload import Job, State

RETRIED = Expected(attempts=2)
DEAD = Expected(State.FAILED, dead_letter=True, says="Permanent")


def job(state, attempt=1, reason=None):
    return Job(id="j", task="t", state=state, attempt=attempt, reason=reason)


@pytest.mark.parametrize(
    ("expected", "job", "dead_letter", "difference"),
    [
        (RETRIED, job(State.SUCCEEDED, 2), False, None),
        (RETRIED, job(State.SUCCEEDED, 1), False, "took 1 attempts, not 2"),
        (RETRIED, job(State.FAILED, 2), True, "is FAILED, not SUCCEEDED"),
        (RETRIED, None, False, "no record of it"),
        (DEAD, job(State.FAILED, reason="Permanent: no picture"), True, None),
        (DEAD, job(State.FAILED, reason="Permanent: no picture"), False, "its message is not in the DLQ"),
        (DEAD, job(State.FAILED, reason="OSError: disk"), True, "its reason lacks 'Permanent'"),
        (DEAD, job(State.FAILED), True, "its reason lacks 'Permanent'"),
    ],
)
def test_a_job_is_judged_by_state_attempts_reason_and_dead_letter(expected, job, dead_letter, difference):
    assert judge(expected, job, dead_letter=dead_letter) == difference


def test_the_picture_is_one():
    image = Image.open(io.BytesIO(picture(64, 40)))
    image.load()
    assert image.size == (64, 40)
    assert image.getpixel((63, 39)) == (251, 248, 160)
