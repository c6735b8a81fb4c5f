"use strict";
/* The live page. What came in a line is only ever put into textContent: the page's policy forbids markup from strings. */
(() => {
  const $ = (id) => document.getElementById(id);
  const KEPT_TEXT = 32 << 20; // characters of lines and bodies; the relay keeps half as many bytes
  const SECONDS = 120;

  let most = 1000;
  let entries = [];            // the oldest first
  const byKey = new Map();
  let keptText = 0;
  let shown = [];              // of entries, the newest first
  let chosen = null;           // key
  let last = "0";              // id of the last change seen
  let source = null;
  let streams = new Map();
  let samples = [];
  let dirty = false, detailDirty = false, added = 0, unseen = 0, missed = 0;

  // ---- small things ----

  const make = (tag, className, text) => {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined && text !== null) e.textContent = text;
    return e;
  };
  const put = (e, text) => { if (e.textContent !== text) e.textContent = text; };
  const number = (n) => n.toLocaleString("en");
  const two = (n, width = 2) => String(n).padStart(width, "0");
  const clock = (micros) => {
    const t = new Date(micros / 1000);
    return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${two(t.getMilliseconds(), 3)}`;
  };
  const span = (micros) => {
    if (micros < 1e6) return `${Math.max(0, Math.round(micros / 1e3))} ms`;
    if (micros < 60e6) return `${(micros / 1e6).toFixed(1)} s`;
    if (micros < 3600e6) return `${Math.round(micros / 60e6)} min`;
    return `${(micros / 3600e6).toFixed(1)} h`;
  };
  let sayTimer = 0;
  const say = (text) => {
    put($("said"), text);
    clearTimeout(sayTimer);
    sayTimer = setTimeout(() => put($("said"), ""), 2500);
  };

  // ---- entries ----

  // An event keeps its id across restarts of the relay; a line that became no event never changes.
  const keyOf = (e) => (e.event_id && e.verdict !== "duplicate" ? `e${e.event_id}` : `l${e.id}`);
  const textOf = (e) => (e.line || "").length + (e.body || "").length;

  function forgetOldest() {
    const e = entries.shift();
    byKey.delete(e.key);
    keptText -= textOf(e);
  }

  function take(e) {
    const key = keyOf(e), old = byKey.get(key);
    if (old) {
      keptText -= textOf(old);
      // A relay that has restarted knows the event, and not its line.
      if (!e.line) for (const member of ["verdict", "line", "line_bytes", "line_events", "line_first_event_id", "warnings"]) delete e[member];
      Object.assign(old, e);
      keptText += textOf(old);
    } else if (!e.update) {
      e.key = key;
      byKey.set(key, e);
      entries.push(e);
      keptText += textOf(e);
      if (matches(e)) added++;
      while (entries.length > most || (keptText > KEPT_TEXT && entries.length > 1)) forgetOldest();
    }
    if (key === chosen) detailDirty = true;
  }

  // ---- filters ----

  const filters = { name: $("by-name"), client: $("by-client"), verdict: $("by-verdict"), state: $("by-state") };
  const has = (value, wanted) => !wanted || (value || "").toLowerCase().includes(wanted.toLowerCase());
  function matches(e) {
    return has(e.name || e.line, filters.name.value) && has(e.client, filters.client.value) &&
      (!filters.verdict.value || e.verdict === filters.verdict.value) &&
      (!filters.state.value || e.state === filters.state.value);
  }

  // ---- the list: only the rows in sight are elements ----

  const list = $("list"), rows = $("rows"), pool = [];
  const rowHeight = () => (matchMedia("(max-width: 820px)").matches ? 56 : 40);

  const stateText = (e) => {
    if (e.verdict === "refused" || e.verdict === "duplicate") return e.verdict;
    if (e.state === "delivered") return e.last_status ? String(e.last_status) : "delivered";
    if (e.state === "retrying") return e.last_status ? `${e.last_status}, retrying` : "retrying";
    if (e.state === "sent" && e.attempts > 0) return `sent again (${e.attempts + 1})`;
    return e.state || "";
  };
  const stateClass = (e) => (e.verdict === "refused" ? "refused" : e.state || "");
  const chip = (className, text) => make("span", `chip ${className}`, text);
  const titleOf = (e) => e.name || (e.verdict === "refused" ? (e.refusal && e.refusal.code) || "refused" : "(no events)");

  function makeRow() {
    const row = make("div", "row");
    row.setAttribute("role", "option");
    row.time = row.appendChild(make("time"));
    row.name = row.appendChild(make("span", "name"));
    row.client = row.appendChild(make("span", "client"));
    row.chips = row.appendChild(make("span", "chips"));
    row.warned = row.chips.appendChild(chip("warned", "!"));
    row.warned.title = "with warnings";
    row.state = row.chips.appendChild(chip("", ""));
    row.addEventListener("click", () => { choose(row.key); read(true); });
    rows.appendChild(row);
    return row;
  }

  function fillRow(row, e, at, height) {
    row.key = e.key;
    row.id = `row-${e.key}`;
    row.hidden = false;
    row.style.transform = `translateY(${at * height}px)`;
    row.setAttribute("aria-selected", String(e.key === chosen));
    row.setAttribute("aria-posinset", String(at + 1));
    row.setAttribute("aria-setsize", String(shown.length));
    put(row.time, clock(e.received_micros));
    put(row.name, titleOf(e));
    row.name.className = e.name ? "name" : "name none";
    put(row.client, e.client || (e.verdict === "refused" ? (e.line || "").slice(0, 80) : e.stream || ""));
    row.warned.hidden = e.verdict !== "warned";
    put(row.state, stateText(e));
    row.state.className = `chip ${stateClass(e)}`;
  }

  function drawRows() {
    const height = rowHeight(), first = Math.max(0, Math.floor(list.scrollTop / height) - 2);
    const n = Math.min(shown.length - first, Math.ceil(list.clientHeight / height) + 4);
    rows.style.height = `${shown.length * height}px`;
    while (pool.length < n) pool.push(makeRow());
    pool.forEach((row, i) => {
      if (i < n) fillRow(row, shown[first + i], first + i, height);
      else { row.hidden = true; row.removeAttribute("id"); }
    });
    if (chosen && pool.some((row) => !row.hidden && row.key === chosen)) list.setAttribute("aria-activedescendant", `row-${chosen}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function drawAll() {
    dirty = false;
    shown = entries.filter(matches).reverse();
    // Who reads further down stays there.
    if (list.scrollTop > 0 && added > 0) {
      unseen += added;
      list.scrollTop += added * rowHeight();
    }
    added = 0;
    if (list.scrollTop === 0) unseen = 0;
    $("newer").hidden = unseen === 0;
    put($("newer"), `↑ ${number(unseen)} newer`);
    $("empty").hidden = shown.length > 0;
    put($("empty").firstElementChild, entries.length ? "Nothing matches the filters." : "Nothing yet.");
    $("empty-how").hidden = $("empty-line").hidden = entries.length > 0 || !$("empty-line").textContent;
    put($("count"), (shown.length === entries.length ? `${number(entries.length)} ${entries.length === 1 ? "line" : "lines"}`
      : `${number(shown.length)} of ${number(entries.length)}`) + (missed ? `, ${number(missed)} missed` : ""));
    drawRows();
    if (detailDirty) drawDetail();
  }
  // Some times a second are enough for the eye, and leave time for its owner's keys.
  function draw() {
    if (dirty) return;
    dirty = true;
    setTimeout(() => requestAnimationFrame(drawAll), 120);
  }

  // ---- the detail ----

  const TOKEN = /("(?:[^"\\]|\\[^])*")(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)|([{}[\],])|\s+|([^])/g;

  /* Indents JSON without reading its numbers, so that each is shown as it is written. */
  function pretty(text) {
    const out = document.createDocumentFragment();
    if (text.length > 65536) { out.append(text); return out; }
    let depth = 0, open = false;
    const indent = () => `\n${"  ".repeat(depth)}`;
    for (const [whole, string, colon, digits, word, mark] of text.matchAll(TOKEN)) {
      if (!whole.trim()) continue;
      const closing = mark === "}" || mark === "]";
      if (closing) {
        depth = Math.max(0, depth - 1);
        if (!open) out.append(indent());
      } else if (open) {
        out.append(indent());
      }
      open = mark === "{" || mark === "[";
      if (string !== undefined) {
        out.append(make("span", colon ? "k" : "s", string));
        if (colon) out.append(": ");
      } else if (digits !== undefined || word !== undefined) {
        out.append(make("span", "n", whole));
      } else if (mark === ",") {
        out.append(",", indent());
      } else {
        out.append(whole);
      }
      if (open) depth++;
    }
    return out;
  }

  const quote = (s) => `'${s.replace(/'/g, "'\\''")}'`;
  /* The request as it is sent, but for the secret, which the page never has. */
  function asCurl(e) {
    const url = streams.get(e.stream);
    if (!e.body || !url) return null;
    return `curl -i -H 'Content-Type: application/json' ${quote(`${url}&api_secret=`)}"$GA4_API_SECRET" --data-binary ${quote(e.body)}`;
  }
  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} copied`);
    } catch {
      const area = document.body.appendChild(make("textarea"));
      area.value = text;
      area.select();
      say(document.execCommand("copy") ? `${what} copied` : "the browser does not let this page copy");
      area.remove();
    }
  }
  function copyCurl() {
    const e = byKey.get(chosen), text = e && asCurl(e);
    if (text) copy(text, "curl command");
  }

  function heading(text, ...buttons) {
    const h = make("h3");
    h.append(make("span", "", text));
    for (const [label, act] of buttons) {
      const b = make("button", "", label);
      b.type = "button";
      b.addEventListener("click", act);
      h.append(b);
    }
    return h;
  }
  function note(kind, code, field, message, advice) {
    const p = make("p", `note ${kind}`);
    if (code) p.append(make("span", "code", code));
    if (field) p.append(make("code", "", field), " ");
    if (message) p.append(message);
    if (advice) p.append(make("span", "advice", advice));
    return p;
  }
  function steps(e) {
    const ol = make("ol", "steps");
    let before = 0;
    for (const s of e.steps) {
      const li = make("li");
      li.append(chip(s.state, s.status ? `${s.status}${s.state === "retrying" ? ", retrying" : ""}` : s.state));
      li.append(before ? `+${span(s.micros - before)}` : clock(s.micros));
      before = s.micros;
      ol.append(li);
    }
    return ol;
  }
  function facts(e) {
    const dl = make("dl");
    const fact = (name, value) => { if (value || value === 0) dl.append(make("dt", "", name), make("dd", "", value)); };
    fact("event id", e.event_id);
    fact("stream", e.stream);
    fact("client", e.client);
    fact("happened", e.event_micros ? new Date(e.event_micros / 1000).toISOString().replace("T", " ").replace("Z", " UTC") : null);
    fact("attempts", e.attempts);
    fact("last error", e.last_error);
    fact("why dead", e.reason);
    if (e.maybe_sent) fact("maybe sent", "yes: a request with it broke off after its body was written");
    if (e.request_events > 1) fact("request", `went out together with ${e.request_events - 1} more of the same envelope`);
    if (e.line_events > 1) fact("line", `one of ${number(e.line_events)} events of its line`);
    return dl;
  }
  function realtime(e) {
    if (e.realtime.shows)
      return note("good", "", "", e.state === "delivered" ? "Shows in Realtime: yes." : "Shows in Realtime: yes, once it is delivered.");
    return note("", "", "", `Shows in Realtime: no, because ${e.realtime.because}.`);
  }
  function lineOf(e) {
    const first = e.line ? e : byKey.get(`e${e.line_first_event_id}`);
    return first && first.line ? [first.line, first.line_bytes] : null;
  }

  function drawDetail() {
    const box = $("detail"), e = byKey.get(chosen);
    detailDirty = false;
    if (!e) {
      box.replaceChildren(make("p", "hint", "Select a line to see what arrived, what goes to GA4, and why."));
      return;
    }
    const scroll = box.scrollTop, focus = document.activeElement && box.contains(document.activeElement) ? document.activeElement.textContent : null;
    const head = make("header"), back = make("button", "", "← List");
    back.id = "back";
    back.type = "button";
    back.addEventListener("click", () => read(false));
    head.append(back, make("h2", "", titleOf(e)), chip(stateClass(e), stateText(e)));
    if (e.verdict === "warned") head.append(chip("warned", "with warnings"));
    const parts = [head];
    if (e.refusal) parts.push(note("bad", e.refusal.code, e.refusal.field, e.refusal.message, e.refusal.hint));
    for (const w of e.warnings || []) parts.push(note("warn", w.code, w.field, w.message));
    parts.push(realtime(e));
    if (e.steps.length) parts.push(heading("What became of it"), steps(e));
    const line = lineOf(e), curl = asCurl(e);
    if (line) {
      const pre = make("pre", "", line[0]);
      pre.id = "arrived";
      parts.push(heading(line[1] > 16384 ? `The line as it arrived, the first 16 KiB of ${number(line[1])} bytes` : "The line as it arrived",
        ["Copy", () => copy(line[0], "line")]), pre);
    }
    if (e.body) {
      const pre = make("pre");
      pre.id = "body";
      pre.append(pretty(e.body));
      parts.push(heading(e.request_events > 1 ? "Its part of the request body to GA4" : "The request body to GA4",
        ["Copy", () => copy(e.body, "body")], ...(curl ? [["Copy as curl", copyCurl]] : [])), pre);
    }
    if (e.verdict !== "refused") parts.push(heading("Facts"), facts(e));
    box.replaceChildren(...parts);
    box.scrollTop = scroll;
    if (focus) for (const b of box.querySelectorAll("button")) if (b.textContent === focus) { b.focus(); break; }
  }

  function choose(key) {
    if (key === chosen) return;
    chosen = key;
    $("detail").scrollTop = 0;
    drawDetail();
    drawRows();
  }
  function read(on) {
    document.body.classList.toggle("reads", on && chosen !== null);
    if (!on) list.focus();
  }

  // ---- keys ----

  function move(by) {
    if (!shown.length) return;
    const at = shown.findIndex((e) => e.key === chosen), height = rowHeight();
    const next = Math.min(shown.length - 1, Math.max(0, at < 0 ? 0 : at + by));
    choose(shown[next].key);
    if (next * height < list.scrollTop) list.scrollTop = next * height;
    else if ((next + 1) * height > list.scrollTop + list.clientHeight) list.scrollTop = (next + 1) * height - list.clientHeight;
  }
  const page = () => Math.max(1, Math.floor(list.clientHeight / rowHeight()) - 1);
  const keys = {
    ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), k: () => move(-1),
    PageDown: () => move(page()), PageUp: () => move(-page()), Home: () => move(-shown.length), End: () => move(shown.length),
    Enter: () => { read(true); $("detail").focus(); },
    Escape: () => read(false),
    "/": () => { read(false); filters.name.focus(); },
    c: copyCurl,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target;
    if (on instanceof HTMLInputElement || on instanceof HTMLSelectElement) {
      if (event.key === "Escape") list.focus();
      return;
    }
    if (on instanceof HTMLButtonElement && event.key === "Enter") return;
    if ($("detail").contains(on) && event.key !== "Escape" && event.key.length > 1) return;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // ---- figures ----

  function chart(id, values) {
    const top = Math.max(1, ...values), n = values.length, x = (i) => SECONDS - n + i;
    const points = values.map((v, i) => `${x(i)} ${(31 - 29 * v / top).toFixed(1)}`);
    $(id).firstElementChild.setAttribute("d", n > 1 ? `M${x(0)} 33L${points.join("L")}L${x(n - 1)} 33` : "");
  }
  // Totals begin again at 0 when the relay restarts.
  const steps2 = (at) => samples.slice(1).map((s, i) => (s[at] >= samples[i][at] ? s[at] - samples[i][at] : s[at]));

  function drawFigures() {
    const incoming = steps2(0), out = steps2(1), now = samples[samples.length - 1] || [0, 0, 0];
    put($("in"), number(now[0]));
    put($("out"), number(now[1]));
    put($("waiting"), number(now[2]));
    put($("in-rate"), incoming.length ? `${number(incoming[incoming.length - 1])} /s` : "");
    put($("out-rate"), out.length ? `${number(out[out.length - 1])} /s` : "");
    chart("in-chart", incoming);
    chart("out-chart", out);
    chart("waiting-chart", samples.slice(1).map((s) => s[2]));
  }

  function onStats(stats) {
    samples.push(stats.sample);
    if (samples.length > SECONDS) samples.shift();
    drawFigures();
    for (const id of ["refused", "dead"]) {
      put($(id), number(stats[id]));
      $(id).classList.toggle("some", stats[id] > 0);
    }
    const down = stats.status.streams.filter((s) => s.state !== "up" && s.state !== "paused");
    $("destination").classList.toggle("down", down.length > 0);
    put($("destination"), down.length ? `${down[0].name}: ${down[0].last_error || down[0].state}` : "");
    $("destination").title = $("destination").textContent;
    for (const radio of document.querySelectorAll("#switch input")) radio.checked = radio.value === stats.collector;
  }

  // ---- the stream of events ----

  function onHello(hello) {
    const mode = hello.sandbox ? "sandbox" : "read-only";
    most = hello.entries;
    streams = new Map(hello.streams.map((s) => [s.name, s.url]));
    samples = hello.samples;
    put($("mode"), mode);
    document.title = `ga4relay ${mode}`;
    $("switch").hidden = !hello.sandbox;
    $("client-filter").hidden = !hello.sandbox; // a relay in earnest tells no client
    if (hello.socket)
      put($("empty-line"), `echo '{"client_id":"1.2","name":"refund","params":{"transaction_id":"T-1"}}' |\n  nc -NU ${hello.socket}`);
    link(true);
    draw();
  }
  function link(live) {
    $("link").className = live ? "live" : "";
    put($("link"), live ? "live" : "the relay is away; waiting for it");
  }

  let again = 0;
  function connect() {
    clearTimeout(again);
    if (source) source.close();
    source = new EventSource(`/api/stream?since=${last}`);
    source.addEventListener("hello", (m) => onHello(JSON.parse(m.data)));
    source.addEventListener("stats", (m) => onStats(JSON.parse(m.data)));
    source.addEventListener("missed", (m) => { missed += Number(m.data); draw(); });
    source.onmessage = (m) => { last = m.lastEventId; JSON.parse(m.data).forEach(take); draw(); };
    source.onerror = () => {
      link(false);
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, 2000);
    };
  }
  // A tab that nobody sees costs the relay nothing; what it missed is told when it is seen again.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(again);
      source.close();
    } else {
      connect();
    }
  });

  $("switch").addEventListener("change", async (event) => {
    const answer = event.target.value;
    try {
      const r = await fetch(`/api/collector?answer=${encodeURIComponent(answer)}`, { method: "POST" });
      say(r.ok ? `The collector now ${answer === "hang" ? "does not answer" : `answers ${answer}`}` : `The switch failed: ${await r.text()}`);
    } catch {
      say("The switch failed: the relay is away");
    }
  });
  $("filters").addEventListener("input", () => { list.scrollTop = 0; unseen = 0; draw(); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", () => {
    entries = [];
    byKey.clear();
    keptText = missed = unseen = 0;
    chosen = null;
    drawDetail();
    draw();
  });
  $("newer").addEventListener("click", () => { list.scrollTop = 0; draw(); });
  list.addEventListener("scroll", () => { if (list.scrollTop === 0 && unseen) draw(); drawRows(); }, { passive: true });
  addEventListener("resize", draw);
  link(false);
  put($("link"), "connecting");
  connect();
})();
