# SPDX-License-Identifier: GPL-2.0
#
# The front door: `make help` lists what can be asked for.

#:
#: Variables:
#: ARCH=        the architecture: x86_64
#: O=           the build folder (build)
#: KERNEL_SRC=  your own source tree of Linux 7.3; it is copied, not changed
#: T=           globs: tests, suites and programs to run (*); one glob: workloads to measure
#: VARIANT=     "debug": a kernel that looks for its own mistakes, and is slow
#:              "without": one without the subsystem, as `make idle` needs it
#: V=1          show commands
#: ACCEL=       "kvm": let the machine use the processor, instead of emulating it
#:              "bochs": let Bochs emulate it, which is slow; see `make bochs`
#: ICOUNT=1     let the clock of the machine count instructions: times repeat
#: MEMORY=      megabytes of memory of the machine (2048; 6144 to measure)
#: CPU=         their model (max), as QEMU names it: max,-avx
#: CPUS=        its processors (2)
#: ROUNDS=      how often `make bench` measures (3)
#: TIMEOUT=     seconds without output after which `make vm` gives up (600)
#:
#: `make vm` runs build/bin/vm, whose exit status is that of the command. Make
#: itself says "Error 3" then, and exits with 2.
ARCH ?= x86_64
O ?= build
T ?= *

ARCHES := x86_64
VARIANTS := debug without
ifneq ($(filter-out $(VARIANTS),$(VARIANT)),)
$(error VARIANT=$(VARIANT) is not known; choose one of: $(VARIANTS))
endif

ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error ARCH=$(ARCH) is not supported; choose one of: $(ARCHES))
endif

MAKEFLAGS += --no-print-directory
Q := $(if $(V),,@)

override O := $(abspath $(O))
override KERNEL_SRC := $(if $(KERNEL_SRC),$(abspath $(KERNEL_SRC)))
export ARCH O V T KERNEL_SRC RUN $(if $(EXTRA),EXTRA) $(if $(VARIANT),VARIANT)

# Debian's own tools go first: a Rust of rustup has no library source, which
# the kernel needs. $(O)/ccbin/clang is ccache.
export PATH := $(O)/ccbin:/usr/lib/llvm-19/bin:$(O)/bindgen/bin:/usr/bin:/usr/sbin:$(PATH)
export CCACHE_DIR ?= $(O)/ccache
export CCACHE_BASEDIR ?= $(O)
export CCACHE_NOHASHDIR ?= 1
export CARGO_TARGET_DIR := $(O)/cargo
export RUSTC := /usr/bin/rustc

# What cargo downloads stays in the build folder too; the user's configuration
# (a mirror, a proxy) is respected.
export CARGO_HOME := $(O)/cargo-home

# The tools must run on any root file system, so they are linked statically. They
# shall start at once: at a fixed address there is nothing to relocate, and each
# part of a program that is used is a page fault, of which there are fewer in a
# small one.
RUST_TARGET_x86_64 := x86_64-unknown-linux-gnu
RUST_TARGET := $(RUST_TARGET_$(ARCH))
STATIC_FLAGS := -Ctarget-feature=+crt-static -Crelocation-model=static -Clink-arg=-fuse-ld=lld -Clink-arg=-Wl,--icf=all
STATIC := CARGO_BUILD_TARGET=$(RUST_TARGET) \
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(STATIC_FLAGS)"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER := /usr/lib/llvm-19/bin/clang
# ... and what it needs for crates in C.
export CC_x86_64_unknown_linux_gnu := /usr/lib/llvm-19/bin/clang
export AR_x86_64_unknown_linux_gnu := /usr/lib/llvm-19/bin/llvm-ar
CARGO := /usr/bin/cargo
BIN := $(CARGO_TARGET_DIR)/$(RUST_TARGET)/release
VM := $(O)/bin/vm

# The commands of Linux-CR are other names of ours.
NAMES := checkpoint restart ckptinfo nsexec

BINDGEN_VERSION := 0.72.1

.PHONY: all
all: kernel tools rootdisk ## build all that the machine needs (the default)

.PHONY: help
help: ## list the targets
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' Makefile | expand -t 14
	@sed -n 's/^#: \?/  /p' Makefile

.PHONY: packages
packages: | $(O)
	$(Q)config/packages

.PHONY: kernel
kernel: packages $(O)/bindgen/bin/bindgen $(O)/ccbin/clang ## build the kernel
	$(Q)$(if $(KERNEL_SRC),,config/source)
	$(Q)config/tree
	$(Q)config/kernel

.PHONY: tools
tools: packages | $(CARGO_HOME)/config.toml ## build the user tools and the runner of the machine
	$(Q)$(STATIC) $(CARGO) build --release --locked
	$(Q)mkdir -p $(O)/$(ARCH)/bin
	$(Q)mkdir -p $(O)/bin && install -C $(BIN)/vm $(VM)
	$(Q)install -C $(BIN)/vm-guest $(O)/$(ARCH)/vm-guest
	$(Q)for name in cr bench makeprocs idle; do install -C $(BIN)/$$name $(O)/$(ARCH)/bin/$$name; done
	$(Q)for name in $(NAMES); do ln -sf cr $(O)/$(ARCH)/bin/$$name; done

.PHONY: rootdisk
rootdisk: packages ## make the Debian root disk of the machine
	$(Q)vm/rootdisk/make

.PHONY: selftests
selftests: kernel ## build the selftest programs
	$(Q)config/selftests

.PHONY: test
test: all selftests ## run all tests; T='globs' selects some
	$(Q)$(STATIC) $(VM) test

# A bit of all that is saved and restored, and of what goes wrong, in some minutes.
DEBUG_TESTS := calls cow.* injected.*.container injected.disk.* hostile.garbage.* hostile.header.* \
	memory.copy_on_write.* memory.shared_anonymous.* memfd.content.* deleted.file.* \
	file.offset.* descriptor.shared_table.* place.cwd.* pipe.contents.* pty.pair.* epoll.level.* \
	signal.queued.* signal.in_handler.* timerfd.ticks.* itimer.real.* \
	ptrace.breakpoints.* ptrace.breakpoints_left.* leak.shared_memory.* \
	sysv.attached.* sysv.semaphores.* sysv.messages.* pidns.levels.* namespace.clocks.* \
	socket.listening.* socket.options.* socket.unix_listening.* socketpair.contents.* \
	socketpair.full.* checkpoint_x86

.PHONY: debug
debug: ## run some tests on a kernel that looks for its own mistakes
	$(Q)$(MAKE) test VARIANT=debug T='$(DEBUG_TESTS)'

# What needs a processor that QEMU does not emulate.
BOCHS_TESTS := shadow_stacks hostile.shadow_stack* registers moves checkpoint_shadow_stack \
	checkpoint_xstate

.PHONY: bochs
bochs: all selftests ## run the tests of x86 that QEMU has no processor for
	$(Q)config/bochs
	$(Q)config/kernel -s bzImage
	$(Q)ACCEL=bochs T='$(BOCHS_TESTS)' $(VM) test --no-host

.PHONY: demo
demo: all ## checkpoint real programs, reboot the machine, restart them
	$(Q)$(VM) demo

.PHONY: bench
bench: export MEMORY ?= 6144
bench: all ## measure checkpoint and restart side by side with CRIU; QUICK=1 is short
	$(Q)$(VM) bench

.PHONY: idle
idle: all ## measure what the subsystem costs those who do not use it
	$(Q)VARIANT=without config/kernel
	$(Q)$(VM) idle

.PHONY: lint
lint: kernel tools ## check the style of everything, and count the edits of the kernel
	$(Q)$(STATIC) config/lint

.PHONY: format
format: kernel ## format the Rust code
	$(Q)config/format

.PHONY: vm
vm: all ## run RUN='command' as root in the machine; EXTRA=folder is at /extra
	$(Q)$(if $(RUN),,$(error name a command: make vm RUN='uname -a'))$(VM) run -- "$$RUN"

.PHONY: shell
shell: all ## open a shell in the machine
	$(Q)$(VM) shell

$(O):
	$(Q)mkdir -p $@

$(CARGO_HOME)/config.toml: | $(O)
	$(Q)mkdir -p $(@D)
	$(Q)cat $(HOME)/.cargo/config.toml >$@ 2>/dev/null || touch $@

$(O)/ccbin/clang: | packages
	$(Q)mkdir -p $(@D) && ln -sf /usr/bin/ccache $@

$(O)/bindgen/bin/bindgen: | packages $(CARGO_HOME)/config.toml
	@echo "  CARGO   bindgen-cli $(BINDGEN_VERSION)"
	$(Q)$(CARGO) install -q bindgen-cli --version $(BINDGEN_VERSION) --locked --root $(O)/bindgen

.PHONY: clean
clean: ## remove what was built; downloads and caches stay
	$(Q)rm -rf $(O)/$(ARCH) $(O)/linux $(O)/stage $(O)/stage.state $(O)/cargo $(O)/vm

.PHONY: distclean
distclean: ## remove the whole build folder
	$(Q)rm -rf $(O)
