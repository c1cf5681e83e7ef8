# Aliases for plain commands; nothing here is needed to build or test.
.PHONY: build check test race lint fuzz conformance crash bench docs

build:       ; CGO_ENABLED=0 go build -o naru ./cmd/naru
check:       ; .ci/run
test:        ; go test ./...
race:        ; CGO_ENABLED=1 go test -race ./...
lint:        ; go test ./internal/lint && golangci-lint run ./...
fuzz:        ; CGO_ENABLED=1 go test -run '^$$' -fuzz FuzzDecode -fuzztime 60s ./internal/kafka/protocol
conformance: ; cd conformance && go run ./cmd/conformance -target both
crash:       ; cd conformance && go run ./cmd/crash
bench:       ; go run ./bench -out bench/RESULTS.md
docs:        ; go test ./internal/kafka/config -run Page -update && go test ./internal/cli -run Pages -update
