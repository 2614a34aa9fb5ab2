"""The faults that `mutants` plants, one at a time: what somebody might well write who does not know why it is so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault to plant.

    Attributes:
        name: What is wrong then.
        file: Where, below `shared/offload`.
        old: Text it replaces; occurs exactly once.
        new: Text it puts there.
        tests: The tests that see it, for what is out of the simulator's sight; empty: the simulator does.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str = ""


_CLAIM = (
    Mutant(
        "claim: a job that succeeded is claimed again",
        "core/claiming.py",
        "when=(*NOT_STARTED, *due)",
        'when=(*NOT_STARTED, *due, (Test("state", "=", State.SUCCEEDED.value),))',
    ),
    Mutant(
        "claim: a retry does not wait for its time",
        "core/claiming.py",
        'Test("state", "=", State.RETRYING.value), Test("next_at", "<=", now + EARLY_MS)',
        'Test("state", "=", State.RETRYING.value),',
    ),
    Mutant(
        "claim: the lease of a running job counts for nothing",
        "core/claiming.py",
        "    if lease_end > now:\n",
        "    if lease_end > now + 10**12:\n",
    ),
    Mutant(
        "claim: two attempts are charged",
        "core/claiming.py",
        'add={"redrives": 1} if fresh else {"attempt": 1}',
        'add={"redrives": 1} if fresh else {"attempt": 2}',
    ),
    Mutant(
        "claim: a redriven job keeps its attempts",
        "core/claiming.py",
        'changed["attempt"] = 1',
        'changed["max_attempts"] = max_attempts',
    ),
    Mutant(
        "claim: its own claim is not known again",
        "core/claiming.py",
        "    if lease == delivery.token:\n",
        "    if lease is delivery:\n",
    ),
    Mutant(
        "claim: the job that killed a worker is not put last",
        "core/claiming.py",
        "return Claim(write, suspect=died)",
        "return Claim(write, suspect=False)",
    ),
    Mutant(
        "claim: a worker's death leaves one attempt too many",
        "core/claiming.py",
        "if attempt >= max_attempts and not redriven:",
        "if attempt > max_attempts and not redriven:",
    ),
    Mutant(
        "claim: a cancel dies with the worker that was asked",
        "core/claiming.py",
        'if "cancel_requested_at" in item and not redriven:',
        'if "cancel_asked_at" in item and not redriven:',
    ),
    Mutant(
        "claim: the message of a failed job is dropped",
        "core/claiming.py",
        "    if state is State.FAILED:\n",
        "    if state is State.BLOCKED:\n",
    ),
    Mutant(
        "claim: a renewed message counts as redriven",
        "core/claiming.py",
        "own = {delivery.message_id, *delivery.message.renewed}",
        "own = {delivery.message_id}",
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "claim: a claim by a dead worker's record asks for no lease",
        "core/claiming.py",
        'Test("state", "=", State.RUNNING.value), Test("lease", "=", lease)),)',
        'Test("state", "=", State.RUNNING.value),),)',
    ),
    Mutant(
        "give back: another worker's claim is undone",
        "core/claiming.py",
        'Test("state", "=", State.RUNNING.value), Test("lease", "=", delivery.token)),)',
        'Test("state", "=", State.RUNNING.value),),)',
        tests="tests/core/test_claiming.py",
    ),
    Mutant(
        "give back: the attempt stays charged",
        "core/claiming.py",
        'add={"attempt": -1}',
        'add={"attempt": 0}',
    ),
    Mutant(
        "give back: a claim without an answer is left in force",
        "runtime/persistence.py",
        "            self.give_back()\n",
        "",
        tests="tests/runtime/test_trouble.py",
    ),
    Mutant(
        "lease: it ends in the middle of the invocation",
        "runtime/persistence.py",
        "lease_until = now + remaining_time_in_millis + _GRACE_MS",
        "lease_until = now + remaining_time_in_millis // 20",
    ),
)

_FINISH = (
    Mutant(
        "finish: any running job can be ended, whoever holds it",
        "core/ending.py",
        'return (Test("state", "=", State.RUNNING.value), Test("lease", "=", delivery.token))',
        'return (Test("state", "=", State.RUNNING.value),)',
        tests="tests/core/test_ending.py",
    ),
    Mutant(
        "finish: a retry is recorded although a cancel was asked for",
        "core/ending.py",
        '(*_held(delivery), Test("cancel_requested_at", "absent"))',
        "_held(delivery)",
    ),
    Mutant(
        "finish: a failure is recorded unconditionally",
        "core/ending.py",
        "return failed(delivery, item, error, now, when=(_held(delivery),), extra=extra)",
        "return failed(delivery, item, error, now, when=(), extra=extra)",
    ),
    Mutant(
        "finish: a large result is named as if it were in the record",
        "core/ending.py",
        "            **result,\n            **extra,\n",
        '            **{"result": value for value in result.values()},\n            **extra,\n',
        tests="tests/client/test_client.py",
    ),
    Mutant(
        "finish: all runs of a job store their large results under one key",
        "runtime/persistence.py",
        "{self._delivery.job_id}/{self._delivery.token}.json",
        "{self._delivery.job_id}/result.json",
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "finish: one request without an answer and the run is for nothing",
        "runtime/persistence.py",
        "self.after = self._invocation.insist(lambda: self._store.apply(write))",
        "self.after = self._store.apply(write)",
        tests="tests/runtime/test_trouble.py",
    ),
    Mutant(
        "finish: a lost answer is taken for a lost lease",
        "runtime/persistence.py",
        "if not ending.applied(item, self._delivery):",
        "if not (ending.applied(item, self._delivery) and item is None):",
        tests="tests/runtime/test_trouble.py",
    ),
    Mutant(
        "finish: an overtaken worker acknowledges the message",
        "runtime/worker.py",
        'self._telemetry.handed_back("overtaken by another worker")\n                return False',
        'self._telemetry.handed_back("overtaken by another worker")\n                return True',
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "finish: the follow-up is forgotten",
        "runtime/worker.py",
        "        self._follow(delivery, record.after)\n        return True",
        "        return True",
        tests="tests/runtime/test_follow_ups.py",
    ),
    Mutant(
        "reject: a broken body ends a job that is between attempts",
        "core/ending.py",
        "*(between if readable else ())",
        "*between",
        tests="tests/core/test_ending.py",
    ),
    Mutant(
        "progress: an overtaken worker writes into the winner's record",
        "runtime/running.py",
        'held = (Test("state", "=", "RUNNING"), Test("lease", "=", self._delivery.token))',
        'held = (Test("state", "=", "RUNNING"),)',
        tests="tests/runtime/test_safety.py",
    ),
)

_RETRY = (
    Mutant(
        "retry: the message is acknowledged",
        "runtime/worker.py",
        "return self._returns.later(receipt, (record.due - self._clock.now()) / 1000)",
        "return True",
    ),
    Mutant(
        "retry: the message is not hidden until its time",
        "runtime/returns.py",
        "        self._visible_in(receipt, min(math.ceil(delay), room))\n",
        "",
        tests="tests/client/test_retrying.py",
    ),
    Mutant(
        "retry: one attempt more than allowed",
        "core/retry.py",
        "if attempt >= self.max_attempts:",
        "if attempt > self.max_attempts:",
    ),
    Mutant(
        "retry: a permanent error is tried again",
        "core/retry.py",
        "if isinstance(error, Permanent):",
        "if isinstance(error, Permanent) and attempt > 1:",
        tests="tests/core/test_retry.py",
    ),
    Mutant(
        "bury: the message is acknowledged",
        "runtime/returns.py",
        "        self._visible_in(receipt, 0)\n        return False",
        "        return True",
    ),
    Mutant(
        "bury: a message that does not name its job is buried as it is",
        "runtime/returns.py",
        "if named and job_id_of(receipt.body) is None:",
        "if named and job_id_of(receipt.body) == receipt.message_id:",
    ),
)

_RETURNS = (
    Mutant(
        "renew: the message is acknowledged and no copy sent",
        "runtime/returns.py",
        "            self._queues.send(receipt.queue, copy)\n",
        "            _ = copy\n",
    ),
    Mutant(
        "renew: the message is acknowledged although the copy was refused",
        "runtime/returns.py",
        "            self._telemetry.trouble(trouble)\n            return False\n        return True",
        "            self._telemetry.trouble(trouble)\n        return True",
    ),
    Mutant(
        "renew: the copy does not name the job",
        "runtime/returns.py",
        'for name, value in (("id", receipt.message_id), ("enqueued_at", receipt.sent_at)):',
        'for name, value in (("enqueued_at", receipt.sent_at),):',
    ),
    Mutant(
        "renew: the copy does not remember whose place it took",
        "runtime/returns.py",
        '        body["renewed"] = [*message.renewed, receipt.message_id][-REMEMBERED:]\n',
        "",
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "renew: the copy remembers the last renewal alone",
        "runtime/returns.py",
        "[*message.renewed, receipt.message_id][-REMEMBERED:]",
        "[receipt.message_id]",
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "renew: never, so that a job that waits often is dead-lettered",
        "runtime/returns.py",
        "if too_long or receipt.receives >= self._max_receives - _RENEW_BEFORE:",
        "if too_long:",
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "renew: not before a run, which may kill the worker at the last receive",
        "runtime/returns.py",
        "return receipt.receives >= self._max_receives - _RENEW_BEFORE_RUN",
        "return receipt.receives > self._max_receives",
        tests="tests/runtime/test_safety.py",
    ),
)

_ENQUEUE = (
    Mutant(
        "enqueue: the record goes before the message",
        "client/client.py",
        "        delay = _delay(order.options)\n        if delay > LONGEST_QUEUE_DELAY:\n            self.timers",
        "        delay = _delay(order.options)\n        self._record(order, job_id, message, now, delay)\n"
        "        if delay > LONGEST_QUEUE_DELAY:\n            self.timers",
    ),
    Mutant(
        "enqueue: failures within a batch are swallowed",
        "client/client.py",
        "                    failures[index] = answer\n                    continue\n",
        "                    continue\n",
        tests="tests/client/test_client.py",
    ),
    Mutant(
        "enqueue: what failed within a batch is recorded all the same",
        "client/client.py",
        "                    failures[index] = answer\n                    continue\n",
        "                    failures[index] = answer\n",
        tests="tests/client/test_client.py",
    ),
    Mutant(
        "enqueue: a record that cannot be written fails a job that was sent",
        "client/client.py",
        '            _log.warning("job %s was enqueued, but its record waits for the worker: %s", job_id, trouble)\n',
        "            raise trouble\n",
        tests="tests/client/test_accepted.py",
    ),
    Mutant(
        "enqueue: the record replaces that of a faster worker",
        "core/ending.py",
        'return Write(job_id, when=((Test("id", "absent"),),), set=record)',
        "return Write(job_id, when=(), set=record)",
    ),
    Mutant(
        "key: a producer's death between key and message loses the job",
        "client/keyed.py",
        'sent=record is not None or "confirmed" in named',
        "sent=True",
    ),
    Mutant(
        "key: it is never confirmed",
        "client/client.py",
        "                self.store.apply(keys.confirm(slot, named.job_id))\n",
        "                pass\n",
        tests="tests/client/test_keys.py",
    ),
    Mutant(
        "key: all tasks share it",
        "core/keys.py",
        'return f"key#{task}#{key}"',
        'return f"key##{key}"',
        tests="tests/client/test_accepted.py",
    ),
    Mutant(
        "key: whoever comes last has it",
        "core/keys.py",
        'return _name(slot, job_id, now, ((Test("id", "absent"),), (Test("until", "<=", now),)))',
        "return _name(slot, job_id, now, ())",
    ),
    Mutant(
        "key: a job that was cancelled in its run frees it",
        "core/keys.py",
        'if record is None or "started_at" in record:',
        "if record is None:",
        tests="tests/client/test_keys.py",
    ),
)

_BY_HAND = (
    Mutant(
        "redrive: the dead letter is deleted before it is sent",
        "client/replay.py",
        "        self._sent.add(self._queues.send(source, letter.again()))\n        sent()\n"
        "        self._queues.delete(letter.queue, letter.message.receipt)\n",
        "        self._queues.delete(letter.queue, letter.message.receipt)\n"
        "        self._sent.add(self._queues.send(source, letter.again()))\n        sent()\n",
        tests="tests/client/test_crashes.py",
    ),
    Mutant(
        "redrive: it chases what fails again",
        "client/replay.py",
        "        if self._sent & {message.message_id, *_renewed(message.body)}:\n            return True\n",
        "",
        tests="tests/operate/test_operate.py",
    ),
    Mutant(
        "redrive: a letter that does not name its job comes back as another",
        "client/replay.py",
        "self.message.body if read.id is not None else",
        "self.message.body if self.job_id else",
        tests="tests/operate/test_operate.py",
    ),
    Mutant(
        "redrive: the failed job's history begins anew",
        "core/claiming.py",
        "        set=changed,\n        default=delivery.facts,\n"
        '        add={"redrives": 1} if fresh else {"attempt": 1},\n        append={"history": [entry]},\n',
        '        set={**changed, "history": [entry]} if fresh else changed,\n        default=delivery.facts,\n'
        '        add={"redrives": 1} if fresh else {"attempt": 1},\n'
        '        append={} if fresh else {"history": [entry]},\n',
    ),
    Mutant(
        "retry by hand: a worker that was faster is written over",
        "core/retrying.py",
        '                Test("finished_at", "=", item.get("finished_at", 0)),\n',
        "",
        tests="tests/client/test_retrying.py",
    ),
    Mutant(
        "cancel: a running job is ended under its worker",
        "core/cancelling.py",
        "State.BLOCKED, State.RETRYING)",
        "State.BLOCKED, State.RETRYING, State.RUNNING)",
    ),
    Mutant(
        "cancel: a run does not look whether it was asked",
        "runtime/running.py",
        "if not self._cancelled and now - self._looked_at >= _PACE_MS:",
        "if self._said is None and now - self._looked_at >= _PACE_MS:",
    ),
    Mutant(
        "cancel: a run that says how far it is learns of no cancel",
        "runtime/running.py",
        '        self._looked_at = now\n        self._cancelled = item is not None and "cancel_requested_at" in item\n',
        "        self._looked_at = now\n",
    ),
    Mutant(
        "cancel: a running job is not asked",
        "core/cancelling.py",
        'if item["state"] != State.RUNNING.value:',
        'if item["state"] is not None:',
        tests="tests/core/test_ending.py",
    ),
    Mutant(
        "expire: a job that was brought back expires",
        "core/ending.py",
        'tuple((*case, Test("redrives", "absent")) for case in NOT_STARTED)',
        "NOT_STARTED",
        tests="tests/client/test_retrying.py",
    ),
    Mutant(
        "expire: a job between attempts expires",
        "core/ending.py",
        'tuple((*case, Test("redrives", "absent")) for case in NOT_STARTED)',
        'tuple((*case, Test("redrives", "absent")) for case in (*NOT_STARTED, (Test("state", "=", "RETRYING"),)))',
        tests="tests/core/test_ending.py",
    ),
)

_LIFE = (
    Mutant(
        "life: a record lives an hour",
        "core/delivery.py",
        "return (now + RECORD_LIFE_DAYS * DAY_MS) // 1000",
        "return (now + DAY_MS // 24) // 1000",
    ),
    Mutant(
        "life: the record of a delayed job does not outlive the delay",
        "core/ending.py",
        '"ttl": life(max(now, due or 0))',
        '"ttl": life(now)',
        tests="tests/runtime/test_safety.py",
    ),
    Mutant(
        "rate limit: a taken slot is given again",
        "core/pacing.py",
        '        set={"tat": now + _interval_ms(limit), ',
        '        set={"tat": now, ',
    ),
    Mutant(
        "rate limit: a job reserves another slot each time it comes back",
        "runtime/pace.py",
        'reserved = item.get("slot_at") if item is not None else None',
        'reserved = item.get("slot") if item is not None else None',
    ),
    Mutant(
        "rate limit: a slot is noted over what changed meanwhile",
        "core/pacing.py",
        "        when=(tuple(same),),\n",
        '        when=((Test("id", "absent"),), (Test("id", "present"),)) if same else (),\n',
        tests="tests/runtime/test_pacing.py",
    ),
)

MUTANTS = (*_CLAIM, *_FINISH, *_RETRY, *_RETURNS, *_ENQUEUE, *_BY_HAND, *_LIFE)
