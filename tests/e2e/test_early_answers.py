# test_early_answers.py - servers that answer before they have read the body, over HTTP/2 and HTTP/1.1
#
# nginx's own `return 204` over HTTP/2 answers at the request's head and resets the stream. libcurl 7.88 ends such a
# transfer with error 92, with or without having shown the status, or lets it stall; all of it counts as delivered.
import re
import time

import pytest

from lib.client import event
from lib.tls import Nginx, nginx_path

CLIENTS = 400


class Early(Nginx):
    def _configure(self, upstream, protocols, http2):
        super()._configure(upstream, protocols, http2)
        conf = self.dir / "nginx.conf"
        text = re.sub(r"location / \{.*?\}", "location / { return 204; }", conf.read_text(), flags=re.S)
        conf.write_text(text.replace("access_log off;",
                                     "log_format l '$status $server_protocol'; access_log access.log l;"))

    @property
    def answers(self):
        return (self.dir / "access.log").read_text().splitlines()


@pytest.mark.parametrize("http2", [True, False])
def test_neither_stalls_nor_loses(make_relay, http2):
    if not nginx_path():
        pytest.skip("nginx is not installed")
    server = Early(1, http2=http2)
    try:
        relay = make_relay(server.url, delivery={"ca_file": server.ca, "http2": http2})
        relay.start()
        start = time.monotonic()
        lines = [event(client=f"{n}.1", n=i, pad="x" * 90) for n in range(CLIENTS) for i in range(5)]
        with relay.client() as c:
            c.send(*lines).replies(len(lines))
        relay.wait_empty()
        assert time.monotonic() - start < 9, "a stall until delivery.timeout"  # 10 s
        assert ("HTTP/2.0" if http2 else "HTTP/1.1") in {a.split()[1] for a in server.answers}
        metrics = relay.ctl_raw("metrics").stdout
        delivered = int(re.search(r'requests_total{stream="web",outcome="delivered"} (\d+)', metrics)[1])
        assert delivered >= CLIENTS
        assert delivered == len(server.answers)
    finally:
        server.stop()
