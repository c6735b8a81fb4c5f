/* options.c - the table of options: name, type, range, default, reloadable or not, one-line help
 *
 * The sample configuration and ga4relay.conf(5) must list the same options in the same order; a test compares
 * them. */
#include "conf/options.h"

#include "base/log.h"

#define MEMBER(m) .how.offset = offsetof(struct conf, m), .how.size = sizeof(((struct conf *)NULL)->m)
#define STREAM_MEMBER(m)                                                                                             \
	.how.offset = offsetof(struct conf_stream, m), .how.size = sizeof(((struct conf_stream *)NULL)->m)
#define BETWEEN(low, high) .range = low " to " high, .how.min = low, .how.max = high
#define FIXED .reloadable = false
#define RELOADABLE .reloadable = true
#define HELP(text) .help = text
#define NAMED(n, t, d) .name = n, .type = t, .def = d

#define TEXT(n, d) NAMED(n, "string", d), .how.type = OPTION_TEXT
#define PATH(n, d) NAMED(n, "path", d), .how.type = OPTION_PATH, .range = "absolute, at most 4000 bytes"
#define SOCKET_PATH(n, d) NAMED(n, "path", d), .how.type = OPTION_SOCKET_PATH, .range = "absolute, at most 107 bytes"
#define GROUP(n, d)                                                                                                  \
	NAMED(n, "group", d), .how.type = OPTION_GROUP, .how.may_be_empty = true, .range = "a group's name"
#define COUNT(n, d) NAMED(n, "integer", d), .how.type = OPTION_COUNT
#define SIZE(n, d) NAMED(n, "size", d), .how.type = OPTION_SIZE
#define DURATION(n, d) NAMED(n, "duration", d), .how.type = OPTION_DURATION
#define BOOL(n, d) NAMED(n, "boolean", d), .how.type = OPTION_BOOL, .range = "true or false"
#define WORD(n, d, w) NAMED(n, "word", d), .how.type = OPTION_WORD, .how.words = w
#define URL(n, d)                                                                                                    \
	NAMED(n, "URL", d), .how.type = OPTION_URL, .range = "https; http to loopback or with allow_plaintext"

static const struct option_word sync_words[] = {{"full", true}, {"normal", false}, {NULL, 0}};
static const struct option_word limits_words[] = {{"standard", false}, {"360", true}, {NULL, 0}};
static const struct option_word ambiguous_words[] = {{"retry", AMBIGUOUS_RETRY}, {"park", AMBIGUOUS_PARK}, {NULL, 0}};
static const struct option_word validation_words[] = {
        {"standard", VALIDATION_STANDARD},
        {"strict", VALIDATION_STRICT},
        {"off", VALIDATION_OFF},
        {NULL, 0},
};
static const struct option_word level_words[] = {
        {"error", LOG_LEVEL_ERROR},
        {"warning", LOG_LEVEL_WARNING},
        {"info", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},
        {NULL, 0},
};

static const struct option_word role_words[] = {
        {"", FLEET_NO_ROLE}, {"edge", FLEET_EDGE}, {"hub", FLEET_HUB}, {NULL, 0}};
static const struct option_word confirm_words[] = {
        {"local", CONFIRM_LOCAL}, {"replicated", CONFIRM_REPLICATED}, {NULL, 0}};

static const struct option_word format_words[] = {{"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};

#define VALIDATION_RANGE .range = "standard, strict, off"
#define AMBIGUOUS_RANGE .range = "retry, park"

/* clang-format off: one paragraph per option */
static const struct conf_option_info rows[] = {
        {NAMED("streams", "list of groups", ""), .how.type = OPTION_STREAMS, MEMBER(streams), RELOADABLE,
         .range = "1 to 250 streams", HELP("where events go: a name, an id and a secret each")},
        {TEXT("default_stream", ""), .how.may_be_empty = true, RELOADABLE, .range = "a stream's name",
         HELP("used by lines without \"stream\"; empty: the first one")},

        {SOCKET_PATH("listen.socket", "/run/ga4relay.sock"), MEMBER(listen.socket), FIXED,
         HELP("event socket (ignored for a socket handed over by systemd)")},
        {NAMED("listen.mode", "octal mode", "0660"), .how.type = OPTION_MODE, MEMBER(listen.mode), FIXED,
         BETWEEN("0000", "0777"), HELP("the event socket's permissions")},
        {GROUP("listen.group", ""), MEMBER(listen.group), FIXED,
         HELP("the event socket's group; empty: the daemon's own")},
        {COUNT("listen.max_connections", "1024"), MEMBER(listen.max_connections), FIXED, BETWEEN("1", "65536"),
         HELP("connections to the event socket at once")},
        {SIZE("listen.max_line", "1M"), MEMBER(listen.max_line), FIXED, BETWEEN("1K", "16M"),
         HELP("a longer line is answered LINE_TOO_LONG and skipped")},
        {SIZE("listen.max_unread_replies", "256K"), MEMBER(listen.max_unread_replies), FIXED, BETWEEN("1K", "64M"),
         HELP("replies that may wait for a client; past it the connection is not read until some are taken")},
        {DURATION("listen.reply_patience", "1s"), MEMBER(listen.reply_patience_us), FIXED, BETWEEN("1ms", "1h"),
         HELP("a connection at that limit that takes no reply for so long turns quiet")},
        {SIZE("listen.max_memory", "64M"), MEMBER(listen.max_memory), FIXED, BETWEEN("1M", "16G"),
         HELP("partial lines and unread replies of all connections")},
        {DURATION("listen.idle_timeout", "5m"), MEMBER(listen.idle_timeout_us), FIXED, BETWEEN("100ms", "7d"),
         HELP("idle connections are closed when max_connections is reached")},

        {SOCKET_PATH("control.socket", "/run/ga4relay/control.sock"), MEMBER(control.socket), FIXED,
         HELP("socket for ga4relay-ctl")},
        {GROUP("control.group", ""), MEMBER(control.group), FIXED,
         HELP("group that may use ga4relay-ctl (mode 0660); empty: the owner alone (0600)")},
        {GROUP("control.read_group", ""), MEMBER(control.read_group), FIXED,
         HELP("group that may use the commands that change nothing, by control.socket with .read behind it")},

        {PATH("outbox.path", "/var/lib/ga4relay/outbox.db"), MEMBER(outbox.path), FIXED,
         HELP("the database that holds events until they are delivered")},
        {WORD("outbox.sync", "full", sync_words), MEMBER(outbox.sync_full), FIXED, .range = "full, normal",
         HELP("full: synced before the reply; normal: a power cut may lose the last moments")},
        {COUNT("outbox.max_events", "10000000"), MEMBER(outbox.max_events), RELOADABLE, BETWEEN("1", "1000000000"),
         HELP("more are answered QUEUE_FULL")},
        {SIZE("outbox.max_bytes", "8G"), MEMBER(outbox.max_bytes), RELOADABLE, BETWEEN("1M", "65536G"),
         HELP("past this size of the outbox events are answered QUEUE_FULL")},
        {SIZE("outbox.min_free_disk", "128M"), MEMBER(outbox.min_free_disk), FIXED, BETWEEN("0", "1024G"),
         HELP("with less free disk events are answered QUEUE_FULL")},
        {SIZE("outbox.ballast", "16M"), MEMBER(outbox.ballast), FIXED, BETWEEN("0", "64G"),
         HELP("a file beside the outbox that is given back when the disk is full, so that delivery can go on")},
        {DURATION("outbox.gather", "100ms"), MEMBER(outbox.gather_us), FIXED, BETWEEN("0", "10s"),
         HELP("how long an outcome may wait to be committed together with new events; 0: not at all")},
        {COUNT("outbox.remember_delivered", "100000"), MEMBER(outbox.remember_delivered), FIXED,
         BETWEEN("0", "1000000"),
         HELP("delivered events whose time, status and attempts ga4relay-ctl show still knows")},
        {DURATION("outbox.dedup_window", "24h"), MEMBER(outbox.dedup_window_us), FIXED, BETWEEN("1s", "30d"),
         HELP("how long a dedup_key is remembered")},
        {DURATION("outbox.keep_delivered", "0"), MEMBER(outbox.keep_delivered_us), RELOADABLE, BETWEEN("0", "365d"),
         HELP("how long delivered events are kept for ga4relay-ctl show")},
        {DURATION("outbox.keep_dead", "7d"), MEMBER(outbox.keep_dead_us), RELOADABLE, BETWEEN("1s", "3650d"),
         HELP("dead letters older than this are purged")},
        {COUNT("outbox.keep_rejected", "1000"), MEMBER(outbox.keep_rejected), RELOADABLE, BETWEEN("0", "1000000"),
         HELP("refused lines kept for ga4relay-ctl list --state rejected; 0: none")},

        {WORD("validation", "standard", validation_words), MEMBER(validation), RELOADABLE, VALIDATION_RANGE,
         HELP("standard: refuse what costs the event; strict: what costs a parameter too; off: only what delivery "
              "needs")},
        {WORD("limits", "standard", limits_words), MEMBER(limits_360), RELOADABLE, .range = "standard, 360",
         HELP("360: 100 parameters and 500-character values, for Analytics 360")},

        {URL("delivery.endpoint", "https://www.google-analytics.com/mp/collect"), MEMBER(delivery.endpoint),
         RELOADABLE, HELP("where events are posted; in the EU https://region1.google-analytics.com/mp/collect")},
        {URL("delivery.validation_endpoint", ""), MEMBER(delivery.validation_endpoint), RELOADABLE,
         .how.may_be_empty = true,
         HELP("for ga4relay-ctl validate --remote; empty: endpoint with /debug before its path")},
        {DURATION("delivery.linger", "200ms"), MEMBER(delivery.linger_us), RELOADABLE, BETWEEN("0", "10m"),
         HELP("how long a batch that is not full waits for more")},
        {COUNT("delivery.max_batch", "25"), MEMBER(delivery.max_batch), RELOADABLE, BETWEEN("1", "25"),
         HELP("events a request")},
        {COUNT("delivery.max_requests", "64"), MEMBER(delivery.max_requests), RELOADABLE, BETWEEN("1", "1024"),
         HELP("requests in flight at most, per stream")},
        {BOOL("delivery.http2", "false"), MEMBER(delivery.http2), RELOADABLE,
         HELP("HTTP/2 instead of HTTP/1.1 over a pool of kept connections")},
        {DURATION("delivery.connect_timeout", "10s"), MEMBER(delivery.connect_timeout_us), RELOADABLE,
         BETWEEN("10ms", "5m"), HELP("DNS, connect and TLS together")},
        {DURATION("delivery.timeout", "30s"), MEMBER(delivery.timeout_us), RELOADABLE, BETWEEN("10ms", "10m"),
         HELP("a whole request, the answer included")},
        {DURATION("delivery.retry_min", "1s"), MEMBER(delivery.retry_min_us), RELOADABLE, BETWEEN("10ms", "1h"),
         HELP("the wait after the first failure; it doubles")},
        {DURATION("delivery.retry_max", "5m"), MEMBER(delivery.retry_max_us), RELOADABLE, BETWEEN("10ms", "24h"),
         HELP("the longest wait between two tries")},
        {DURATION("delivery.max_age", "72h"), MEMBER(delivery.max_age_us), RELOADABLE, BETWEEN("1h", "30d"),
         HELP("older events expire; Google re-dates what is older than 72h")},
        {WORD("delivery.ambiguous", "retry", ambiguous_words), MEMBER(delivery.ambiguous), RELOADABLE,
         AMBIGUOUS_RANGE,
         HELP("a request that died after its body was written: retry it, or park it as a dead letter")},
        {DURATION("delivery.refuse_after", "1m"), MEMBER(delivery.refuse_after_us), RELOADABLE, BETWEEN("0", "1d"),
         HELP("an event that is refused alone is dead after three refusals spread over so long; 0s: after one")},
        {DURATION("delivery.drain_timeout", "10s"), MEMBER(delivery.drain_timeout_us), RELOADABLE,
         BETWEEN("0", "10m"), HELP("how long a shutdown waits for requests in flight")},
        {NAMED("delivery.proxy", "URL", ""), .how.type = OPTION_PROXY, MEMBER(delivery.proxy), RELOADABLE,
         .how.may_be_empty = true, .range = "http, https, socks4, socks4a, socks5, socks5h",
         HELP("proxy to go through; the environment's proxy variables are never obeyed")},
        {PATH("delivery.ca_file", ""), MEMBER(delivery.ca_file), RELOADABLE, .how.may_be_empty = true,
         HELP("a bundle of certificate authorities instead of the system's")},
        {BOOL("delivery.allow_plaintext", "false"), MEMBER(delivery.allow_plaintext), RELOADABLE,
         HELP("allow http:// endpoints that are not loopback")},

        {NAMED("http.listen", "address", ""), .how.type = OPTION_LISTEN, MEMBER(http.listen), FIXED,
         .how.may_be_empty = true, .range = "address:port, [address]:port or unix:path",
         HELP("the HTTP door, such as 127.0.0.1:8125; empty: off")},
        {NAMED("http.hosts", "list of strings", "localhost 127.0.0.1 [::1]"), .how.type = OPTION_NAMES,
         MEMBER(http.hosts), FIXED, .range = "1 to 64 names, without a port",
         HELP("accepted Host headers; an IP address is always accepted")},
        {NAMED("http.metrics", "address", ""), .how.type = OPTION_LISTEN, MEMBER(http.metrics), FIXED,
         .how.may_be_empty = true, .range = "address:port, [address]:port or unix:path",
         HELP("serves /metrics and /healthz alone, for scrapers and probes; empty: off")},
        {BOOL("http.page", "false"), MEMBER(http.page), FIXED,
         HELP("the HTTP door also serves the live page, read-only and without event contents")},

        {WORD("fleet.role", "", role_words), MEMBER(fleet.role), FIXED, .how.may_be_empty = true,
         .range = "edge, hub",
         HELP("edge: intake here, delivery by hubs; hub: delivers what edges forwarded, too; empty: no fleet")},
        {PATH("fleet.conninfo_file", ""), MEMBER(fleet.conninfo_file), RELOADABLE, .how.may_be_empty = true,
         HELP("a file that holds libpq's connection string, with all hosts")},
        {TEXT("fleet.conninfo_credential", ""), MEMBER(fleet.conninfo_credential), RELOADABLE,
         .how.may_be_empty = true, .range = "a file's name in $CREDENTIALS_DIRECTORY",
         HELP("the connection string from systemd's LoadCredential=")},
        {WORD("fleet.confirm", "local", confirm_words), MEMBER(fleet.confirm), FIXED, .range = "local, replicated",
         HELP("when a line is answered ok: it is in this outbox; replicated is not available yet")},
        {BOOL("fleet.require_sync", "true"), MEMBER(fleet.require_sync), RELOADABLE,
         HELP("forward nothing while the server would acknowledge without a synchronous standby")},
        {COUNT("fleet.batch", "500"), MEMBER(fleet.batch), RELOADABLE, BETWEEN("1", "1000"),
         HELP("events a statement")},
        {COUNT("fleet.requests", "4"), MEMBER(fleet.requests), RELOADABLE, BETWEEN("1", "16"),
         HELP("statements in flight")},
        {DURATION("fleet.lease", "60s"), MEMBER(fleet.lease_us), RELOADABLE, BETWEEN("5s", "1h"),
         HELP("how long a hub owns what it took; renewed while it works")},
        {DURATION("fleet.keep_keys", "7d"), MEMBER(fleet.keep_keys_us), RELOADABLE, BETWEEN("1h", "365d"),
         HELP("how long the key of a delivered event is remembered, so that it is never stored twice")},

        {WORD("log.level", "info", level_words), MEMBER(log.level), RELOADABLE,
         .range = "error, warning, info, debug", HELP("how much is logged")},
        {WORD("log.format", "text", format_words), MEMBER(log.format), RELOADABLE, .range = "text, json",
         HELP("json: one object a line")},
};

static const struct conf_option_info stream_rows[] = {
        {TEXT("name", ""), STREAM_MEMBER(name), .range = "1 to 63 of A-Z a-z 0-9 _ . -", RELOADABLE,
         HELP("the stream: queued events use its current id, secret and endpoint")},
        {TEXT("measurement_id", ""), RELOADABLE, .range = "G- and letters or digits", HELP("of a web stream")},
        {TEXT("firebase_app_id", ""), RELOADABLE, .range = "like 1:123:android:abc", HELP("of an app stream")},
        {PATH("api_secret_file", ""), RELOADABLE, HELP("a file that holds the API secret")},
        {TEXT("api_secret_credential", ""), RELOADABLE, .range = "a file's name in $CREDENTIALS_DIRECTORY",
         HELP("the API secret from systemd's LoadCredential=")},
        {TEXT("api_secret_env", ""), RELOADABLE, .range = "a variable's name: letters, digits and _",
         HELP("the API secret from the environment, for containers; removed from there once read")},
        {NAMED("api_secret", "string", ""), .how.type = OPTION_SECRET, RELOADABLE,
         .range = "1 to 512 printable characters", HELP("the API secret itself, in a file that others cannot read")},
        {URL("endpoint", ""), STREAM_MEMBER(endpoint), RELOADABLE, HELP("instead of delivery.endpoint")},
        {WORD("validation", "", validation_words), STREAM_MEMBER(validation), RELOADABLE, VALIDATION_RANGE,
         HELP("instead of validation")},
        {WORD("ambiguous", "", ambiguous_words), STREAM_MEMBER(ambiguous), RELOADABLE, AMBIGUOUS_RANGE,
         HELP("instead of delivery.ambiguous")},
        {BOOL("paused", "false"), STREAM_MEMBER(paused), RELOADABLE,
         HELP("keep its events, send none; ga4relay-ctl pause and resume override it")},
};
/* clang-format on */

const struct conf_option_info *conf_options(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(rows);
	return rows;
}

const struct conf_option_info *conf_stream_options(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(stream_rows);
	return stream_rows;
}
