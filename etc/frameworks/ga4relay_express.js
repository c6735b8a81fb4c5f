/* ga4relay_express.js - an event from Express to ga4relay
 *
 * The line is written and the reply not waited for: ga4relay stores what write() took, also after the connection is
 * closed, and keeps what it refuses for `ga4relay-ctl list --state rejected`. The response waits for nothing; a relay
 * that stalls costs one socket for PATIENCE_MS. */
"use strict";
const net = require("net");

const PATH = "/run/ga4relay.sock";
const PATIENCE_MS = 200;

function track(event, path = PATH) {
  const s = net.connect(path);
  s.on("error", (e) => console.warn("ga4relay: event not sent:", e.message));
  s.setTimeout(PATIENCE_MS, () => s.destroy(s.bytesWritten && !s.writableLength ? null : new Error("the relay stalls")));
  s.end(JSON.stringify(event) + "\n");
  s.resume(); // the reply
}

/* The call site: refunds(app, orders). */
function refunds(app, orders, path) {
  app.post("/orders/:number/refund", (req, res) => {
    const order = orders.refund(req.params.number);
    track({
      client_id: order.gaClientId, // the _ga cookie, stored with the order
      name: "refund",
      dedup_key: `refund-${order.number}`, // a form may be sent twice
      params: { transaction_id: order.number, currency: order.currency, value: order.total },
    }, path);
    res.json({ refunded: order.number });
  });
}

module.exports = { track, refunds };
