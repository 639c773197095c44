# Two of these are all one needs: `make run` to see it work, `make test` for every test. The rest is for maintainers.

.DEFAULT_GOAL := help
SHELL := bash
CARGO ?= cargo
CARGO_DENY = PATH="$$(tests/cargo-tool.sh cargo-deny 0.20.2):$$PATH" $(CARGO) deny --locked check

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Serve with an in-memory certificate and the example mapping, and show a Pod being patched
	@$(CARGO) build --locked
	@$(CARGO) run --locked --quiet --example tryout

.PHONY: test
test: ## Run every test, those on a real cluster included
	tests/packages.sh
	@# The image's program takes minutes on one processor, and the first test that needs it waits for it, and says so if it fails.
	image/binary.sh >/dev/null 2>&1 & \
	$(CARGO) test --locked --workspace --all-targets; status=$$?; wait; exit $$status
	$(CARGO) test --locked --workspace --doc
	fuzz/smoke.sh
	benches/instructions.sh

# What takes long or needs a cluster, Go or Helm: all of it runs in `make test`.
SLOW = chart cluster connections image lifecycle load release
FAST = $(filter-out $(SLOW),$(basename $(notdir $(wildcard tests/*.rs))) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)))

.PHONY: test-fast
test-fast: ## Run the tests that take seconds, after each edit: units, vectors, properties, router, loops, commands, documents
	$(CARGO) test --locked --workspace --lib --bins --test vectors $(addprefix --test ,$(FAST))

.PHONY: test-oldest
test-oldest: ## Run the scenarios that need no node on Kubernetes 1.30, the oldest supported version
	tests/packages.sh
	PULLCRED_KUBERNETES=1.30 $(CARGO) test --locked --test cluster

.PHONY: test-arm64
test-arm64: ## Cross-build for arm64, and run vectors and a served review under qemu's emulation
	tests/packages.sh arm64
	tests/arm64.sh

.PHONY: fuzz-long
fuzz-long: ## Run each fuzz target for ten minutes
	fuzz/smoke.sh 600

.PHONY: load-long
load-long: ## Run the hostile clients of the load tests for ten minutes
	PULLCRED_HOSTILE_SECONDS=600 $(CARGO) test --locked --test load

.PHONY: reproducible
reproducible: ## Build twice, in two folders with two CARGO_HOMEs, and compare the bytes
	release/reproducible.sh

.PHONY: lint
lint: ## Check formatting, lints, documentation, the chart, the workflows and the generated files
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
	docs/pictures/draw.sh --check
	charts/lint.sh
	"$$(tests/actionlint/binary.sh)" -shellcheck= -pyflakes=
	$(CARGO_DENY) --hide-inclusion-graph bans licenses sources
	image/sbom.sh

.PHONY: advisories
advisories: ## Ask the RustSec database, on GitHub, for advisories on what pullcred is built from
	$(CARGO_DENY) advisories

.PHONY: bench
bench: ## Measure, side by side on this machine, with tables, plots and data in target/bench; BENCH="requests rules" for some parts
	benches/run.sh

.PHONY: bench-compare
bench-compare: ## Compare two runs of make bench: A=old.jsonl B=new.jsonl, and BOUND=1.1 as the largest ratio that passes
	@[ -n "$(A)" ] && [ -n "$(B)" ] || { echo "usage: make bench-compare A=OLD.jsonl B=NEW.jsonl [BOUND=1.1]" >&2; exit 2; }
	@$(CARGO) build --locked --quiet --example report
	@"$${CARGO_TARGET_DIR:-target}/debug/examples/report" compare $(A) $(B) $(BOUND)

.PHONY: bench-docs
bench-docs: ## Measure what docs/performance.md shows, in ten minutes after the builds, and rewrite its data, tables and pictures; BEFORE=PROGRAM for an older pullcred beside it
	BENCH="requests log start rules admission" benches/run.sh 5 2
	"$${CARGO_TARGET_DIR:-target}/release/examples/report" docs "$$(ls -t "$${CARGO_TARGET_DIR:-target}"/bench/*.jsonl | head -n 1)"

.PHONY: pictures
pictures: ## Draw the pictures of the documents, with Graphviz and Chromium, and record the try-out
	docs/pictures/draw.sh
	docs/pictures/terminal.sh
	docs/pictures/status.sh

.PHONY: certs
certs: ## Make a CA and a certificate for development, in certs/
	certs/make.sh

# make image ARCH=amd64 makes an image for one processor, in half the time.
ARCH = amd64 arm64
.PHONY: image
image: ## Make the container image for amd64 and arm64, without a Docker engine, as target/pullcred.tar
	image/image.sh $(ARCH)

.PHONY: release
release: ## Make all that a tag would publish, with DRY_RUN=1 and VERSION=…; publishes nothing
	@[ -n "$(VERSION)" ] && [ "$(DRY_RUN)" = 1 ] || { echo "usage: make release VERSION=... DRY_RUN=1. A release is made by pushing a tag: see docs/releasing.md" >&2; exit 2; }
	release/dry-run.sh $(VERSION)

.PHONY: release-dry-run
release-dry-run: ## The same for the version in Cargo.toml
	release/dry-run.sh "$$(sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)"

.PHONY: sbom
sbom: ## Write what pullcred is built from, as CycloneDX in target/pullcred.cdx.json
	image/sbom.sh

.PHONY: manifests
manifests: ## Render the chart's plain manifests, deploy/pullcred.yaml
	charts/manifests.sh
