# functions.awk - finds functions longer than MAX lines (60 unless -v MAX=n) by the style: their braces are in column 1
BEGIN { if (!MAX) MAX = 60 }
FNR == 1 { start = 0; first = $0; if ($0 !~ /^\/\* [a-z0-9_]+\.[ch] - /) { print FILENAME ":1: the first line must say what the file does: /* name.c - what */"; bad = 1 } }
/^\{/ { start = FNR }
/^\}/ {
	if (start && FNR - start + 1 > MAX) {
		printf "%s:%d: a function of %d lines, at most %d\n", FILENAME, start, FNR - start + 1, MAX
		bad = 1
	}
	start = 0
}
END { exit bad }
