#!/bin/bash
# ga4-mp-flush.sh - ga4-mp sends the first 25 postponed events again with every flush
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"

cat <<'TEXT'
version     ga4-mp 1.0.3, with axios 0.21.4
source      npm, ga4-mp, dist/library.js: send(), flushBuffer(), sendLargeEventCount()
good guess  send(events, true) postpones events, and flushBuffer() sends each of them once: afterwards the buffer is empty.
behaviour   flushBuffer() cuts the buffer itself to its first 25 events and sends the pieces, but never empties it. Every
            later flush sends these 25 again, with what was postponed since. GA4 removes repeated purchases with the same
            transaction_id and nothing else: refunds, leads and renewals are counted as often as the buffer was flushed.
TEXT
npm_packages ga4-mp@1.0.3 axios@0.21.4

cat >try.js <<'SCRIPT'
const http = require("http");
const { createClient } = require("ga4-mp");
const event = (n) => ({ name: "level_up", params: { n, level: 1, character: "a" } });
const bodies = [];
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => { bodies.push(JSON.parse(body)); response.writeHead(204).end(); });
});
async function flush(client, requests) {
  bodies.length = 0;
  client.flushBuffer();
  while (bodies.length < requests) await new Promise((resolve) => setTimeout(resolve, 20));
  const sent = bodies.map((b) => b.events.map((e) => e.params.n)).sort((a, b) => a[0] - b[0]);
  console.log("sent:", sent.map((n) => `${n[0]} to ${n[n.length - 1]}`).join(", "));
}
server.listen(0, "127.0.0.1", async () => {
  const client = createClient("secret", "G-TEST000001", "123.456");
  client.GA_ENDPOINT = `http://127.0.0.1:${server.address().port}/mp/collect`;
  client.send([...Array(30).keys()].map(event), true);
  await flush(client, 2);
  client.send([event(30)], true);
  await flush(client, 2);
  await flush(client, 1);
  server.close();
});
SCRIPT
expect node try.js <<'OUTPUT'
sent: 0 to 24, 25 to 29
sent: 0 to 24, 30 to 30
sent: 0 to 24
OUTPUT
