"""What every `JobStore` does with many writes and many keys at once."""

from __future__ import annotations

from offload.core.errors import Refused
from offload.core.jobs.accepting import accept
from offload.core.jobs.idempotency_keys import KeyUse, confirm_key, reserve_key
from offload.core.messages.message import Message
from offload.core.writes import Conflict, Test, Write

ABSENT = ((Test("id", "absent"),),)


def key(name: str) -> KeyUse:
    return KeyUse("t", name, "{}", "salt")


def accepted(number: int, now: int) -> Write:
    message = Message(payload={}, tenant='it\'s "quoted"', enqueued_at=now - 1)
    due = now + 900_000 if number % 2 else None
    return accept("send", f"job-{number}", message, now, due=due, max_attempts=3)


def test_the_records_of_many_jobs_are_what_one_write_each_makes(exact_world):
    world = exact_world
    writes = [accepted(number, world.clock.now()) for number in range(60)]
    made = world.store.apply_many(writes)
    assert [record["id"] for record in made] == [write.id for write in writes]
    assert made == [{"id": write.id, **write.set} for write in writes]
    assert world.store.get_many([write.id for write in writes]) == {write.id: made[i] for i, write in enumerate(writes)}
    partition = made[1]["idx"]
    expected = {record["id"] for record in made if record.get("idx") == partition}
    assert {record["id"] for record in world.store.find(partition, limit=100)} == expected


def test_many_reads_leave_out_what_is_not_there_or_has_expired(world):
    now = world.clock.now() // 1000
    for n in range(130):
        world.store.apply(Write(f"k{n}", ABSENT, set={"n": n}))
    world.store.apply(Write("old", set={"ttl": now - 1}))
    found = world.store.get_many([*(f"k{n}" for n in range(130)), "gone", "old", "k7", "k7"])
    assert found == {f"k{n}": {"id": f"k{n}", "n": n} for n in range(130)}
    assert world.store.get_many([]) == {}
    assert world.store.apply_many([]) == []


def test_each_write_holds_or_fails_alone_and_a_conflict_has_the_item(exact_world):
    store = exact_world.store
    now = exact_world.clock.now() // 1000
    there = store.apply(Write("there", set={"state": "RUNNING", "n": 1}))
    expired = store.apply(Write("expired", set={"ttl": now - 1}))
    outcomes = store.apply_many(
        [
            Write("new", ABSENT, set={"state": "PENDING"}, append={"history": [["PENDING", 1]]}, add={"n": 2}),
            Write("there", ABSENT, set={"state": "PENDING"}),
            Write("expired", ABSENT, set={"state": "PENDING"}),
            Write("nan", ABSENT, set={"x": float("nan")}),
            Write("nothing", ((Test("state", "=", "RUNNING"),),), set={"x": 1}),
            Write("last", ABSENT, default={"x": 1}),
        ]
    )
    assert outcomes[0] == {"id": "new", "state": "PENDING", "history": [["PENDING", 1]], "n": 2}
    for outcome, item in ((outcomes[1], there), (outcomes[2], expired), (outcomes[4], None)):
        assert isinstance(outcome, Conflict)
        assert outcome.item == item
    assert isinstance(outcomes[3], Refused)
    assert outcomes[5] == {"id": "last", "x": 1}
    assert store.get("there") == there


def test_a_batch_changes_items_as_single_writes_do(exact_world):
    """Statements, inserts that meet an item, and writes that no statement expresses."""
    store = exact_world.store
    store.apply_many([Write("a", ABSENT, set={"state": "RUNNING", "lease": "x", "gone": 1, "n": 5})])
    held = (Test("state", "=", "RUNNING"), Test("lease", "<>", "y"), Test("n", ">=", 5), Test("no", "absent"))
    outcomes = store.apply_many(
        [
            Write("a", (held,), set={"state": "SUCCEEDED", "list": [1]}, remove=("gone", "never")),
            Write("a", (held,), set={"state": "FAILED"}),
            Write("a", ((Test("n", "present"),),), add={"n": 1}, append={"list": [2]}),
            Write("a", (*ABSENT, (Test("n", "=", 6),)), set={"n": 7}),
            Write("a", ((Test("no", "<>", 1),),), set={"n": 8}),
            Write("b", set={"x": 1}),
            Write("b", set={"y": 2}),
        ]
    )
    after = {"id": "a", "state": "SUCCEEDED", "lease": "x", "n": 5, "list": [1]}
    assert outcomes[0] == after
    assert isinstance(outcomes[1], Conflict)
    assert outcomes[1].item == after
    assert outcomes[2] == {**after, "n": 6, "list": [1, 2]}
    assert outcomes[3] == {**after, "n": 7, "list": [1, 2]}
    assert isinstance(outcomes[4], Conflict)
    assert outcomes[5:] == [{"id": "b", "x": 1}, {"id": "b", "x": 1, "y": 2}]
    assert store.get_many(["a", "b"]) == {"a": outcomes[3], "b": outcomes[6]}


def test_keys_are_reserved_and_confirmed_in_batches(exact_world):
    store, now = exact_world.store, exact_world.clock.now()
    uses = [KeyUse("t", name, "{}", "salt") for name in ("old", "used", "new")]
    store.apply(reserve_key(uses[0], "j-old", now - 2 * 86_400_000))
    store.apply(reserve_key(uses[1], "j-used", now))
    old, used, new = store.apply_many([reserve_key(use, "j", now) for use in uses])
    assert (old["job"], new["job"]) == ("j", "j")
    assert isinstance(used, Conflict)
    assert used.item["job"] == "j-used"
    confirmed = store.apply_many([confirm_key("t", use.key, "j") for use in uses])
    assert confirmed[0] == {**old, "confirmed": True}
    assert isinstance(confirmed[1], Conflict)
    assert confirmed[2]["confirmed"] is True


def test_a_write_that_changes_the_key_is_refused(strict_world):
    (outcome,) = strict_world.store.apply_many([Write("a", ABSENT, set={"id": "b"})])
    assert isinstance(outcome, Refused)
    assert strict_world.store.get_many(["a", "b"]) == {}
