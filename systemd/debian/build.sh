#!/bin/bash
# build.sh STAGE VERSION OUT - makes the Debian package OUT of what `make install` put under STAGE
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
stage=$(realpath "${1:?usage: build.sh STAGE VERSION OUT}")
version=${2:?} out=${3:?}
maintainer=${DEB_MAINTAINER:-ga4relay contributors <ga4relay@example.org>}
changed=$(git -C "$here" log -1 --format=%ct 2>/dev/null || stat -c %Y "$here/changelog.in")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$changed}
doc=$stage/usr/share/doc/ga4relay
programs=("$stage/usr/sbin/ga4relay" "$stage/usr/sbin/ga4relay-ctl")

# As debhelper would leave it: no symbols, compressed manuals, the copyright where Debian looks for it.
strip --strip-unneeded --remove-section=.comment --remove-section=.note "${programs[@]}"
find "$stage/usr/share/man" -type f -exec gzip -9n {} +
rm "$doc/LICENSE"
install -m 644 "$here/copyright" "$doc/copyright"

fill() { # fill FILE: with the names between @ set
	sed -e "s|@VERSION@|$version|" -e "s|@ARCH@|$(dpkg --print-architecture)|" -e "s|@MAINTAINER@|$maintainer|" \
		-e "s|@SIZE@|$(du -sk "$stage" | cut -f 1)|" -e "s|@DEPENDS@|${depends:-}|" \
		-e "s|@DATE@|$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")|" "$here/$1"
}

# dpkg-shlibdeps wants a source package's layout around it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/debian" "$stage/DEBIAN"
printf 'Source: ga4relay\n\nPackage: ga4relay\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "${programs[@]/#/-e}" | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ]

fill changelog.in | gzip -9n >"$doc/changelog.Debian.gz"
chmod 644 "$doc/changelog.Debian.gz"

fill control.in >"$stage/DEBIAN/control"
echo /etc/ga4relay/ga4relay.conf >"$stage/DEBIAN/conffiles"
install -m 755 "$here/postinst" "$here/prerm" "$here/postrm" "$stage/DEBIAN"
(cd "$stage" && find usr lib -type f -print0 2>/dev/null | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod 644 "$stage/DEBIAN/control" "$stage/DEBIAN/conffiles" "$stage/DEBIAN/md5sums"

dpkg-deb --root-owner-group --build "$stage" "$out"
