# ga4relay_django.py - an event from Django to ga4relay, when the transaction that it tells of is committed
#
# The line is written and the reply not waited for: ga4relay stores what sendall() took, also after the connection is
# closed, and keeps what it refuses for `ga4relay-ctl list --state rejected`. A relay that is away costs nothing, one
# that stalls at most PATIENCE seconds; the request never fails.
import json
import logging
import socket

from django.db import transaction
from django.dispatch import Signal, receiver

PATH = "/run/ga4relay.sock"
PATIENCE = 0.2
log = logging.getLogger(__name__)

order_refunded = Signal()


def track(event):
    """True if the line was written."""
    try:
        line = json.dumps(event, default=str).encode() + b"\n"
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(PATH)
            s.sendall(line)
        return True
    except (OSError, ValueError, TypeError) as e:
        log.warning("ga4relay: event not sent: %s", e)
        return False


# The call site: order_refunded.send(sender=Order, order=order), in a view.
@receiver(order_refunded)
def send_refund(sender, order, **kwargs):
    event = {
        "client_id": order.ga_client_id,          # the _ga cookie, stored with the order
        "name": "refund",
        "dedup_key": f"refund-{order.number}",    # a view may be called twice
        "params": {"transaction_id": order.number, "currency": order.currency, "value": float(order.total)},
    }
    transaction.on_commit(lambda: track(event))
