#!/bin/sh
# generate.sh HTML CSS JS - writes page_text.c: one page with style and script in it, and the policy that allows only these
set -eu

html=$1 css=$2 js=$3

# The hash of a file as Content-Security-Policy names it: SHA-256 in base64, from sha256sum's hexadecimal digits.
hash() {
	sha256sum "$1" | awk '{
		digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		hex = $1 "00"
		for (i = 1; i < 66; i += 6) {
			n = 0
			for (k = 0; k < 6; k++)
				n = n * 16 + index("123456789abcdef", substr(hex, i + k, 1))
			for (unit = 262144; unit >= 1; unit /= 64)
				out = out substr(digits, int(n / unit) % 64 + 1, 1)
		}
		sub(/A$/, "=", out)
		printf "%s", "sha256-" out
	}'
}

# Puts the files between their tags, byte for byte, so that their hashes are those of the tags' contents.
assemble() {
	awk -v css="$css" -v js="$js" '
		function put(tag, file,   line) {
			printf "<%s>", tag
			while ((getline line < file) > 0)
				print line
			printf "</%s>\n", tag
		}
		$0 == "<style></style>" { put("style", css); next }
		$0 == "<script></script>" { put("script", js); next }
		{ print }' "$html"
}

echo '#include "http/page/page_text.h"'
echo 'const char page_text[] = {'
assemble | od -An -v -tx1 | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
echo '};'
echo 'const size_t page_text_size = sizeof(page_text);'
echo 'const char page_policy[] ='
echo "	\"default-src 'none'; script-src '$(hash "$js")'; style-src '$(hash "$css")'; connect-src 'self'; img-src data:; \""
echo "	\"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\";"
