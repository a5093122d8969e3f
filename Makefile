# What can be done here: `make help`. Needs Rust, Node and make; tests/install.sh installs what tests and checks need besides.

SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
ASSETS := crates/web/assets
TOOLS := tests/.venv/bin
ASSET_SOURCES := $(shell find $(ASSETS) \( -name node_modules -o -name dist \) -prune -o -type f -print 2>/dev/null)

CHAOS := timeout 1800 cargo test --locked -p skychimp --test chaos -- --nocapture --test-threads=1
SOAK := timeout 1800 cargo test --locked -p skychimp-engine --test soak -- --nocapture

# a part of the checks, with its seconds for .ci/run
PART := tests/part.sh

# one core, and no debug information: most of the time is spent compiling
MUTANTS := nice -n 19 env -u TEST_DATABASE_URL PATH=$(abspath $(TOOLS)):$$PATH CARGO_TARGET_DIR=$(abspath $(TARGET))/mutants \
	CARGO_PROFILE_DEV_DEBUG=0 cargo mutants --output $(TARGET) --jobs 1

# pages whose pictures the README shows
PICTURES := desk-light-en-mailings-id desk-light-en-messages-id phone-dark-ru-mailings-id

# a picture of the home page in one width
SHRINK = cwebp -quiet -m 6 -q 78 -resize $$width 0 $$picture -o $(ASSETS)/static/$$(basename $$picture .png)-$$width.webp

.PHONY: help assets demo run build test test-setup check lint advisories snapshots bench bench-million lighthouse chaos soak mutants screenshots generate e2e-ready

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

assets: $(ASSETS)/dist/manifest.json ## the front-end bundle; afterwards plain `cargo build --release --bin skychimp` works

$(ASSETS)/node_modules/.package-lock.json: $(ASSETS)/package.json $(ASSETS)/package-lock.json
	npm --prefix $(ASSETS) ci --no-audit --no-fund
	@touch $@

$(ASSETS)/dist/manifest.json: $(ASSETS)/node_modules/.package-lock.json $(ASSET_SOURCES)
	npm --prefix $(ASSETS) run build
	@touch $@

$(TARGET)/release/skychimp: FORCE assets
	cargo build --release --locked --bin skychimp

$(TARGET)/demo/skychimp: FORCE assets
	@[ -e $@ ] || echo 'The first build takes 5 to 10 minutes on two cores, less on more; after that it takes seconds.'
	cargo build --profile demo --locked --bin skychimp

demo: $(TARGET)/demo/skychimp ## build quickly, then send a mailing of 1 000 letters in a sandbox and show where to look
	$(TARGET)/demo/skychimp demo

run: $(TARGET)/demo/skychimp ## build quickly, then start the service
	$(TARGET)/demo/skychimp serve

build: $(TARGET)/release/skychimp ## the program for production: target/release/skychimp
	@echo 'built $(TARGET)/release/skychimp; how to install it: docs/operating.md'

test: assets e2e-ready ## the suite on SQLite, on PostgreSQL, with a real Postfix, and in the browser
	tests/install.sh
	tests/services.sh run -- tests/run.sh

test-setup: ## only install what `make test` needs: it names the Debian packages first
	tests/install.sh

lint: ## licences, walls between crates, unused libraries, spelling, TOML, links: the ready-made tools, in seconds
	tests/install.sh check
	$(TOOLS)/cargo-deny --locked check --hide-inclusion-graph licenses bans sources
	$(TOOLS)/cargo-shear
	$(TOOLS)/typos
	tools/names.sh
	RUST_LOG=warn $(TOOLS)/taplo fmt --check
	git ls-files -z '*.md' | xargs -0 $(TOOLS)/lychee --offline --include-fragments --no-progress
	@! git grep -nE '(^|[ "`=(:])/(h[o]me|ro[o]t|w[o]rk)/' -- ':!*package-lock.json' || { echo 'a path of somebody'"'"'s machine'; exit 1; }
	@! grep -vxFf crates/web/clippy.toml clippy.toml || { echo 'crates/web/clippy.toml lacks these lines'; exit 1; }
	node tools/npm.mjs e2e $(ASSETS)

advisories: ## known security holes in the libraries; asks the advisory database and the registries of Rust and npm
	tests/install.sh check
	$(TOOLS)/cargo-deny --locked check advisories
	npm --prefix $(ASSETS) audit --omit=dev

check: assets e2e-ready ## `make lint`, formatting, lints, documentation, and the rules of tools/checks
	$(PART) 'licences, spelling, links' $(MAKE) lint
	$(PART) 'formatting' cargo fmt --all --check
	$(PART) 'types of the browser tests' npm --prefix e2e run types
	$(PART) 'Clippy' cargo clippy --workspace --all-targets --locked -- -D warnings
	$(PART) 'Clippy on the long tests' cargo clippy --workspace --test soak --test chaos --test plans --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(PART) 'cargo doc, with the features of the release' cargo doc --workspace --no-deps --locked --quiet
	$(PART) 'build of the program' cargo build --workspace --locked --bins --test plans
	$(PART) 'rules' $(TARGET)/debug/checks
	$(PART) 'generated files' tools/generate.sh $(TARGET)/debug/skychimp --check

generate: assets ## write the generated files again: the example configuration and the table of settings
	cargo build --locked --bin skychimp
	tools/generate.sh $(TARGET)/debug/skychimp

snapshots: assets ## write the snapshots of JSON and pages again; `git diff` shows what changed
	rm -f crates/*/tests/it/snapshots/{json,pages}/*.snap
	INSTA_UPDATE=always cargo test --locked --workspace --test it -- json_of_ skeleton_of_

bench: $(TARGET)/release/skychimp ## measure import, expansion, sending, pages and a log of ten million attempts, on both databases; writes docs/performance.md
	tests/install.sh
	tests/services.sh run --durable --postgres-only -- node bench/bench.mjs $(TARGET)/release/skychimp
	tests/services.sh run --durable --postgres-only -- node bench/viewers.mjs $(TARGET)/release/skychimp
	cargo build --release --locked -p skychimp-web --example pages
	tests/services.sh run --durable --postgres-only -- node bench/pages.mjs $(TARGET)/release/examples/pages
	cargo build --release --locked -p skychimp-core --example fill_log
	tests/services.sh run --durable --postgres-only -- node bench/log.mjs $(TARGET)/release/skychimp $(TARGET)/release/examples/fill_log

lighthouse: assets e2e-ready ## what Lighthouse says of the public pages, with their speed; writes docs/performance.md
	tests/install.sh
	cargo build --release --locked --bin skychimp
	SKYCHIMP=$(abspath $(TARGET))/release/skychimp LIGHTHOUSE=all npm --prefix e2e test -- lighthouse

bench-million: $(TARGET)/release/skychimp ## a mailing of a million on both databases: half an hour; writes its table
	tests/install.sh
	tests/services.sh run --durable --postgres-only -- node bench/million.mjs $(TARGET)/release/skychimp

chaos: assets ## kill, restart, fill and cut for some minutes, on both databases; prints the ledgers
	tests/install.sh
	tests/services.sh run --durable -- bash -c '$(CHAOS) && env -u TEST_DATABASE_URL $(CHAOS)'

soak: assets ## the faults that need minutes, in full: a quarter of an hour on each database
	tests/install.sh
	tests/services.sh run -- bash -c '$(SOAK) && env -u TEST_DATABASE_URL $(SOAK)'

mutants: ## break the rules of sending in hundreds of ways, and count what no test notices: hours; SOME='--shard 0/20' for a part
	tests/install.sh mutants
	rm -rf $(TARGET)/mutants/debug/incremental
	$(MUTANTS) $(SOME) || [ $$? = 2 -o $$? = 3 ] # mutants survived, or ran too long
	node tools/mutants.mjs $(TARGET)/mutants.out/outcomes.json

screenshots: assets e2e-ready ## the pictures of the documentation and the home page, taken in the browser; needs cwebp
	cargo build --locked --bin skychimp
	npm --prefix e2e test -- every_page
	mkdir -p docs/images
	cp $(PICTURES:%=e2e/screenshots/%.png) docs/images/
	npm --prefix e2e test -- --config shots.config.ts
	for picture in e2e/shots/*-desk-*.png; do for width in 640 960 1280; do $(SHRINK); done; done
	for picture in e2e/shots/*-phone-*.png; do for width in 390 780; do $(SHRINK); done; done
	for picture in e2e/shots/docs/*.png; do cwebp -quiet -m 6 -q 70 -resize 960 0 $$picture -o docs/images/$$(basename $$picture .png).webp; done

e2e-ready: e2e/node_modules/.package-lock.json

e2e/node_modules/.package-lock.json: e2e/package.json e2e/package-lock.json
	PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm --prefix e2e ci --no-audit --no-fund
	@touch $@

FORCE:
