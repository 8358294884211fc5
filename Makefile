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
# Which Go benchmarks `make bench-compare` runs, and flags for `make bench`.
BENCH       ?= .
BENCH_FLAGS ?=
# The race detector sees this process only, so tests that drive programs run
# without it, and so do the long ones, which have fewer cases under it.
RACED    := $$(go list ./... | grep -vE '/(cmd/chartctl|internal/(e2e|demo|bench))(/|$$)')
FEWER    := CHARTD_MERGES=500 CHARTD_BRANCH_MERGES=20 CHARTD_GATE_HISTORIES=50 CHARTD_GROWTH=10000
PLAIN    := ./cmd/chartctl ./internal/e2e/... ./internal/demo/... ./internal/archive ./internal/deploy/fileset ./internal/deploy/lockfile ./internal/render/renderer ./internal/sealing ./lock
GOTEST   := go test -timeout 25m -v
STATICCHECK := go tool -modfile=$(CURDIR)/internal/tools/lint/go.mod staticcheck
BENCHSTAT   := go tool -modfile=$(CURDIR)/internal/tools/lint/go.mod benchstat
# Programs from Debian that tests drive, and that the benchmarks put beside.
PROGRAMS := docker-registry etcd nginx strace curl python3 python3-yaml node npm

.PHONY: help build demo playground test check fmt lint fuzz bench bench-compare soak tools clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 15

build: ## bin/chartd and bin/chartctl
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./cmd/chartd ./cmd/chartctl

demo: ## two hubs, their pins, and plain Helm, in under two minutes
	go run ./internal/demo

playground: ## the demo's server and registry, left running
	go run ./internal/demo -serve

tools: ## the real programs that the end-to-end tests drive
	@sh internal/tools/install.sh $(PROGRAMS)
	@nice go run ./internal/testtools/prebuild -kubernetes

test: tools ## all tests, end-to-end ones included
	@mkdir -p bin
	@{ env $(FEWER) $(GOTEST) -race $(RACED) && \
	   $(GOTEST) -race -run 'TestLostRace|TestLostAnswer|TestTwoAtOnce|TestDeploy' ./cmd/chartctl && env CHARTD_GATE_HISTORIES=2000 $(GOTEST) $(PLAIN); } 2>&1 \
	  | tee bin/test.log | grep -vE '^(=== |[[:space:]]*--- PASS)|\[no test files\]$$'
	@if [ -n "$$CHARTD_SHARED" ] && grep -E '\.go:[0-9]+: .*CHARTD_SHARED' bin/test.log; then \
	  echo 'make test: CHARTD_SHARED is set, so these tests have to run' >&2; exit 1; fi

lint: ## gofmt, vet, staticcheck
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

bench: tools ## Go benchmarks, then every goal's figure with its peers beside it (BENCH_FLAGS=-large: 1,000,000 versions too)
	@sh internal/tools/install.sh wrk
	@mkdir -p bin
	go test -run '^$$' -bench . -benchmem -count 6 ./... | tee bin/bench.txt
	$(BENCHSTAT) bin/bench.txt
	go run ./internal/bench $(BENCH_FLAGS)

bench-compare: ## Go benchmarks of REF and of this tree, in turn, compared
	@[ -n "$(REF)" ] || { echo 'make bench-compare: say with what: REF=a commit, branch or tag' >&2; exit 2; }
	@mkdir -p bin; rm -f bin/bench-old.txt bin/bench-new.txt
	@tree=$$(mktemp -d)/tree; git worktree add -q --detach "$$tree" '$(REF)'; \
	  trap 'git worktree remove --force "$$tree"' EXIT; \
	  for i in 1 2 3 4 5 6; do \
	    (cd "$$tree" && go test -run '^$$' -bench '$(BENCH)' -benchmem -count 1 ./...) >> bin/bench-old.txt; \
	    go test -run '^$$' -bench '$(BENCH)' -benchmem -count 1 ./... >> bin/bench-new.txt; \
	  done
	$(BENCHSTAT) bin/bench-old.txt bin/bench-new.txt

# About five hours on two cores: ROUNDS kills 20 min, 100,000 merges 10 min, 3,000
# merges of branches 15 min, 10,000 histories of the gate 15 min, 1,000 with a
# server that is killed 30 min, 1,000,000 proofs of seals 3 h.
soak: tools ## what CI runs a slice of, in full
	CHARTD_KILL_ROUNDS=$(ROUNDS) go test -count 1 -timeout 24h -v -run 'TestKillLoop$$' ./internal/e2e/killloop
	CHARTD_MERGES=100000 CHARTD_BRANCH_MERGES=3000 go test -count 1 -timeout 24h -v -run 'MergeFile|Branches' ./internal/deploy/lockfile
	CHARTD_GATE_HISTORIES=10000 go test -count 1 -timeout 24h -v -run GateIsLinearizable ./lock
	CHARTD_CONNECTIONS=10000 go test -count 1 -timeout 1h -v -run MemoryIsBounded ./internal/e2e
	CHARTD_GATE_KILLS=1000 go test -count 1 -timeout 24h -v ./internal/e2e/gatelinear
	CHARTD_PROOFS=1000000 go test -count 1 -timeout 24h -v -run 'Property' ./internal/render/renderer

fmt: ## gofmt every file
	git ls-files '*.go' | xargs gofmt -w

clean: ## remove bin
	rm -rf bin
