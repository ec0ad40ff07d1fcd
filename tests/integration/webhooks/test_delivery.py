"""What becomes of a message: delivered, tried again, given up; over restarts and steps of the clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from standardwebhooks import Webhook

from pipeline.errors import UnavailableError
from pipeline.webhooks.schedule import ATTEMPTS, DELAYS_S
from pipeline.webhooks.sender import TO_ONE, TOGETHER
from tests.acceptance.harness import free_port, until
from tests.integration.webhooks.conftest import SECRET, Rig
from tests.integration.webhooks.receiver import Handler, Receiver, status


@pytest.fixture(autouse=True)
def _no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)


def test_the_receiver_gets_a_signed_monitoring_answer(rig: Rig, receiver: Receiver) -> None:
    """Which the library of Standard Webhooks accepts."""
    callback = rig.tell(receiver.url)
    (request,) = receiver.requests
    said = Webhook(SECRET).verify(request.body, request.headers)
    assert (said["type"], said["task_status"], said["dirname"]) == ("task.failed", "failed", "talks1")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (callback.state, callback.attempts, callback.last_error) == ("delivered", 1, None)


def test_a_receiver_that_is_down_for_an_hour_gets_it_once_it_is_up(
    rig: Rig, receivers: Callable[..., Receiver]
) -> None:
    """Though the service was restarted in between: no attempt is made that is not due."""
    receiver = receivers(up=False, port=free_port())
    rig.now = began = time.time() - sum(
        DELAYS_S[:4]
    )  # the fifth attempt is now: its signature is checked by the hour
    task = rig.end_task(receiver.url)
    for attempt, delay in enumerate(DELAYS_S[:4], 1):
        rig.run()
        stands = rig.callback(task)
        assert (stands.state, stands.attempts, stands.next_at) == ("pending", attempt, rig.now + delay)
        assert stands.last_error
        assert "ConnectError" in stands.last_error
        rig.restart()
        rig.now += delay - 1
        rig.run()
        assert rig.callback(task).attempts == attempt
        rig.now += 1
        if rig.now > began + 3600:
            receiver.start()
    rig.run()
    assert rig.callback(task).state == "delivered"
    (request,) = receiver.requests
    assert Webhook(SECRET).verify(request.body, request.headers)["task_id"] == task


def test_every_attempt_is_the_same_message_signed_anew(rig: Rig, receiver: Receiver) -> None:
    """The id is what a receiver knows it again by."""
    receiver.answer = status(500)
    rig.tell(receiver.url)
    rig.now += DELAYS_S[0]
    receiver.answer = status(200)
    rig.run()
    first, second = receiver.requests
    assert second.body == first.body
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    times = [int(each.headers["webhook-timestamp"]) for each in (first, second)]
    assert times[1] - times[0] in (5, 6)


def test_it_is_given_up_after_three_days_of_failures_visibly(
    rig: Rig, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = status(500)
    task = rig.end_task(receiver.url)
    for delay in (*DELAYS_S, 0.0):
        rig.run()
        rig.now += delay
    rig.now += 10**7
    rig.run()
    callback = rig.callback(task)
    assert (callback.state, callback.attempts) == ("given_up", ATTEMPTS)
    assert callback.last_error == "answered 500"
    assert len(receiver.requests) == ATTEMPTS
    assert "given up after attempt 10 of 10: answered 500" in caplog.text


def test_a_receiver_that_is_gone_is_not_asked_again(rig: Rig, receiver: Receiver) -> None:
    receiver.answer = status(410)
    callback = rig.tell(receiver.url)
    rig.now += 10**6
    rig.run()
    assert (callback.state, len(receiver.requests)) == ("given_up", 1)


@pytest.mark.parametrize("code", [429, 503])
def test_a_receiver_that_asks_for_time_gets_it(rig: Rig, receiver: Receiver, code: int) -> None:
    receiver.answer = status(code, Retry_After="600")
    assert rig.tell(receiver.url).next_at == rig.now + 600


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    rig: Rig, receiver: Receiver, receivers: Callable[..., Receiver], code: int
) -> None:
    """It could lead anywhere."""
    elsewhere = receivers()
    receiver.answer = status(code, Location=elsewhere.url)
    callback = rig.tell(receiver.url)
    assert callback.state == "pending"
    assert callback.last_error == f"answered {code}: redirects are not followed"
    assert elsewhere.requests == []


def test_a_slow_receiver_holds_up_no_other(
    rig: Rig, receiver: Receiver, receivers: Callable[..., Receiver]
) -> None:
    """It has a few attempts at a time, however many messages wait for it."""
    quick = receivers()
    receiver.answer = lambda _: time.sleep(30)
    for _ in range(3 * TOGETHER):
        rig.end_task(receiver.url)
    for _ in range(3):
        rig.end_task(quick.url)
    for _ in range(3):
        rig.sender.step(0.0)
    until(lambda: len(quick.requests) == 3)
    assert len(rig.sender._under_way) >= TO_ONE
    until(lambda: len(receiver.requests) == TO_ONE)
    rig.sender.step(0.0)
    assert len(receiver.requests) == TO_ONE


def test_to_stop_takes_no_longer_than_a_moment(rig: Rig, receiver: Receiver) -> None:
    """And what was under way is sent again."""
    receiver.answer = lambda _: time.sleep(30)
    rig.end_task(receiver.url)
    rig.sender.step(0.0)
    until(lambda: receiver.requests)
    began = time.monotonic()
    rig.restart()
    assert time.monotonic() - began < 15
    receiver.answer = status(204)
    rig.run()
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def test_a_clock_set_forward_makes_one_attempt_of_each_and_no_storm(rig: Rig, receiver: Receiver) -> None:
    receiver.answer = status(500)
    for _ in range(TO_ONE):
        rig.end_task(receiver.url)
    rig.run()
    rig.now += 365 * 24 * 3600
    for _ in range(5):
        rig.run()
    assert len(receiver.requests) == 2 * TO_ONE


def test_a_clock_set_back_by_a_year_loses_nothing(rig: Rig, receiver: Receiver) -> None:
    receiver.answer = status(500)
    task = rig.end_task(receiver.url)
    rig.run()
    rig.now -= 365 * 24 * 3600
    receiver.answer = status(200)
    rig.run()
    assert rig.callback(task).state == "delivered"


def test_a_queue_that_cannot_be_written_has_nothing_sent_twice(
    rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came of an attempt is kept in mind until it can be written down."""
    monkeypatch.setattr("pipeline.webhooks.sender.PAUSE_S", 0.05)
    delivered, refusals = rig.store.delivered, iter(range(3))

    def full(delivery_id: int) -> None:
        if next(refusals, None) is not None:
            raise UnavailableError("the disk is full")
        delivered(delivery_id)

    monkeypatch.setattr(rig.store, "delivered", full)
    task = rig.end_task(receiver.url)
    for _ in range(5):
        rig.sender.step(0.0)
    rig.run()
    assert rig.callback(task).state == "delivered"
    assert len(receiver.requests) == 1


def test_a_defect_is_logged_and_its_message_tried_again_by_the_plan(
    rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.sender._post, "send", fail)
    callback = rig.tell(receiver.url)
    assert (callback.state, callback.attempts) == ("pending", 1)
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_of_a_terabyte_costs_nothing(rig: Rig, receiver: Receiver) -> None:
    """Its status is all that is read."""
    written: list[int] = []

    def flood(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**40))
        handler.end_headers()
        while True:
            written.append(handler.wfile.write(bytes(2**16)))

    receiver.answer = flood
    assert rig.tell(receiver.url).state == "delivered"
    assert sum(written) < 2**26


def test_headers_without_end_are_cut_off(rig: Rig, receiver: Receiver) -> None:
    def flood(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10**6):
            handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))

    receiver.answer = flood
    callback = rig.tell(receiver.url)
    assert callback.state == "pending"
    assert callback.last_error
    assert len(callback.last_error) <= 200


def test_a_receiver_that_drips_is_left_after_the_deadline(
    rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the answer never does."""
    monkeypatch.setattr("pipeline.webhooks.post.WHOLE_S", 1.0)

    def drip(handler: Handler) -> None:
        for each in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
            handler.wfile.write(bytes([each]))
            time.sleep(0.1)

    receiver.answer = drip
    began = time.monotonic()
    assert rig.tell(receiver.url).last_error == "no answer within 1 s"
    assert time.monotonic() - began < 30


def test_what_is_no_http_is_an_error_like_another(rig: Rig, receiver: Receiver) -> None:
    receiver.answer = lambda handler: handler.wfile.write(b"\0\xff\r\n\r\n")  # type: ignore[assignment,return-value]
    assert rig.tell(receiver.url).state == "pending"
