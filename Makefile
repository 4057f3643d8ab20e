# SPDX-License-Identifier: GPL-2.0-only
#
#   make demo        boot a machine and see evstream work
#   make test        the whole suite, on each kernel
#   make test-crash  its long form of cutting the power: some hours
#   make test-debug  the suite on kernels that find bugs; builds them once
#   make torture     all that can be done at once          (SECONDS, SEED, KERNELS)
#   make fuzz        whatever bytes, calls and messages    (SECONDS, SEED)
#   make stress      stress-ng and trinity on our nodes    (SECONDS, SEED, KERNELS)
#   make interop     what Apache Kafka's own programs say of it; fetches them
#   make bench       the figures, beside those of what Linux has already
#   make check       what reviewers' tools say of the source
#   make gen         regenerate what comes from the netlink specification
#   make vm-shell    a shell in the machine              (KERNEL=6.12|latest)
#   make modules     the module: for the running kernel, or KERNEL, or the one
#                    whose build folder is KDIR
#   make tools       streamctl and libevstream
#   make selftests   the programs of the suite
#   make install, make uninstall                  (PREFIX, DESTDIR, KERNEL)
#
# What is built is in build/, and made of Debian packages; interop fetches Kafka, too.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all modules tools selftests gen check test test-crash test-debug torture fuzz stress \
	interop demo bench vm-shell \
	install install-module install-tools uninstall clean distclean

PREFIX ?= /usr/local
MANDIR ?= $(PREFIX)/share/man
INCLUDEDIR ?= $(PREFIX)/include
MODDIR ?= /lib/modules
INSTALL ?= install

# Folders with a Makefile of their own; what they build goes to build/ as well.
toolfolders := tools/lib tools/streamctl tools/systemd tools/examples

# The submake in folder $(1), one at a time of the kind $(2), given $(3).
submake = if [ -e $(1)/Makefile ]; then mkdir -p build/locks && \
	flock build/locks/$(2) $(MAKE) --no-print-directory -C $(1) $(3); fi

debugkernels := 6.12-kasan 6.12-kcsan
# What kernels $(1) need installed, where one must be built.
fordebug = $(if $(filter $(debugkernels),$(1)),debug)
# For how long, $(1) seconds where nobody says, and which seed.
random = --seconds $(or $(SECONDS),$(1)) $(if $(SEED),--seed $(SEED))

all: modules tools

# ----------------------------------------------------------------- building

modules:
	@scripts/deps build $(if $(KERNEL),vm,$(if $(KDIR),,host))
	@scripts/kmod-build $(or $(KERNEL),host)

tools:
	@scripts/deps build
	@$(foreach folder,$(toolfolders),$(call submake,$(folder),tools) &&) :

selftests: tools
	@scripts/deps test
	@$(call submake,selftests,selftests)

gen:
	@scripts/deps vm check
	@scripts/gen

# ------------------------------------------------------------------ running

check:
	@scripts/deps build vm check
	@scripts/check

# Who has the time has all of it; else what is not there is skipped, and told.
test:
	@scripts/deps build vm test $(if $(CI),debug fuzz stress)
	@selftests/run

test-crash:
	@scripts/deps build vm test
	@selftests/run crash-long

test-debug:
	@scripts/deps build vm test debug
	@KERNELS="$(or $(KERNELS),$(debugkernels))" selftests/run

torture:
	@scripts/deps build vm test $(call fordebug,$(KERNELS))
	@KERNELS="$(or $(KERNELS),6.12)" selftests/run $(call random,60) torture

fuzz:
	@scripts/deps build vm test fuzz $(call fordebug,$(or $(KERNELS),6.12-kasan))
	@$(MAKE) --no-print-directory -C selftests/unit fuzz SECONDS=$(or $(SECONDS),60) SEED=$(SEED)
	@KERNELS="$(or $(KERNELS),6.12-kasan)" selftests/run $(call random,60) fuzz

stress:
	@scripts/deps build vm test stress $(call fordebug,$(KERNELS))
	@KERNELS="$(or $(KERNELS),6.12)" selftests/run $(call random,60) stress

# Kafka runs here, the module in the machine.
interop:
	@scripts/deps build vm interop
	@selftests/interop/run $(if $(KERNEL),--kernel $(KERNEL))

demo:
	@scripts/deps build vm
	@scripts/demo

bench:
	@scripts/deps build vm test
	@scripts/bench

vm-shell:
	@scripts/deps build vm
	@scripts/vm $(if $(KERNEL),--kernel $(KERNEL)) -- env 'PS1=evstream:\w# ' bash --norc

# --------------------------------------------------------------- installing

install: install-module install-tools

# The module goes where modprobe looks first, of the kernel that it is for.
install-module: modules
	@ko=$$(scripts/kmod-build --print $(or $(KERNEL),host)) && \
	version=$$(modinfo -F vermagic "$$ko" | cut -d ' ' -f 1) && \
	folder="$(DESTDIR)$(MODDIR)/$$version" && \
	set -x && \
	$(INSTALL) -d "$$folder/updates" && \
	strip --strip-debug -o "$$folder/updates/evstream.ko" "$$ko" && \
	chmod 644 "$$folder/updates/evstream.ko" && \
	{ [ -n "$(DESTDIR)" ] || depmod "$$version"; }

install-tools: tools
	@$(foreach folder,$(toolfolders),$(call submake,$(folder),tools,install) &&) :
	$(INSTALL) -d $(DESTDIR)$(INCLUDEDIR)/linux
	$(INSTALL) -m 644 uapi/linux/*.h $(DESTDIR)$(INCLUDEDIR)/linux/
	@for page in Documentation/man/*.[1-9]; do \
		[ -e "$$page" ] || continue; \
		folder=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
		$(INSTALL) -d "$$folder" && $(INSTALL) -m 644 "$$page" "$$folder/" || exit; \
	done
	$(if $(DESTDIR),,ldconfig)

# Of every kernel that it was ever installed for.
uninstall:
	@$(foreach folder,$(toolfolders),$(call submake,$(folder),tools,uninstall) &&) :
	rm -f $(patsubst uapi/%,$(DESTDIR)$(INCLUDEDIR)/%,$(wildcard uapi/linux/*.h))
	rm -f $(foreach page,$(wildcard Documentation/man/*.[1-9]),\
		$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	@for ko in $(DESTDIR)$(MODDIR)/*/updates/evstream.ko; do \
		[ -e "$$ko" ] || continue; \
		folder=$${ko%/updates/evstream.ko}; \
		echo "rm -f $$ko"; \
		rm -f "$$ko" && rmdir --ignore-fail-on-non-empty "$${ko%/*}" && \
		{ [ -n "$(DESTDIR)" ] || depmod "$${folder##*/}"; } || exit; \
	done
	$(if $(DESTDIR),,ldconfig)

# ----------------------------------------------------------------- cleaning

clean:
	rm -rf build/kmod build/tools build/selftests build/check build/gen build/vm

# Also what was fetched.
distclean:
	rm -rf build
