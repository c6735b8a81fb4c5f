# Makefile - builds, tests and installs ga4relay; hand-written, and includes src/config.mk, which configure generates.
# `make` on a fresh checkout runs autoconf and configure by itself. `make help` lists the targets.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VARIANT ?= release
VARIANTS := release debug asan tsan cov fuzz
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT) is not one of: $(VARIANTS))
endif

# These targets work before anything is installed, so before configure can run.
BARE_GOALS := help clean distclean setup bench-deps check demo systems
GOALS := $(or $(MAKECMDGOALS),all)

all:

ifneq ($(filter-out $(BARE_GOALS),$(GOALS)),)
include src/config.mk
endif

configure: configure.ac
	@command -v autoconf >/dev/null || { echo >&2 \
	  "autoconf is missing. Debian, Ubuntu, Fedora, Alpine, Arch: the package is called autoconf."; exit 1; }
	autoconf --force --output=$@ $<
	@rm -f $@~

config.status: configure
	@if test -x config.status; then echo ./config.status --recheck; ./config.status --recheck; \
	else echo ./configure $(CONFIGURE_FLAGS); ./configure $(CONFIGURE_FLAGS); fi

src/config.mk: src/config.mk.in config.status
	./config.status --quiet $@
	@touch $@

# ---- flags: ours by variant, then the user's, which therefore take precedence ----

# Another compiler's build gets a directory of its own: make check VARIANT=asan CC=clang
OTHER_CC := $(if $(filter command,$(firstword $(origin CC))),$(if $(filter asan tsan,$(VARIANT)),-$(notdir $(firstword $(CC)))))
B := build/$(VARIANT)$(OTHER_CC)

OPT_release := -O2 -g $(FORTIFY)
OPT_debug := -Og -g3
OPT_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT_cov := -O0 -g --coverage
OPT_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LINK_asan := -fsanitize=address,undefined
LINK_tsan := -fsanitize=thread
LINK_cov := --coverage
LINK_fuzz := -fsanitize=address,undefined

ALL_CPPFLAGS = -Isrc -D_GNU_SOURCE $(WIDE) -DGA4RELAY_POSTGRES=$(POSTGRES) -DGA4RELAY_VERSION='"$(VERSION)"' -DGA4RELAY_SYSCONFDIR='"$(sysconfdir)"' \
	$(PKG_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 -pthread $(WARNINGS) $(HARDEN_CFLAGS) $(OPT_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS = -pthread $(HARDEN_LDFLAGS) $(LINK_$(VARIANT)) $(LDFLAGS)
ALL_LIBS = $(PKG_LIBS) $(LIBS)

# ---- sources are found by their location: a new file needs no line here ----

MAINS := src/daemon/main.c src/ctl/main.c
# Rooms that only a build with libpq has
POSTGRES_SRC := $(wildcard src/net/postgres/*.c src/fleet/*.c src/ctl/fleet/*.c)
POSTGRES_UNITS := $(shell grep -ls 'include "\(net/postgres\|fleet\)/' tests/unit/test_*.c)
LIB_SRC := $(filter-out $(MAINS) $(if $(filter 1,$(POSTGRES)),,$(POSTGRES_SRC)),$(sort $(wildcard src/*/*.c src/*/*/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o) $B/made/page_text.o
LIB := $B/libga4relay.a
PROGRAMS := $B/ga4relay $B/ga4relay-ctl
UNIT_SRC := $(filter-out $(if $(filter 1,$(POSTGRES)),,$(POSTGRES_UNITS)),$(sort $(wildcard tests/unit/test_*.c)))
UNIT_NAMES := $(UNIT_SRC:tests/unit/test_%.c=%)
UNIT_BIN := $(UNIT_NAMES:%=$B/unit/test_%)
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
BENCH_BIN := $(BENCH_SRC:tests/bench/%.c=$B/bench/%)

all: $(PROGRAMS)
lib: $(LIB)

$B/ga4relay: $B/src/daemon/main.o $(LIB)
$B/ga4relay-ctl: $B/src/ctl/main.o $(LIB)
$(PROGRAMS):
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

$(LIB): $(LIB_OBJ) $B/.lib_members
	@echo "  AR   $@"
	@rm -f $@
	@$(AR) rcs $@ $(LIB_OBJ)

define COMPILE
	@mkdir -p $(@D)
	@echo "  CC   $@"
	@$(CC) $(ALL_CPPFLAGS) $(EXTRA_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
endef
$B/%.o: %.c $B/.build_opts
	$(COMPILE)

# The live page, compiled in.
PAGE_SRC := $(addprefix src/http/page/page.,html css js)
$B/made/page_text.c: src/http/page/generate.sh $(PAGE_SRC)
	@mkdir -p $(@D)
	@src/http/page/generate.sh $(PAGE_SRC) >$@
$B/made/%.o: $B/made/%.c $B/.build_opts
	$(COMPILE)

# cmocka 2 marks as deprecated the functions that cmocka 1 has no replacement for.
$B/tests/unit/%.o: EXTRA_CPPFLAGS = $(CMOCKA_CFLAGS) -Itests/unit -Wno-deprecated-declarations

$B/unit/test_%: $B/tests/unit/test_%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(ALL_LIBS)

# Rewritten only when the flags change; everything depends on it, so changed flags rebuild.
# The list of the library's members works likewise when a source is added or removed.
BUILD_OPTS = $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(ALL_LIBS)
$B/.build_opts: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(BUILD_OPTS))' | cmp -s - $@ || echo '$(subst ','\'',$(BUILD_OPTS))' >$@
$B/.lib_members: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_OBJ)' | cmp -s - $@ || echo '$(LIB_OBJ)' >$@

-include $(LIB_OBJ:.o=.d) $(MAINS:%.c=$B/%.d) $(UNIT_SRC:%.c=$B/%.d) $(BENCH_SRC:%.c=$B/%.d) $B/tests/lint/options.d $B/tests/diff/judge.d

# ---- tests ----

# Defaults of CMOCKA_CFLAGS and CMOCKA_LIBS, unless given to configure. pkg-config runs here, so that cmocka can be
# installed after the programs were built.
cmocka_cflags = $(shell $(PKG_CONFIG) --cflags cmocka)
cmocka_libs = $(or $(shell $(PKG_CONFIG) --libs cmocka),$(error the unit tests need cmocka: make setup installs it))

unit: $(UNIT_BIN)
	@tests/lib/units.sh $(UNIT_BIN)
unit-%: $B/unit/test_%
	@tests/lib/units.sh $<

# The unit tests under valgrind, without a sanitizer's allocator. Memory that is still reachable at exit is not a leak.
valgrind:
	@$(MAKE) --no-print-directory VARIANT=debug unit \
	  UNDER='valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --suppressions=tests/lib/valgrind.supp'

# Coverage of src/ by the tests, measured by gcov; fails below the required minimum (tests/lib/coverage.py).
coverage:
	@find build/cov -name '*.gcda' -delete 2>/dev/null || true
	@tests/lib/check.sh cov build unit fuzz e2e
	@$(PYTHON) tests/lib/coverage.py build/cov
# Only the first rule, for .ci/run: every branch of the pure decisions, by the unit tests that concern them.
model-coverage:
	@find build/cov -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory VARIANT=cov unit UNIT_NAMES='$(filter-out simulation memory store%,$(UNIT_NAMES))'
	@$(PYTHON) tests/lib/coverage.py build/cov --model

# PYTEST_ARGS='-k refund -x' selects tests.
# Most tests wait most of the time: with pytest-xdist, E2E_JOBS run at once (0: one after another, as pdb and -s need).
# E2E_AGAIN=1 repeats failed tests once, one by one, with a message: a machine that stalls for seconds is not a defect.
E2E_JOBS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))
E2E_AT_ONCE = $(shell $(PYTHON) -c 'import xdist' 2>/dev/null && echo '-n $(E2E_JOBS)')
PYTEST = VARIANT=$(VARIANT) BUILD_DIR=$(CURDIR)/$B PYTHONDONTWRITEBYTECODE=1 \
  $(PYTHON) -m pytest -o cache_dir=$(CURDIR)/$B/pytest-cache -ra
E2E_HELPERS := $B/tests/judge $B/tests/clock_shim.so $B/tests/heap_shim.so $B/tests/fault_shim.so $B/tests/dumpable_shim.so $B/proof/killat $B/bench/load $B/bench/sink
e2e: $(PROGRAMS) $(E2E_HELPERS)
	@$(PYTEST) $(E2E_AT_ONCE) $(PYTEST_ARGS) tests/e2e || { test -n "$(E2E_AGAIN)" && \
	  echo "==> SOME FAILED: these once more" && $(PYTEST) --last-failed --last-failed-no-failures none tests/e2e; }
PYTHON ?= /usr/bin/python3

# Runs in a booted container, as root. PYTEST_ARGS as above, FULL=1 for the long run, SUITE=trixie for Debian 13.
system: $(PROGRAMS) $(E2E_HELPERS)
	@PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -p no:cacheprovider -ra -rP --tb=short $(PYTEST_ARGS) tests/system

# Runs in minimal root directories of other systems, as root. STAGES='build unit' selects stages.
systems:
	@tests/systems/run.sh $(SYSTEMS)

lint: $(PROGRAMS) $B/lint/options
	@tests/lint/lint.sh $B

# The program that the differential test runs for the relay's verdict.
$B/tests/judge: $B/tests/diff/judge.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

# Preloaded into relays under test. Built without the variant's flags, because it is not part of the program.
$B/tests/%_shim.so: tests/e2e/lib/%_shim.c
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) -std=gnu11 -O1 -Wall -Wextra $(WIDE) -fPIC -shared -o $@ $< -lpthread

$B/lint/options: $B/tests/lint/options.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

# Installs nothing, needs no root and reports what is missing, because packagers run it in sandboxes.
check: | $(filter setup,$(GOALS))
	@tests/lib/check.sh $(VARIANT) $(STAGES)
setup:
	@tests/lib/setup.sh check
# Starts from a bare system: installs what is needed, configures, builds, then runs the demo.
demo:
	@tests/lib/setup.sh demo
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tests/demo.sh $B

# BENCH=small (about a minute) or full; PARTS='drain latency' selects parts, PARTS=-l lists them.
bench: $(PROGRAMS) $(BENCH_BIN)
	@BENCH=$(BENCH) tests/bench/run.sh $B $(PARTS)
BENCH ?= small
bench-deps:
	@tests/lib/setup.sh bench
	@tests/bench/rsyslog.sh $B/bench/rsyslog
# Plots the last run of BENCH=full as SVG files in $B/bench/curves.
bench-curves:
	@mkdir -p $B/bench/curves
	@/usr/bin/python3 -B tests/bench/plot.py $B/bench/full.jsonl $B/bench/curves

# The benchmarks' programs, one per file: tests/bench/NAME.c.
$B/bench/%: $B/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS) -lm

# Attack programs that take too long for every check; test_kill.py runs them at small sizes. `make proof` runs all of them
# at these sizes, in about two hours.
KILLS ?= 1000
POINTS ?= all
CUTS ?= 1000
RUNS ?= 200
SOAK ?= 2100
PROOF_SRC := $(sort $(wildcard tests/proof/*.c))
PROOF_MAINS := $(if $(PROOF_SRC),$(shell grep -l '^int main' $(PROOF_SRC)))
PROOF_HELPERS := $(filter-out $(PROOF_MAINS),$(PROOF_SRC))
PROOF_BIN := $(PROOF_MAINS:tests/proof/%.c=$B/proof/%)
PROOF = VARIANT=$(VARIANT) BUILD_DIR=$(CURDIR)/$B PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/proof
proof: proof-kill proof-calls proof-powercut proof-failed-sync proof-faults proof-memory proof-mutants proof-soak
proof-kill: $(PROGRAMS)
	$(PROOF)/kill.py -n $(KILLS)
proof-calls: $(PROGRAMS) $B/proof/killat
	$(PROOF)/calls.py -n $(POINTS)
proof-powercut: $(PROGRAMS) $(PROOF_BIN)
	$B/proof/powercut -n $(CUTS) -m full
	$B/proof/powercut -n $(CUTS) -m normal
	$(PROOF)/cuts.py -n $(CUTS)
	$(PROOF)/cuts.py -n 30 -m normal intake
proof-failed-sync: $(PROGRAMS) $(PROOF_BIN)
	$B/proof/powercut -n $(CUTS) -f 40
	$B/proof/powercut -n $(CUTS) -f 10
	$(PROOF)/failed_sync.py -n $(RUNS)
# FILE_SYSTEMS=none needs no root.
LIVES ?= 200
FILE_SYSTEMS ?= none tmpfs ext4 xfs btrfs
proof-faults: $(PROGRAMS) $B/tests/fault_shim.so
	for fs in $(FILE_SYSTEMS); do $(PROOF)/faults.py -n $(LIVES) -f $$fs || exit 1; done
proof-memory: $(PROGRAMS)
	FAULTS=$(POINTS) $(MAKE) --no-print-directory e2e E2E_JOBS=0 PYTEST_ARGS='-s -k test_memory'
proof-mutants: $(PROGRAMS) $(PROOF_BIN)
	tests/proof/mutants.sh
proof-soak: $(PROGRAMS) $B/tests/clock_shim.so $B/tests/heap_shim.so
	$(PROOF)/soak.py -t $(SOAK)
$B/tests/proof/%.o: EXTRA_CPPFLAGS = -Itests/proof
$B/proof/%: $B/tests/proof/%.o $(PROOF_HELPERS:%.c=$B/%.o) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS) -lm

# Fuzzing, one target per file. `make fuzz` runs clang's libFuzzer for FUZZ_SECONDS per target; `make fuzz-replay` runs the
# corpus with the ordinary compiler. FUZZ_TARGETS='line conf' selects targets.
FUZZ_TARGETS ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 60
fuzz-replay: $(FUZZ_TARGETS:%=$B/fuzz/replay_%)
	@tests/fuzz/replay.sh $^
$B/tests/fuzz/%.o: EXTRA_CPPFLAGS = -Itests/fuzz
$B/fuzz/replay_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/replay.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$B/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(ALL_LIBS)
fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang $(FUZZ_TARGETS:%=build/fuzz/fuzz/fuzz_%)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh $(FUZZ_TARGETS)
# Repacks the committed corpus together with what `make fuzz` found, reduced to as few inputs as reach the same code.
fuzz-minimise:
	@tests/fuzz/minimise.sh $(FUZZ_TARGETS)

# Builds all programs, for their compiler warnings.
compile: $(PROGRAMS) $(UNIT_BIN) $(E2E_HELPERS) $(BENCH_BIN) $(PROOF_BIN) $(FUZZ_TARGETS:%=$B/fuzz/replay_%) $B/lint/options

# ANALYZERS='cppcheck gcc' omits the slow one: clang-tidy needs a quarter of an hour of CPU time.
ANALYZERS ?= cppcheck gcc tidy
analyze:
	@CPPFLAGS='$(PKG_CFLAGS)' tests/lint/analyze.sh $(ANALYZERS)

# ---- installing ----

INSTALL ?= install
unitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
completiondir ?= $(datarootdir)/bash-completion/completions
zshcompletiondir ?= $(datarootdir)/zsh/site-functions
fishcompletiondir ?= $(datarootdir)/fish/vendor_completions.d
confdir = $(sysconfdir)/ga4relay
exampledir = $(docdir)/examples

MAN8 := $(wildcard man/*.8)
MAN7 := $(wildcard man/*.7)
MAN5 := $(wildcard man/*.5)
# Directory and name of each shell's completion, under DESTDIR.
COMPLETION_bash = $(completiondir)/ga4relay-ctl
COMPLETION_zsh = $(zshcompletiondir)/_ga4relay-ctl
COMPLETION_fish = $(fishcompletiondir)/ga4relay-ctl.fish
COMPLETIONS := bash zsh fish
EXAMPLES := $(filter-out etc/ga4relay.conf,$(wildcard etc/*.*)) $(wildcard etc/container/* etc/frameworks/* etc/grafana/*)
# The units in the repository use Debian's directories; installed units use the directories of this prefix.
SET_PATHS = sed -e 's|/usr/sbin/|$(sbindir)/|g' -e 's|/etc/ga4relay|$(confdir)|g' -e 's|/var/lib/|$(localstatedir)/lib/|g'

install: $(PROGRAMS)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(sbindir) $(mandir)/man5 $(mandir)/man7 $(mandir)/man8 $(confdir) \
	  $(docdir) $(exampledir) $(unitdir) $(sysusersdir) $(tmpfilesdir) $(completiondir) $(zshcompletiondir) \
	  $(fishcompletiondir))
	$(INSTALL) -m 755 $(PROGRAMS) $(DESTDIR)$(sbindir)
	$(if $(MAN5),$(INSTALL) -m 644 $(MAN5) $(DESTDIR)$(mandir)/man5)
	$(if $(MAN7),$(INSTALL) -m 644 $(MAN7) $(DESTDIR)$(mandir)/man7)
	$(if $(MAN8),$(INSTALL) -m 644 $(MAN8) $(DESTDIR)$(mandir)/man8)
	for unit in ga4relay.service ga4relay.socket; do \
	  $(SET_PATHS) systemd/$$unit >$(DESTDIR)$(unitdir)/$$unit && chmod 644 $(DESTDIR)$(unitdir)/$$unit || exit 1; done
	$(INSTALL) -m 644 systemd/ga4relay.sysusers $(DESTDIR)$(sysusersdir)/ga4relay.conf
	$(SET_PATHS) systemd/ga4relay.tmpfiles >$(DESTDIR)$(tmpfilesdir)/ga4relay.conf
	chmod 644 $(DESTDIR)$(tmpfilesdir)/ga4relay.conf
	$(foreach shell,$(COMPLETIONS),$(INSTALL) -m 644 src/ctl/ga4relay-ctl.$(shell) $(DESTDIR)$(COMPLETION_$(shell)) &&) :
	$(INSTALL) -m 644 README.md LICENSE man/CHANGELOG $(DESTDIR)$(docdir)
	$(INSTALL) -m 644 etc/ga4relay.conf $(EXAMPLES) $(DESTDIR)$(exampledir)
	@if test -e $(DESTDIR)$(confdir)/ga4relay.conf; then \
	  echo "$(DESTDIR)$(confdir)/ga4relay.conf is there and stays as it is; the new sample: $(exampledir)"; \
	else set -x; $(INSTALL) -m 644 etc/ga4relay.conf $(DESTDIR)$(confdir)/ga4relay.conf; fi

# Keeps the configuration, the secrets beside it and the outbox, which belong to the operator.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(sbindir)/,$(notdir $(PROGRAMS)))
	rm -f $(addprefix $(DESTDIR)$(mandir)/man5/,$(notdir $(MAN5))) \
	  $(addprefix $(DESTDIR)$(mandir)/man7/,$(notdir $(MAN7))) \
	  $(addprefix $(DESTDIR)$(mandir)/man8/,$(notdir $(MAN8)))
	rm -f $(DESTDIR)$(unitdir)/ga4relay.service $(DESTDIR)$(unitdir)/ga4relay.socket \
	  $(DESTDIR)$(sysusersdir)/ga4relay.conf $(DESTDIR)$(tmpfilesdir)/ga4relay.conf \
	  $(foreach shell,$(COMPLETIONS),$(DESTDIR)$(COMPLETION_$(shell)))
	rm -f $(addprefix $(DESTDIR)$(exampledir)/,ga4relay.conf $(notdir $(EXAMPLES))) \
	  $(addprefix $(DESTDIR)$(docdir)/,README.md LICENSE CHANGELOG)
	-rmdir $(DESTDIR)$(exampledir) $(DESTDIR)$(docdir)
	@echo "kept: $(DESTDIR)$(confdir) and the outbox under $(localstatedir)/lib/ga4relay"

# ---- releasing ----

dist: configure
	@tests/lib/dist.sh ga4relay-$(VERSION)

# Builds the Debian package by systemd/debian, from the tarball's files, without the unit tests (see `make unit`).
DEB_TREE := build/deb/ga4relay-$(VERSION)
deb: configure
	@command -v dh dpkg-buildpackage >/dev/null || { echo >&2 \
	  "make deb is for Debian and its like, and needs debhelper: tests/lib/setup.sh deb"; exit 1; }
	rm -rf build/deb && mkdir -p build/deb
	tests/lib/dist.sh ga4relay-$(VERSION) build/deb/ga4relay_$(VERSION).orig.tar.gz
	tar --extract --file build/deb/ga4relay_$(VERSION).orig.tar.gz -C build/deb
	cp -r systemd/debian $(DEB_TREE)/debian
	cd $(DEB_TREE) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
	  DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$$(nproc) $$DEB_BUILD_OPTIONS" \
	  dpkg-buildpackage --build=binary --no-sign --build-profiles=nocheck --ignore-builtin-builddeps
	rm -rf $(DEB_TREE) && mv build/deb/ga4relay_*.deb build/

# ---- cleaning ----

clean:
	rm -rf build
distclean: clean
	rm -rf autom4te.cache configure configure~ config.log config.status src/config.mk

help:
	@sed -n 's/^#: \?//p' Makefile

#: make                  build build/release/ga4relay and ga4relay-ctl (runs autoconf and configure first)
#: make demo             install what is needed, build, show the main job: no account, configuration or network
#: make check            build, run unit tests, end-to-end tests and lint, say what is missing; STAGES='build unit' picks
#: make compile          build all programs, those of tests, benchmarks, attackers and fuzzers too, and run none
#: make unit             the unit tests; make unit-NAME runs tests/unit/test_NAME.c
#: make e2e              the end-to-end tests; PYTEST_ARGS='-k NAME -x' picks
#: make system           the units and the package in a booted container (root, debootstrap, systemd-nspawn)
#: make systems          make demo and check in bare trees of Debian 12, 13, testing and 12 for i386 (root, debootstrap);
#:                       SYSTEMS='trixie i386' and STAGES='build unit' pick
#: make valgrind         the unit tests under memcheck
#: make coverage         what unit tests, end-to-end tests and corpus run of src/; fails where it is too little
#: make lint             format, layers, function lengths, options against sample and manual, scripts, manuals, units
#: make proof            the attackers in full, two hours: proof-kill KILLS=1000, proof-calls POINTS=all,
#:                       proof-powercut CUTS=1000, proof-failed-sync RUNS=200, proof-faults LIVES=200,
#:                       proof-memory, proof-mutants, proof-soak SOAK=2100 (seconds)
#: make fuzz             libFuzzer with FUZZ_SECONDS=60 a target (clang); FUZZ_TARGETS='line conf' picks
#: make analyze          cppcheck, gcc -fanalyzer and clang-tidy over src/; fails on what tests/lint/analyze.txt lacks
#: make fuzz-minimise    repacks the corpus with what fuzzing found, as few inputs as reach the same code
#: make fuzz-replay      the fuzzers' corpus with the ordinary compiler
#: make bench            the benchmarks; BENCH=small or full, PARTS='NAME NAME' picks, PARTS=-l lists
#: make bench-curves     the last full run as SVG pictures, in build/release/bench/curves
#: make bench-deps       install the daemons that they compare with, without starting them
#: make setup            install the packages that `check` needs (as root or with sudo); make setup check: both
#: make install          DESTDIR, prefix and sysconfdir are honoured; a configuration is never overwritten
#: make uninstall        remove what install put there; configuration and outbox stay
#: make deb              build/ga4relay_VERSION-1_ARCH.deb, the Debian package, by debhelper and systemd/debian
#: make dist             ga4relay-VERSION.tar.gz: what git tracks, and configure; a commit gives the same bytes every time
#: make clean            remove build/; distclean: also what configure made
#:
#: VARIANT=release|debug|asan|tsan|cov   which build, side by side under build/ (default release)
#: VARIANT=asan CC=clang                  another compiler's sanitizers, beside the first: build/asan-clang
#: CC, CFLAGS, LDFLAGS                    yours come last, and changing them rebuilds
#: CONFIGURE_FLAGS='--enable-werror'      for the configure that make runs by itself

-include $(PROOF_SRC:%.c=$B/%.d) $(patsubst %.c,$B/%.d,$(wildcard tests/fuzz/*.c))

.PHONY: all lib compile unit valgrind coverage model-coverage e2e system systems proof proof-kill proof-calls proof-powercut proof-failed-sync proof-faults proof-memory proof-mutants proof-soak fuzz fuzz-replay fuzz-minimise analyze lint check demo setup bench bench-deps bench-curves install uninstall dist deb clean distclean help FORCE
.SECONDARY:
