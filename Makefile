# SPDX-License-Identifier: GPL-2.0
#
# The front door: `make help` lists what can be asked for.

ARCH ?= x86_64
O ?= build
T ?= *

ARCHES := x86_64
ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error ARCH=$(ARCH) is not supported; choose one of: $(ARCHES))
endif

MAKEFLAGS += --no-print-directory
Q := $(if $(V),,@)

override O := $(abspath $(O))
override KERNEL_SRC := $(if $(KERNEL_SRC),$(abspath $(KERNEL_SRC)))
export ARCH O V T KERNEL_SRC

# Debian's own tools go first: a Rust of rustup has no library source, which
# the kernel needs. $(O)/ccbin/clang is ccache.
export PATH := $(O)/ccbin:/usr/lib/llvm-19/bin:$(O)/bindgen/bin:/usr/bin:/usr/sbin:$(PATH)
export CCACHE_DIR ?= $(O)/ccache
export CCACHE_BASEDIR ?= $(O)
export CCACHE_NOHASHDIR ?= 1
export CARGO_TARGET_DIR := $(O)/cargo
export RUSTC := /usr/bin/rustc

BINDGEN_VERSION := 0.72.1

.PHONY: all
all: kernel

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' Makefile | expand -t 14

.PHONY: packages
packages: | $(O)
	$(Q)config/packages

.PHONY: kernel
kernel: packages $(O)/bindgen/bin/bindgen $(O)/ccbin/clang ## build the kernel
	$(Q)$(if $(KERNEL_SRC),,config/source)
	$(Q)config/tree
	$(Q)config/kernel

$(O):
	$(Q)mkdir -p $@

$(O)/ccbin/clang: | packages
	$(Q)mkdir -p $(@D) && ln -sf /usr/bin/ccache $@

$(O)/bindgen/bin/bindgen: | packages
	@echo "  CARGO   bindgen-cli $(BINDGEN_VERSION)"
	$(Q)/usr/bin/cargo install -q bindgen-cli --version $(BINDGEN_VERSION) --locked --root $(O)/bindgen

.PHONY: clean
clean: ## remove what was built; downloads and caches stay
	$(Q)rm -rf $(O)/$(ARCH) $(O)/linux $(O)/stage $(O)/stage.state $(O)/cargo $(O)/vm

.PHONY: distclean
distclean: ## remove the whole build folder
	$(Q)rm -rf $(O)
