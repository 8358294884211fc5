# What a contributor runs. `make check` is the one gate, here and in CI.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# Real charts for the tests that use them; without it those tests skip.
CHARTD_SHARED ?=
export CHARTD_SHARED
# How long each fuzz target runs in `make check`, and the rounds of `make soak`.
FUZZTIME ?= 5s
ROUNDS   ?= 1000
GOTEST   := go test -race -timeout 25m
STATICCHECK := go tool -modfile=$(CURDIR)/internal/tools/lint/go.mod staticcheck
BENCHSTAT   := go tool -modfile=$(CURDIR)/internal/tools/lint/go.mod benchstat
REGISTRY := internal/tools/install-registry.sh

.PHONY: build demo playground test check fmt lint fuzz bench soak tools clean

build: ## bin/chartd and bin/chartctl
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./cmd/chartd ./cmd/chartctl

demo: ## two hubs, their pins, and plain Helm, in under two minutes
	go run ./internal/demo

playground: ## the demo's server and registry, left running
	go run ./internal/demo -serve

tools: ## the real programs that the end-to-end tests drive
	@command -v docker-registry >/dev/null || ls /usr/bin/docker-registry >/dev/null 2>&1 || bash $(REGISTRY)
	@command -v strace >/dev/null || bash internal/tools/install-strace.sh
	@command -v etcd >/dev/null || bash internal/tools/install-etcd.sh
	@nice go run ./internal/testtools/prebuild -kubernetes

test: tools ## all tests, end-to-end ones included
	@mkdir -p bin
	@{ $(GOTEST) -v ./... && go test -timeout 25m -v -run Real ./internal/archive; } 2>&1 \
	  | tee bin/test.log | grep -vE '^(=== |[[:space:]]*--- PASS)|\[no test files\]$$'
	@if [ -n "$$CHARTD_SHARED" ] && grep -E '\.go:[0-9]+: .*CHARTD_SHARED' bin/test.log; then \
	  echo 'make test: CHARTD_SHARED is set, so these tests have to run' >&2; exit 1; fi

lint:
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); [ -z "$$bad" ] || { echo "gofmt these files (make fmt):"; echo "$$bad"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

# A target can fail at its time limit without an input to show for it, by a
# known fault of the fuzzer; only that is tried again.
fuzz: ## each fuzz target for FUZZTIME
	@mkdir -p bin
	@for dir in $$(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u); do \
	  for target in $$(go test -list '^Fuzz' ./$$dir | grep '^Fuzz'); do \
	    echo "fuzz $$dir $$target"; \
	    fuzz() { go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$dir > bin/fuzz.log 2>&1; }; \
	    fuzz || { ! grep -q 'Failing input' bin/fuzz.log && fuzz; } || { cat bin/fuzz.log; exit 1; }; \
	    tail -n 1 bin/fuzz.log; \
	  done; done

check: lint test fuzz ## the gate: format, vet, staticcheck, layers, tests with -race, fuzz

bench: ## benchmarks, with the spread of six runs
	@mkdir -p bin
	go test -run '^$$' -bench . -benchmem -count 6 ./... | tee bin/bench.txt
	$(BENCHSTAT) bin/bench.txt

soak: tools ## the kill loop for ROUNDS rounds
	CHARTD_KILL_ROUNDS=$(ROUNDS) go test -count 1 -timeout 24h -v -run 'TestKillLoop$$' ./internal/e2e/killloop

fmt:
	git ls-files '*.go' | xargs gofmt -w

clean:
	rm -rf bin
