# crun: make, make run, make test, make check, make bench, make install, make help
CC      ?= gcc
BUILD   ?= build
PREFIX  ?= $(HOME)/.local
VERSION := 0.1.0

CFLAGS  ?= -O3 -g
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wno-missing-field-initializers
CFLAGS_ALL = -std=gnu11 $(CFLAGS) $(WARN) -fno-math-errno -fno-trapping-math -fvisibility=hidden \
  -Iruntime -I/usr/include/lua5.4 -DCR_VERSION='"$(VERSION)"' -MMD -MP $(SANITIZE)
LDLIBS  := -llua5.4 -lopenblas -lpng -lyaml -lsqlite3 -lturbojpeg -lz -lm -lpthread

# Debian packages: to build and run, and those that only the tests need
PACKAGES := gcc make libc6-dev liblua5.4-dev libopenblas-dev libpng-dev libyaml-dev \
  libsqlite3-dev libturbojpeg0-dev zlib1g-dev libjs-chart.js
TEST_PACKAGES := lua-busted lua5.4 libcmocka-dev

# make V=1 shows whole commands
quiet    := $(if $(V),,@)
say       = @$(if $(V),true,echo '  ')

SOURCES  := $(sort $(shell find runtime -name '*.c' ! -name start.c))
OBJECTS   = $(patsubst runtime/%.c,%.o,$(SOURCES)) registry.o
FLOAT     = $(addprefix $(BUILD)/float/,$(OBJECTS))
DOUBLE    = $(addprefix $(BUILD)/double/,$(OBJECTS))
C_TESTS  := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/c/*_test.c)))

all: crun
	@echo "built ./crun - try: make run"

# ---- the program: every source twice, float and double, each set one object that shows only its cr_main

crun: $(BUILD)/crun
	@ln -sf $< $@

$(BUILD)/crun: $(BUILD)/start.o $(BUILD)/engine_float.o $(BUILD)/engine_double.o
	$(say) LD $@
	$(quiet)$(CC) $(CFLAGS) $(SANITIZE) -Wl,-E -o $@ $^ $(LDLIBS)

$(BUILD)/engine_%.o: $(BUILD)/engine_%_all.o
	$(quiet)objcopy --redefine-sym cr_main=cr_main_$* --keep-global-symbol=cr_main_$* $< $@
$(BUILD)/engine_float_all.o: $(FLOAT)
	$(quiet)$(LD) -r --force-group-allocation -o $@ $^
$(BUILD)/engine_double_all.o: $(DOUBLE)
	$(quiet)$(LD) -r --force-group-allocation -o $@ $^

$(BUILD)/start.o: runtime/start.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(quiet)$(CC) $(CFLAGS_ALL) -c -o $@ $<
$(BUILD)/float/%.o: runtime/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(quiet)$(CC) $(CFLAGS_ALL) -c -o $@ $<
$(BUILD)/double/%.o: runtime/%.c
	@mkdir -p $(@D)
	$(quiet)$(CC) $(CFLAGS_ALL) -DCR_DOUBLE -c -o $@ $<
$(BUILD)/float/registry.o: $(BUILD)/registry.c
	$(say) CC $<
	$(quiet)$(CC) $(CFLAGS_ALL) -c -o $@ $<
$(BUILD)/double/registry.o: $(BUILD)/registry.c
	$(say) CC $<
	$(quiet)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# room:prefix of the descriptor; a file x.c in a room defines cr_PREFIX_x
ROOMS := ops:op losses:loss miners:miner metrics:metric optim:optim data:data
$(BUILD)/registry.c: $(BUILD)/sources.txt
	@{ echo '#include "bind/bind.h"'; \
	  for r in $(ROOMS); do for f in $$(grep "^runtime/$${r%:*}/" $<); do \
	    echo "extern const cr_op cr_$${r#*:}_$$(basename $$f .c);"; done; done; \
	  echo 'const cr_registered cr_registry[] = {'; \
	  for r in $(ROOMS); do for f in $$(grep "^runtime/$${r%:*}/" $<); do \
	    echo "  { \"$${r%:*}\", &cr_$${r#*:}_$$(basename $$f .c) },"; done; done; \
	  echo '  { NULL, NULL }'; echo '};'; } > $@

# the list of sources, touched only when it changes: adding or removing a file rebuilds the registry
$(BUILD)/sources.txt: FORCE
	@mkdir -p $(@D)/float $(@D)/double
	@printf '%s\n' $(SOURCES) > $@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:

-include $(FLOAT:.o=.d) $(DOUBLE:.o=.d)

# ---- packages

missing = $(shell for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || printf '%s ' $$p; done)
define install_packages
@if command -v dpkg-query >/dev/null; then m="$(call missing,$(1))"; if [ -n "$$m" ]; then \
  s=; [ "$$(id -u)" = 0 ] || s=sudo; \
  echo "$$s apt-get install -y --no-install-recommends $$m"; \
  $$s apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$s apt-get install -y -qq --no-install-recommends $$m >/dev/null; fi; \
else echo "not a Debian system: install the equivalents of $(1)"; fi
endef

deps:
	$(call install_packages,$(PACKAGES))
deps-test:
	$(call install_packages,$(PACKAGES) $(TEST_PACKAGES))
deps-print:
	@echo "apt-get install $(PACKAGES) $(TEST_PACKAGES)"

# ---- running and testing

run: deps
	@$(MAKE) --no-print-directory -j$$(nproc) crun
	./crun experiments/triplet_faces.lua

test: deps-test
	@$(MAKE) --no-print-directory -j$$(nproc) crun c-tests
	@CRUN=./crun sh tests/run.sh $(BUILD)/tests

c-tests: $(C_TESTS)
$(BUILD)/tests/%: tests/c/%.c $(FLOAT)
	@mkdir -p $(@D)
	$(say) CC $<
	$(quiet)$(CC) $(CFLAGS_ALL) -o $@ $< $(filter-out %/main.o,$(FLOAT)) -lcmocka $(LDLIBS)

# address and undefined-behaviour sanitizers, no caching allocator, a collection at every allocation
check: deps-test
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=$(BUILD)/check CFLAGS='-O1 -g' \
	  SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined -DCR_NO_CACHE -DCR_NO_CLONES' \
	  $(BUILD)/check/crun
	@CRUN=$(BUILD)/check/crun sh tests/run.sh --check

bench: crun
	./crun bench losses

# ---- installing

install: crun
	@FORCE=$(FORCE_INSTALL) sh tests/install_guard.sh "$(PREFIX)"
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/crun $(DESTDIR)$(PREFIX)/include
	install -m 755 $(BUILD)/crun $(DESTDIR)$(PREFIX)/bin/crun
	install -m 644 runtime/crun.h $(DESTDIR)$(PREFIX)/include/crun.h
	cp -R lua $(DESTDIR)$(PREFIX)/share/crun/
	@echo "installed $(DESTDIR)$(PREFIX)/bin/crun"

clean:
	rm -rf build crun

help:
	@echo "make          build ./crun"
	@echo "make run      install what is missing, build, learn faces"
	@echo "make test     install what is missing, build, run all tests"
	@echo "make check    the tests under address and undefined-behaviour sanitizers"
	@echo "make bench    time and memory of every loss and miner"
	@echo "make install  into PREFIX (default ~/.local)"
	@echo "make deps-print   the Debian packages"

.PHONY: all deps deps-test deps-print run test c-tests check bench install clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:
