"""What is kept lives as long as the job that it belongs to may live."""

from __future__ import annotations

import pytest

from offload.core import retention
from offload.core.retention import DAY, DEAD_LETTER_DAYS, LONGEST_DELAY, PAYLOAD_DAYS, QUEUE_DAYS, RECORD_DAYS


def days_of(key):
    (days,) = [days for folder, days in retention.folder_lives().items() if key.startswith(folder)]
    return days


@pytest.mark.parametrize("delay", [0, 1, 14 * DAY, 32 * DAY, 32 * DAY + 1, 300 * DAY, LONGEST_DELAY])
def test_a_payload_outlives_its_delay_and_two_stays_in_the_queues(delay):
    key = retention.payload_key("invoice", "a", delay)
    assert days_of(key) * DAY >= delay + 2 * DEAD_LETTER_DAYS * DAY
    assert retention.is_payload_of(key, "invoice", "a")


def test_most_payloads_do_not_cost_a_years_storage():
    assert days_of(retention.payload_key("invoice", "a", 900)) == min(PAYLOAD_DAYS)


@pytest.mark.parametrize(
    "key",
    [
        "payloads/60d/invoice/b.json",
        "payloads/60d/other/a.json",
        "payloads/7d/invoice/a.json",
        "payloads/60d/invoice/a.json/more",
        "payloads/60d/invoice/../invoice/a.json",
        "results/60d/invoice/a.json",
        "uploads/a.json",
    ],
)
def test_other_objects_are_not_a_jobs_payload(key):
    assert not retention.is_payload_of(key, "invoice", "a")


def test_a_payload_is_written_again_long_before_it_expires():
    assert not retention.is_old_payload(0, 14 * DAY * 1000)
    assert retention.is_old_payload(0, 14 * DAY * 1000 + 1)
    # Read just before it was old, it still outlives two stays in the queues.
    assert min(PAYLOAD_DAYS) >= 14 + 2 * DEAD_LETTER_DAYS


@pytest.mark.parametrize("life", [3600, DAY, DAY + 1, 7 * DAY, 36 * 3600, 365 * DAY])
def test_an_object_outlives_the_last_hour_of_its_result(life):
    folder = retention.result_folder("invoice", life)
    assert days_of(folder + "a/lease.json") * DAY >= life + DAY
    assert retention.result_days(life) * DAY >= life


def test_a_record_outlives_every_message_of_its_job():
    assert QUEUE_DAYS < DEAD_LETTER_DAYS
    assert 2 * DEAD_LETTER_DAYS < RECORD_DAYS


def test_a_result_lies_in_the_folder_of_its_own_job():
    own = f"{retention.result_folder('work', 7 * DAY)}job-1/lease.json"
    assert retention.is_result_of(own, "work", "job-1")
    for key, task, job_id in (
        (own, "work", "job-2"),
        (own, "other", "job-1"),
        (own, "wor", "job-1"),
        (f"{own}/more", "work", "job-1"),
        (own.replace("results", "payloads"), "work", "job-1"),
        (own.replace("7d", "8d"), "work", "job-1"),
        (f"x/{own}", "work", "job-1"),
        ("", "work", "job-1"),
    ):
        assert not retention.is_result_of(key, task, job_id)
