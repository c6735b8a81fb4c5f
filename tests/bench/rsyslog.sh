#!/bin/sh
# rsyslog.sh - Debian's rsyslog into a directory of its own: rsyslog.sh DIR; it cannot be installed beside syslog-ng
set -eu
dir=$1
if command -v rsyslogd >/dev/null || [ -x "$dir/usr/sbin/rsyslogd" ] || ! command -v apt-get >/dev/null; then
	exit 0
fi
mkdir -p "$dir"
cd "$dir"
apt-get -q download rsyslog libestr0 libfastjson4
for package in ./*.deb; do
	dpkg -x "$package" .
	rm "$package"
done
