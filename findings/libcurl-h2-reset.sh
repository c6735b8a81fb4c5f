#!/bin/bash
# libcurl-h2-reset.sh - over HTTP/2 libcurl throws nginx's early 204 away
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"

cat <<'TEXT'
version     libcurl 7.88.1 and nginx 1.22.1, and nghttp 1.52.0 to look at the frames
source      Debian 12, libcurl4-openssl-dev, nginx, nghttp2-client; RFC 9113, section 8.1: a server may send a complete
            response before the request's body has come, then RST_STREAM with NO_ERROR; a client must not discard the
            response because of it.
good guess  nginx's "return 204" answers a POST without reading its body, over HTTP/1.1 and over HTTP/2 alike, and libcurl
            reports status 204.
behaviour   nginx does what the RFC says. Over HTTP/1.1 libcurl reports status 204; over HTTP/2 it is error 92 ("Stream error
            in the HTTP/2 framing layer") and no status, though the response was complete: a sender that tries again on
            errors delivers the body for ever. Small bodies fail now and then, when the reset is faster than the body.
TEXT
debs "libcurl4-openssl-dev=7.88.1-*" "libcurl4=7.88.1-*" "libnghttp2-14=1.52.0-*" "nginx=1.22.1-*" "nghttp2-client=1.52.0-*" \
	libc-ares2 libev4 libjansson4

cat >nginx.conf <<'CONF'
daemon off; error_log nginx.log; pid nginx.pid; events {}
http {
	access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
	server { listen unix:h1.sock; location / { return 204; } }
	server { listen 127.0.0.1:PORT http2; location / { return 204; } }
}
CONF
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
sed -i "s/PORT/$port/" nginx.conf
root/usr/sbin/nginx -e nginx.log -p "$work" -c "$work/nginx.conf" &
started+=($!)
for _ in $(seq 100); do if [ -S h1.sock ]; then break; fi; sleep 0.1; done

cat >try.c <<'SOURCE'
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static void post(const char *what, const char *url, const char *path, long version)
{
	static char body[300000];
	CURL *c = curl_easy_init();
	long status = -1;
	int error;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, path);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, version);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)sizeof(body));
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 15L);
	error = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	printf("libcurl, %s: error %d, status %ld\n", what, error, status);
	curl_easy_cleanup(c);
}

int main(int argc, char **argv)
{
	curl_global_init(CURL_GLOBAL_ALL);
	for (int i = 0; argc > 1 && i < 3; i++) {
		post("HTTP/1.1", "http://localhost/", "h1.sock", CURL_HTTP_VERSION_1_1);
		post("HTTP/2", argv[1], NULL, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	}
	return 0;
}
SOURCE
compile gcc try.c -lcurl

# The frames that answer the same POST, of all that nghttp reports.
try() {
	head -c 300000 /dev/zero >body
	root/usr/bin/nghttp --verbose --null-out --no-dep --data=body "http://127.0.0.1:$port/" | perl -ne '
		s/\e\[[0-9;]*m//g;
		$frame = $2 if /(recv|send) (\w+) frame/;
		print "nghttp: $1\n" if /(:status: \d+)/;
		print "nghttp: $frame with $1\n" if $frame =~ /HEADERS|RST_STREAM/ && /(END_STREAM|error_code=\w+)/'
	./try "http://127.0.0.1:$port/"
}
expect try <<'OUTPUT'
nghttp: :status: 204
nghttp: HEADERS with END_STREAM
nghttp: RST_STREAM with error_code=NO_ERROR
libcurl, HTTP/1.1: error 0, status 204
libcurl, HTTP/2: error 92, status 0
libcurl, HTTP/1.1: error 0, status 204
libcurl, HTTP/2: error 92, status 0
libcurl, HTTP/1.1: error 0, status 204
libcurl, HTTP/2: error 92, status 0
OUTPUT
