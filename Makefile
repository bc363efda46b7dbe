# walpipe: one Makefile, no recursion. `make help` lists the targets.
#
# A room is a folder of src/ with a main.c; it becomes one program. Its link line names the library
# modules and the external libraries it needs, so that what a program can reach is seen here.

.DEFAULT_GOAL := all
SHELL         := /bin/bash
PREFIX        ?= /usr/local
DESTDIR       ?=
ifeq ($(origin CC),default)
CC            := gcc
endif
CLANG         ?= clang
SECONDS       ?= 60

ROOMS := pg-wal-read pg-table-read pgout-decode route sink-pg sink-ch ackd evcat walpipe

FRAMES := err buf lsn cursor pack frame
FILTER := $(FRAMES) clock log opt sig sock lockfile io
WORKER := $(FILTER) event relmap tablecounts ackmsg copymsg sinklist ackconn ackclient backoff hash names layout intake grammar

pg-wal-read_LIB  := $(FILTER) statefile slotnote sourceopt wal event tableinfo pgtableinfo ackmsg copymsg sinklist feedback ackconn backoff loginnote pqx pqconn secretfile pqsystem pqmark names verdict
pg-table-read_LIB := $(FILTER) statefile sourceopt ackmsg copymsg feedback ackconn ackcopy event copyevent copydefinition copydetail ctid spans sinklist snapshot keyhash hash relmap pgrelations names backoff pqx pqconn secretfile pqmark loginnote
pgout-decode_LIB := $(FILTER) wal event tableinfo relmap keyhash hash sandbox
route_LIB        := $(FILTER) event copyevent ctid sinklist snapshot tableinfo relmap hash names tablefilter sandbox layout
sink-pg_LIB      := $(WORKER) copying copylife copydefinition keylesscopy keylessplace keyhash copyparts copyback copyrows copyreport copyresync copydetail spans ctid heldranges tracked copyevent snapshot loginnote pqx pqconn secretfile pqmark moment tablemap pgtype verdict copynote skips deadletter
sink-ch_LIB      := $(WORKER) canon secretfile copying copylife copydefinition keylesscopy keylessplace keyhash copyparts copyback copyrows copyreport copyresync copydetail spans ctid heldranges tracked copyevent snapshot loginnote tableinfo moment tablemap pgtype verdict copynote skips deadletter
ackd_LIB         := $(FILTER) comparenote detachnote ackmsg copymsg sinklist feedback lasterror hash statedir statefile verdict json ackjson
evcat_LIB        := $(FILTER) wal event tableinfo copyevent ctid sinklist snapshot relmap json
walpipe_LIB      := $(FILTER) comparenote pgtype canon detachnote secretfile statefile slotnote lasterror event pgrelations tableinfo pgtableinfo ackmsg copymsg sinklist backoff ackconn statedir json ackjson pqx pqconn pqsystem pqmark names tablefilter tablemap verdict copynote spans ctid

pg-wal-read_EXT := -lpq
pg-table-read_EXT := -lpq
sink-pg_EXT     := -lpq
sink-ch_EXT     := -lcurl
ackd_EXT        := -lmicrohttpd
walpipe_EXT     := -lpq -linih

# ---- variants: release, asan (what the tests run), fuzz ----

VARIANTS := release asan fuzz

CPPFLAGS_ALL := -D_GNU_SOURCE -Isrc -I$(shell pg_config --includedir 2>/dev/null || echo /usr/include/postgresql)
WARNINGS     := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Werror
CFLAGS_ALL   := -std=c11 $(WARNINGS) -fno-strict-aliasing -fstack-protector-strong
SANITIZERS   := address,undefined

release_CC := $(CC)
asan_CC    := $(CC)
fuzz_CC    := $(CLANG)

release_CFLAGS := -O2 -g -flto=auto -fPIE -D_FORTIFY_SOURCE=2 $(CFLAGS)
asan_CFLAGS    := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZERS) -fno-sanitize-recover=all $(CFLAGS)
fuzz_CFLAGS    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,$(SANITIZERS) -fno-sanitize-recover=all

release_LDFLAGS := -O2 -flto=auto -pie -Wl,-z,relro,-z,now $(LDFLAGS)
asan_LDFLAGS    := -fsanitize=$(SANITIZERS) $(LDFLAGS)
fuzz_LDFLAGS    := -fsanitize=fuzzer,$(SANITIZERS)

define variant_rules
build/$(1)/%.o: src/%.c
	@mkdir -p $$(@D)
	$$($(1)_CC) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$($(1)_CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rules,$(v))))

# The assembler puts the status page into page.o, without link-time optimisation, which does not see
# symbols of the assembler. -MMD does not see the file.
$(foreach v,$(VARIANTS),build/$(v)/ackd/page.o): src/ackd/page.html
build/release/ackd/page.o: release_CFLAGS += -fno-lto

# $(call room_objects,VARIANT,ROOM): a room may have folders of its own
room_objects = $(patsubst src/%.c,build/$(1)/%.o,$(sort $(wildcard src/$(2)/*.c src/$(2)/*/*.c))) \
               $(foreach m,$($(2)_LIB),build/$(1)/lib/$(m).o)

define program_rules
build/$(1)/bin/$(2): $$(call room_objects,$(1),$(2))
	@mkdir -p $$(@D)
	$$($(1)_CC) $$($(1)_LDFLAGS) -o $$@ $$^ $$($(2)_EXT)
endef
$(foreach v,release asan,$(foreach r,$(ROOMS),$(eval $(call program_rules,$(v),$(r)))))

BUILT_ROOMS := $(foreach r,$(ROOMS),$(if $(wildcard src/$(r)/main.c),$(r)))

.PHONY: all asan
all: $(BUILT_ROOMS:%=bin/%)
bin/%: build/release/bin/%
	@mkdir -p bin
	@ln -sf ../$< $@
asan: $(BUILT_ROOMS:%=build/asan/bin/%)

# ---- unit tests: the head comment of test/unit/X.c says what it links:
#      "links: lib/cursor lib/err" and, where needed, "libs: -lpq"; "sink-ch/convert/" is all of a
#      folder ----

linked = $(foreach l,$(1),$(if $(filter %/,$(l)),$(patsubst src/%.c,%,$(sort $(wildcard src/$(l)*.c))),$(l)))

UNITS := $(patsubst test/unit/%.c,%,$(wildcard test/unit/*.c))
unit_links = $(call linked,$(shell sed -n 's/.*links: *\([^;*]*\).*/\1/p' test/unit/$(1).c | head -n 1))
unit_libs  = $(shell sed -n 's/.*libs: *\([^;*]*\).*/\1/p' test/unit/$(1).c | head -n 1)

define unit_rules
build/asan/unit/$(1): test/unit/$(1).c $$(wildcard test/unit/*.h) $$(patsubst %,build/asan/%.o,$$(call unit_links,$(1)))
	@mkdir -p $$(@D)
	$$(asan_CC) $$(CPPFLAGS_ALL) -Itest/unit $$(CFLAGS_ALL) $$(asan_CFLAGS) $$(asan_LDFLAGS) -o $$@ \
	    $$< $$(filter %.o,$$^) $$(call unit_libs,$(1))
endef
$(foreach u,$(UNITS),$(eval $(call unit_rules,$(u))))

.PHONY: units
units: $(UNITS:%=build/asan/unit/%)

# ---- fuzzers: test/fuzz/X.c links like a unit test, is built by clang with libFuzzer ----

FUZZERS := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/*.c))
fuzz_links = $(call linked,$(shell sed -n 's/.*links: *\([^;*]*\).*/\1/p' test/fuzz/$(1).c | head -n 1))
fuzz_libs  = $(shell sed -n 's/.*libs: *\([^;*]*\).*/\1/p' test/fuzz/$(1).c | head -n 1)

define fuzz_rules
build/fuzz/bin/$(1): test/fuzz/$(1).c $$(patsubst %,build/fuzz/%.o,$$(call fuzz_links,$(1)))
	@mkdir -p $$(@D)
	$$(fuzz_CC) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(fuzz_CFLAGS) $$(fuzz_LDFLAGS) -MMD -MP -MF $$@.d \
	    -o $$@ $$< $$(filter %.o,$$^) $$(call fuzz_libs,$(1))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzz_rules,$(f))))

.PHONY: fuzzers
fuzzers: $(FUZZERS:%=build/fuzz/bin/%)

# `make fuzz SECONDS=600`; what it finds is left in build/fuzz/found, its corpus grows in build/fuzz
.PHONY: fuzz
fuzz:
	@scripts/deps build fuzz
	@$(MAKE) --no-print-directory fuzzers
	@scripts/fuzz $(SECONDS)

# ---- the crash test: `make torture MINUTES=60 SEED=7` with the release programs ----

MINUTES ?= 10
.PHONY: torture
torture: all
	@scripts/deps build test
	@WALPIPE_BIN=$(CURDIR)/build/release/bin test/fault/torture.py --set-aside --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# ---- the first copy at scale: `make firstcopy SCALE=50 KILLS=40` with the release programs ----

SCALE ?= 10
KILLS ?= 40
.PHONY: firstcopy
firstcopy: all
	@scripts/deps build test
	@WALPIPE_BIN=$(CURDIR)/build/release/bin test/fault/firstcopy --scale $(SCALE) --kills $(KILLS) \
	    $(if $(SEED),--seed $(SEED))

# ---- random histories: `make history SECONDS=600`, SEED=N to see one again ----

.PHONY: history
history: asan
	@scripts/deps test
	@test/history/history.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) --verbose

# ---- random set-ups: `make worlds SECONDS=600 SEED=7`; --world SEED.N for one of them ----

.PHONY: worlds
worlds: asan
	@scripts/deps test
	@test/worlds/worlds.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) --copies 0.3 --shrink

# ---- speed, as ratios: `make bench`, RUNS=5, ONLY=bulk,small; docs/performance.md is rewritten by a
#      whole one ----

RUNS ?= 5
build/bench/reader: test/bench/reader.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -O2 -o $@ $< -lpq
.PHONY: bench
bench: all build/bench/reader
	@scripts/deps test bench
	@test/bench/bench.py --runs $(RUNS) $(if $(ONLY),--only $(ONLY),--keep docs)

# ---- a ClickHouse of today for tests: test/lib/chdb.bash ----

build/test/chdb-front: test/chdb/front.c src/lib/buf.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -O1 -g -o $@ $^ -lmicrohttpd -ldl

# ---- what people type ----

.PHONY: test check long demo lint format
test:
	@scripts/test
check:
	@scripts/test check
long:
	@MINUTES=$(MINUTES) SEED=$(SEED) scripts/test long
demo:
	@scripts/demo
lint:
	@scripts/deps build lint
	@scripts/lint
format:
	clang-format -i $(wildcard src/*/*.[ch] src/*/*/*.[ch] test/unit/*.[ch] test/fuzz/*.[ch])

MANDIR  := $(DESTDIR)$(PREFIX)/share/man
MANUALS := $(wildcard src/*/*.[157] docs/*.[157])

# Where a name such as "route" may be another program's, PROGRAMDIR keeps the programs apart: in
# $(PREFIX)/bin stand only links to those that people call.
PROGRAMDIR ?= $(PREFIX)/bin
UNITDIR    ?= $(PREFIX)/lib/systemd/system
CALLED     := walpipe evcat
UNIT       := $(DESTDIR)$(UNITDIR)/walpipe@.service
EXAMPLES   := $(DESTDIR)$(PREFIX)/share/doc/walpipe/examples
COMPLETION := $(DESTDIR)$(PREFIX)/share/bash-completion/completions/walpipe

.PHONY: install install-files uninstall
install: all install-files
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PROGRAMDIR)
	install -m 755 $(BUILT_ROOMS:%=build/release/bin/%) $(DESTDIR)$(PROGRAMDIR)
ifneq ($(PROGRAMDIR),$(PREFIX)/bin)
	ln -srf $(CALLED:%=$(DESTDIR)$(PROGRAMDIR)/%) $(DESTDIR)$(PREFIX)/bin
endif
install-files:
	install -d $(dir $(UNIT)) $(EXAMPLES)
	sed 's,/usr/local/bin,$(PREFIX)/bin,' scripts/systemd/walpipe@.service > $(UNIT)
	chmod 644 $(UNIT)
	install -D -m 644 scripts/completion/walpipe.bash $(COMPLETION)
	cp -r scripts/s6 scripts/s6-run scripts/supervisor scripts/prometheus scripts/container scripts/kubernetes \
	    scripts/example-sink.py scripts/orders.conf $(EXAMPLES)
	sed -i 's,^PATH=/usr/local/bin,PATH=$(PROGRAMDIR),' $(EXAMPLES)/s6/pipeline.sh
	sed -i -E 's,^command = (ackd|sink-pg|route|pgout-decode|pg-wal-read) ,command = $(PROGRAMDIR)/\1 ,' \
	    $(EXAMPLES)/supervisor/walpipe.conf
	sed -i 's,/usr/bin/walpipe,$(PREFIX)/bin/walpipe,' $(EXAMPLES)/supervisor/walpipe-run.conf
	! command -v python3 >/dev/null || scripts/messages >$(EXAMPLES)/messages.txt
	for page in $(MANUALS); do \
	    install -D -m 644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit; \
	done
uninstall:
	rm -f $(ROOMS:%=$(DESTDIR)$(PROGRAMDIR)/%) $(CALLED:%=$(DESTDIR)$(PREFIX)/bin/%) $(UNIT) $(COMPLETION)
	rm -rf $(EXAMPLES)
	for page in $(MANUALS); do rm -f $(MANDIR)/man$${page##*.}/$${page##*/}; done

# ---- a package for Debian 12, from the tracked files as they are now; without git from all. scripts/deps has
#      seen to what it needs, and a C++ compiler, which build-essential wants, is not part of it. ----

.PHONY: deb
deb:
	@scripts/deps build deb
	@rm -rf build/deb && mkdir -p build/deb/walpipe
	@{ git ls-files -z 2>/dev/null || find . -path ./build -prune -o -path ./bin -prune -o -type f -print0; } | \
	    tar --null -T - --ignore-failed-read -c | tar -C build/deb/walpipe -x
	@cd build/deb/walpipe && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps \
	    >../log 2>&1 || \
	    { tail -n 30 ../log; exit 1; }
	@ls build/deb/*.deb

.PHONY: clean help
clean:
	rm -rf build bin
help:
	@echo 'make            build every program into bin/'
	@echo 'make demo       source, PostgreSQL and ClickHouse target, pgbench, and the comparison'
	@echo 'make test       all tests; the last line is "N passed, N failed"'
	@echo 'make check      the part of them that takes under two minutes'
	@echo 'make long       histories, torture and worlds with new seeds; MINUTES=10 (each) SEED=N'
	@echo 'make lint       the house rules'
	@echo 'make format     clang-format all C files'
	@echo 'make fuzz       run every fuzzer; SECONDS=60 each'
	@echo 'make torture    kill, stop and cut everything at random; MINUTES=10 SEED=n'
	@echo 'make firstcopy  copy a database under load, kills and a failover; SCALE=10 KILLS=40 SEED=N'
	@echo 'make history    random histories on real servers; SECONDS=60 SEED=N'
	@echo 'make worlds     random set-ups of source, target and config; SECONDS=60 SEED=N'
	@echo 'make bench      speed against PostgreSQL itself; RUNS=5 ONLY=bulk,small,...'
	@echo 'make install    programs, manual pages, systemd unit, examples; PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make uninstall  take them away again'
	@echo 'make deb        a package for Debian, in build/deb'
	@echo 'make asan       programs with sanitizers, in build/asan/bin (the tests run these)'
	@echo 'make clean      remove build/ and bin/'

-include $(shell find build -name '*.d' 2>/dev/null)
