# test_replies.py - ga4relay-protocol(7), "Clients that do not read": who reads gets every reply, who does not is not held up
import threading
import time

import pytest

from lib.client import event, line
from lib.crowd import Crowd
from lib.relay import SANITIZED, wait_until

# Draws warnings: no session_id, no engagement_time_msec, a value without its currency
WARNED = b'{"client_id":"1.2","name":"refund","params":{"transaction_id":"T-1","value":9.5,"Bad name":1}}\n'


def relay_with(make_relay, **listen):
    relay = make_relay(listen=listen).allow("refused lines whose replies nobody reads")
    relay.config["streams"] = [relay.stream(paused=True)]
    return relay.start()


def write_from_a_thread(c, data):
    """A client that reads while it writes."""
    t = threading.Thread(target=c.s.sendall, args=(data,))
    t.start()
    return t


def unsent(relay):
    return sum(float(x.split()[1]) for x in relay.ctl_raw("metrics").stdout.splitlines() if x.startswith("ga4relay_replies_unsent_total"))


@pytest.mark.parametrize("limit", ["1K", "256K"])
def test_who_reads_while_it_writes_gets_every_reply(make_relay, limit):
    """However far it is behind, and however long the replies are."""
    relay, n = relay_with(make_relay, max_unread_replies=limit), 20000 if limit == "256K" else 3000
    with relay.client(timeout=120) as c:
        writer = write_from_a_thread(c, WARNED * n)
        got = c.replies(n)
        writer.join()
    assert len(got[0]["warnings"]) > 2
    assert [r["id"] for r in got] == list(range(1, n + 1))
    assert unsent(relay) == 0


def test_a_reader_that_pauses_gets_every_reply(make_relay):
    """Pauses of less than reply_patience, while the relay waits for it."""
    relay, n = relay_with(make_relay, max_unread_replies="16K", reply_patience="20s"), 4000
    with relay.client(timeout=120) as c:
        writer, got = write_from_a_thread(c, WARNED * n), []
        for _ in range(4):
            time.sleep(0.3)  # the relay has nothing to wait for but this client
            got += c.replies(n // 4)
        writer.join()
    assert [r["id"] for r in got] == list(range(1, n + 1))


def test_mixed_replies_stay_in_order_and_whole(make_relay):
    """Refusals wait for the replies to the lines before them."""
    relay, kinds = relay_with(make_relay, max_unread_replies="4K"), (WARNED, line(event()), b"no JSON\n")
    with relay.client(timeout=120) as c:
        writer = write_from_a_thread(c, b"".join(kinds) * 1500)
        got = c.replies(4500)
        writer.join()
    assert [("warnings" in r, r["ok"]) for r in got] == [(True, True), (False, True), (False, False)] * 1500


@pytest.mark.parametrize("patience", ["200ms", "1s", "3s"])
def test_who_never_reads_waits_once_for_reply_patience(make_relay, patience):
    """No line is lost, and the connection is not held up a second time."""
    relay = relay_with(make_relay, max_unread_replies="4K", reply_patience=patience)
    seconds = {"200ms": 0.2, "1s": 1, "3s": 3}[patience]
    n, began = 20000, time.monotonic()
    with relay.client(timeout=120) as c:
        c.send(WARNED * n)
        once = time.monotonic() - began
        wait_until(lambda: relay.states().get("queued") == n, f"{n} events stored", 120)
        again = time.monotonic()
        c.send(WARNED * n)
        wait_until(lambda: relay.states().get("queued") == 2 * n, f"{2 * n} events stored", 120)
        again = time.monotonic() - again
        got = c.half_close().rest()
    assert [r["id"] for r in got] == list(range(1, len(got) + 1))
    assert 0 < len(got) < n
    assert unsent(relay) == 2 * n - len(got)
    print(f"{once:.2f} s, then {again:.2f} s")
    assert once >= seconds
    assert SANITIZED or once < seconds + 20


def test_a_quiet_connection_stays_quiet(make_relay):
    """Also when its client begins to read: what it has no reply for is unknown, and no later reply is taken for it."""
    relay, n = relay_with(make_relay, max_unread_replies="1K", reply_patience="100ms"), 5000
    with relay.client(timeout=120) as c:
        c.send(WARNED * n)
        wait_until(lambda: relay.states().get("queued") == n, f"{n} events stored", 120)
        c.send(line(event()))
        wait_until(lambda: relay.states().get("queued") == n + 1, "the last one", 120)
        got = c.half_close().rest()
    assert got and all("warnings" in r for r in got)


def test_replies_of_the_last_lines_of_a_client_that_stops_writing(make_relay):
    """Patience concerns a connection that has more to read; replies below the limit wait as long as it takes."""
    relay = relay_with(make_relay, reply_patience="1ms")
    with relay.client() as c:
        c.send(WARNED * 100).half_close()
        wait_until(lambda: relay.states().get("queued") == 100, "100 events")
        time.sleep(0.3)  # 300 times the patience
        assert len(c.rest()) == 100


@pytest.mark.skipif(SANITIZED, reason="figures of a program that is ten times as slow say nothing")
def test_a_thousand_readers_and_a_thousand_that_do_not_read(make_relay):
    """Memory stays bounded, and neither holds up a client with one line in flight."""
    relay = relay_with(make_relay, max_memory="8M", max_connections=3000)
    before = relay.rss_kib()
    with Crowd(relay.sock, "warned lines", 1000), Crowd(relay.sock, "unread warnings", 1000), relay.client(timeout=120) as c:
        wait_until(lambda: relay.status()["connections"] >= 2001, "all are connected", 60)
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert c.ask(event())["ok"]
            took.append(time.monotonic() - began)
        wait_until(lambda: unsent(relay) > 0, "some are quiet", 60)
        most = relay.rss_kib()
    print(f"{sorted(took)[10] * 1000:.1f} ms, {most - before} KiB")
    relay.kill9()  # a stop would read all that the crowd wrote
    assert sorted(took)[10] < 5
    assert most - before < 160 << 10  # 2000 times 256 KiB would be 512 MiB
