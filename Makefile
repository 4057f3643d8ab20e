# SPDX-License-Identifier: GPL-2.0-only
#
#   make demo        boot a machine and see evstream work
#   make test        the whole suite, on each kernel
#   make bench       the figures, beside those of what Linux has already
#   make check       what reviewers' tools say of the source
#   make gen         regenerate what comes from the netlink specification
#   make vm-shell    a shell in the machine          (KERNEL=6.12|latest)
#   make modules     the module: for the running kernel, or for KERNEL=…
#   make tools       streamctl and libevstream
#   sudo make install, make uninstall                (PREFIX, DESTDIR)
#
# All that is built goes to build/, and comes from Debian packages only.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all modules tools selftests gen check test demo bench vm-shell \
	install uninstall clean deps-build deps-vm deps-test deps-check FORCE

PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX DESTDIR

# A failing command must not end as a success because its output was piped.
SHELL := /bin/bash

all: modules tools

# Installs what is missing, quick when nothing is. Not for the targets that
# scripts call again and again: their callers did this.
deps-build deps-vm deps-test deps-check: deps-%:
	@scripts/deps $*

# ----------------------------------------------------------------- building

modules:
	@scripts/kmod-build $(or $(KERNEL),host)

tools:
	@for dir in tools/lib tools/streamctl; do \
		[ ! -e $$dir/Makefile ] || \
			flock $(call lockfile,tools) \
			$(MAKE) --no-print-directory -C $$dir || exit; \
	done

selftests: tools
	@[ ! -e selftests/Makefile ] || \
		flock $(call lockfile,selftests) \
		$(MAKE) --no-print-directory -C selftests

lockfile = $(shell mkdir -p build/locks)$(CURDIR)/build/locks/$(1)

gen: deps-check
	@scripts/gen

# ------------------------------------------------------------------ running

check: deps-build deps-vm deps-check
	@scripts/check

test: deps-build deps-vm deps-test
	@selftests/run

demo: deps-build deps-vm
	@scripts/demo

bench: deps-build deps-vm deps-test
	@scripts/bench

vm-shell: deps-build deps-vm
	@scripts/vm $(if $(KERNEL),--kernel $(KERNEL)) -- env 'PS1=evstream:\w# ' bash --norc

# --------------------------------------------------------------- installing

install uninstall:
	@scripts/install $@

clean:
	rm -rf build/kmod build/tools build/selftests build/check build/vm build/locks
