"""The image service under many, equal, slow and disconnecting requests."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from depth_api_rig import Network, Reply, encoded, noise, read_all, serving, wait_until

from stream.web.depth_api.memory import Reservation
from stream.web.depth_api.upload import Upload

IMAGES = [encoded(noise(seed=seed)) for seed in range(64)]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def senders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64, "sender") as pool:
        yield pool


def results(replies: list[Future[Reply]]) -> list[Reply]:
    return [reply.result(20) for reply in replies]


def test_of_64_requests_at_once_some_are_served_and_the_others_get_retry_after(
    network: Network, senders: ThreadPoolExecutor
) -> None:
    """No more images are processed at once than allowed, and the server answers other requests meanwhile."""
    network.go.clear()
    with serving(network, image_workers=2, image_queue=4) as client:
        replies = [senders.submit(client.post, image) for image in IMAGES]
        wait_until(lambda: client.count("busy") == 58 and client.count("running") == 2)
        assert client.count("waiting") == 4
        assert client.ask("GET", "/api/depth").status == 405
        network.go.set()
        answers = results(replies)
        assert Counter(answer.status for answer in answers) == {200: 6, 429: 58}
        assert client.post(IMAGES[0]).status == 200, "there is room again"
    assert network.most_at_once == 2
    refused = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.words.endswith("come back a little later\n")


def _uploads() -> int:
    """Number of uploads still in memory, from this test or an earlier one."""
    gc.collect()
    return sum(type(each) is Upload for each in gc.get_objects())


@pytest.mark.slow
def test_equal_requests_at_the_same_time_are_computed_once(network: Network, senders: ThreadPoolExecutor) -> None:
    """Requests that share a job take no place in the queue; another output of the same image shares the depth."""
    network.go.clear()
    with serving(network, image_workers=2, image_queue=0) as client:
        same = [senders.submit(client.post, IMAGES[0]) for _ in range(20)]
        other = senders.submit(client.post, IMAGES[0], output="npy")
        wait_until(lambda: client.count("pending_requests") == 21 and client.count("running") == 2)
        assert client.count("uploads_mb") == pytest.approx(2e-6 * len(IMAGES[0])), (
            "a request that shares a job holds no memory"
        )
        wait_until(lambda: _uploads() == 2)  # a request that has just joined frees its upload a moment later
        assert _uploads() == 2, "and keeps no image"
        network.go.set()
        answers = results(same)
        assert Counter(answer.headers["x-cache"] for answer in answers) == {"miss": 1, "shared": 19}
        assert len({answer.body for answer in answers}) == 1
        assert other.result(20).headers["x-cache"] == "miss"
    assert len(network.calls) == 1


def test_a_client_that_disconnects_while_waiting_frees_its_place(network: Network, senders: ThreadPoolExecutor) -> None:
    """Nothing is computed for that request."""
    network.go.clear()
    with serving(network, image_queue=1) as client:
        first = senders.submit(client.post, IMAGES[0])
        assert network.entered.acquire(timeout=20)
        with closing(client.half_sent(IMAGES[1])):
            wait_until(lambda: client.count("waiting") == 1)
            assert client.post(IMAGES[2]).status == 429
        wait_until(lambda: client.count("waiting") == 0)
        third = senders.submit(client.post, IMAGES[2])
        wait_until(lambda: client.count("waiting") == 1)
        network.go.set()
        assert [reply.status for reply in results([first, third])] == [200, 200]
        assert client.count("disconnected") == 1
    assert len(network.calls) == 2


def test_a_client_that_disconnects_does_not_cancel_a_shared_job(network: Network, senders: ThreadPoolExecutor) -> None:
    """The first client disconnects while the job waits; the second one gets the response."""
    network.go.clear()
    with serving(network, image_queue=1) as client:
        first = senders.submit(client.post, IMAGES[0])
        assert network.entered.acquire(timeout=20)
        with closing(client.half_sent(IMAGES[1])):
            wait_until(lambda: client.count("waiting") == 1)
            second = senders.submit(client.post, IMAGES[1], output="npy")
            wait_until(lambda: client.count("pending_requests") == 3)
        wait_until(lambda: client.count("pending_requests") == 2)
        network.go.set()
        assert [reply.status for reply in results([first, second])] == [200, 200]
        assert second.result().headers["x-cache"] == "shared"


def test_a_running_job_is_finished_for_later_requests(network: Network) -> None:
    """The sender has disconnected, but the response is cached."""
    network.go.clear()
    with serving(network) as client:
        with closing(client.half_sent(IMAGES[0])):
            assert network.entered.acquire(timeout=20)
        wait_until(lambda: client.count("pending_requests") == 0)
        assert client.count("running") == 1
        network.go.set()
        wait_until(lambda: client.count("running") == 0)
        assert client.post(IMAGES[0], output="npy").headers["x-cache"] == "hit"
    assert len(network.calls) == 1


@pytest.mark.slow
def test_slow_senders_block_no_one_and_are_cut_off(network: Network) -> None:
    """Forty unfinished uploads hold only their bytes and no place; each is answered with 408."""
    with serving(network, image_queue=0, grace_s=4.0) as client:
        slow = [client.half_sent(IMAGES[0][:50], 1000) for _ in range(40)]
        wait_until(lambda: client.count("uploads_mb") == pytest.approx(40 * 50e-6))
        assert client.post(IMAGES[0]).status == 200
        for connection in slow:
            with closing(connection):
                answer = read_all(connection)
                assert answer.startswith(b"HTTP/1.1 408 ")
                assert b"the image came too slowly" in answer
        assert client.count("uploads_mb") == 0


def test_a_trickle_is_no_upload(network: Network) -> None:
    """A byte now and then gives no new patience."""
    with serving(network, grace_s=0.5) as client, closing(client.half_sent(b"\x89", 10_000)) as connection:
        connection.settimeout(0.02)
        answer = b""
        for _ in range(500):
            try:
                connection.send(b"x")
                answer += connection.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_uploads_together_hold_no_more_than_they_may(network: Network) -> None:
    """With room for two of the largest size, the last of three nearly complete uploads gets 429."""
    with serving(network, max_upload_mb=1, image_workers=1, image_queue=1) as client:
        part = bytes(900_000)
        with closing(client.half_sent(part, 1_000_000)), closing(client.half_sent(part, 1_000_000)):
            wait_until(lambda: client.count("uploads_mb") == pytest.approx(1.8))
            reply = client.post(bytes(900_000))
            assert (reply.status, reply.headers["retry-after"]) == (429, "2")
            assert client.count("uploads_mb") == pytest.approx(1.8)
        wait_until(lambda: client.count("uploads_mb") == 0)
        assert client.post(IMAGES[0]).status == 200


def test_too_many_bytes_are_refused_before_they_are_read(network: Network) -> None:
    """By Content-Length, and without a 100 Continue for a sender that waits for one (Expect: 100-continue)."""
    with serving(network, max_upload_mb=1) as client:
        for more in ("", "Expect: 100-continue\r\n"):
            with closing(client.half_sent(b"", 10**10, more)) as connection:
                answer = b""
                while b"JPEG\n" not in answer and (piece := connection.recv(4096)):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 413 ")
                assert b"the upload has more than 1 MB" in answer


def test_too_many_bytes_are_refused_while_they_come(network: Network) -> None:
    """Without Content-Length; a sender that goes on sending can still read the response."""
    with serving(network, max_upload_mb=1) as client:
        pieces = (bytes(100_000) for _ in range(300))
        reply = client.ask("POST", "/api/depth", pieces, {"Content-Type": "image/png"})
        assert (reply.status, client.count("uploads_mb")) == (413, 0)
        reply = client.post(bytes(30_000_000))
        assert (reply.status, client.count("uploads_mb")) == (413, 0)


@pytest.mark.slow
def test_a_client_that_does_not_read_its_response_is_disconnected(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 36 MB are freed, and the connection is closed."""
    monkeypatch.setattr("stream.web.depth_api.streaming.STALL_S", 0.3)
    image, held = encoded(np.zeros((3000, 3000, 3), np.uint8)), list[int]()
    grow = Reservation.grow
    monkeypatch.setattr(Reservation, "grow", lambda reservation, size: (held.append(size), grow(reservation, size))[1])
    with serving(network, cache_mb=0) as client, closing(client.half_sent(image)) as connection:
        wait_until(lambda: max(held, default=0) > 36e6)  # they may be freed before this thread looks
        wait_until(lambda: client.count("responses_mb") == 0)
        assert len(read_all(connection)) < 36_000_000
        assert client.post(IMAGES[0]).status == 200


def test_a_response_above_the_limit_is_sent_to_a_client_that_is_alone(network: Network) -> None:
    """Otherwise no such response could ever be sent."""
    with serving(network, cache_mb=0) as client:
        reply = client.post(IMAGES[0], output="npy")
        assert reply.status == 200
        wait_until(lambda: client.count("responses_mb") == 0)  # the client may have the last byte before it is freed


def test_the_service_ends_while_work_is_under_way(network: Network, senders: ThreadPoolExecutor) -> None:
    """The server ends the request, then waits for the thread, and none is left behind."""
    network.go.clear()
    with serving(network) as client:
        reply = senders.submit(client.post, IMAGES[0])
        assert network.entered.acquire(timeout=20)
        reply.add_done_callback(lambda _: network.go.set())
    assert reply.exception(20) is not None or reply.result().status == 500
