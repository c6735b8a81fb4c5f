# Makefile - builds, tests and installs ga4relay; written by hand over src/config.mk, which configure writes.
# `make` on a fresh checkout runs autoconf and configure by itself. `make help` lists the targets.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VARIANT ?= release
VARIANTS := release debug asan tsan cov
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT) is not one of: $(VARIANTS))
endif

# These work before anything is installed, hence before configure can run.
BARE_GOALS := help clean distclean
GOALS := $(or $(MAKECMDGOALS),all)

all:

ifneq ($(filter-out $(BARE_GOALS),$(GOALS)),)
include src/config.mk
endif

configure: configure.ac
	@command -v autoconf >/dev/null || { echo >&2 \
	  "autoconf is missing. Debian, Ubuntu, Fedora, Alpine, Arch: the package is called autoconf."; exit 1; }
	autoconf --force --output=$@ $<

config.status: configure
	@if test -x config.status; then echo ./config.status --recheck; ./config.status --recheck; \
	else echo ./configure $(CONFIGURE_FLAGS); ./configure $(CONFIGURE_FLAGS); fi

src/config.mk: src/config.mk.in config.status
	./config.status --quiet $@
	@touch $@

# ---- flags: ours by variant, then the user's, so that the user has the last word ----

B := build/$(VARIANT)

OPT_release := -O2 -g $(FORTIFY)
OPT_debug := -Og -g3
OPT_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT_cov := -O0 -g --coverage
LINK_asan := -fsanitize=address,undefined
LINK_tsan := -fsanitize=thread
LINK_cov := --coverage

ALL_CPPFLAGS = -Isrc -D_GNU_SOURCE -DGA4RELAY_VERSION='"$(VERSION)"' -DGA4RELAY_SYSCONFDIR='"$(sysconfdir)"' \
	$(PKG_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 -pthread $(WARNINGS) $(HARDEN_CFLAGS) $(OPT_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS = -pthread $(HARDEN_LDFLAGS) $(LINK_$(VARIANT)) $(LDFLAGS)
ALL_LIBS = $(PKG_LIBS) $(LIBS)

# ---- sources are found by where they are: a new file needs no line here ----

MAINS := src/daemon/main.c src/ctl/main.c
LIB_SRC := $(filter-out $(MAINS),$(sort $(wildcard src/*/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o)
LIB := $B/libga4relay.a
PROGRAMS := $(if $(wildcard src/daemon/main.c),$B/ga4relay) $(if $(wildcard src/ctl/main.c),$B/ga4relay-ctl)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_NAMES := $(UNIT_SRC:tests/unit/test_%.c=%)
UNIT_BIN := $(UNIT_NAMES:%=$B/unit/test_%)

all: $(PROGRAMS)
lib: $(LIB)

$B/ga4relay: $B/src/daemon/main.o $(LIB)
$B/ga4relay-ctl: $B/src/ctl/main.o $(LIB)
$(PROGRAMS):
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

$(LIB): $(LIB_OBJ)
	@echo "  AR   $@"
	@rm -f $@
	@$(AR) rcs $@ $^

$B/%.o: %.c $B/.build_opts
	@mkdir -p $(@D)
	@echo "  CC   $@"
	@$(CC) $(ALL_CPPFLAGS) $(EXTRA_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$B/tests/unit/%.o: EXTRA_CPPFLAGS = $(CMOCKA_CFLAGS) -Itests/unit

$B/unit/test_%: $B/tests/unit/test_%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(ALL_LIBS)

# Rewritten only when the flags change; everything depends on it, so changed flags rebuild.
BUILD_OPTS = $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(ALL_LIBS)
$B/.build_opts: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(BUILD_OPTS))' | cmp -s - $@ || echo '$(subst ','\'',$(BUILD_OPTS))' >$@

-include $(LIB_OBJ:.o=.d) $(MAINS:%.c=$B/%.d) $(UNIT_SRC:%.c=$B/%.d)

# ---- tests ----

unit: $(UNIT_NAMES:%=unit-%)
unit-%: $B/unit/test_%
	@$<

# ---- cleaning ----

clean:
	rm -rf build
distclean: clean
	rm -rf autom4te.cache configure config.log config.status src/config.mk

.PHONY: all lib unit clean distclean FORCE
.SECONDARY:
