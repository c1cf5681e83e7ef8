package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

// clients are the clients under test.
var clients = []string{"java-4.3.1", "java-2.7.0", "librdkafka", "franz-go"}

// confluentVersion is the release of confluent-kafka on PyPI, which brings its librdkafka.
const confluentVersion = "2.16.0"

// chosen splits the -client flag.
func chosen(list string) ([]string, error) {
	names := strings.Split(list, ",")
	for _, n := range names {
		if !slices.Contains(clients, n) {
			return nil, fmt.Errorf("-client: there is no %q; the clients are %s", n, strings.Join(clients, ", "))
		}
	}
	return names, nil
}

// chainCommand returns the command line of the client up to the address.
func chainCommand(ctx context.Context, env setup.Env, client string) ([]string, error) {
	here := filepath.Join(env.Root, "transactions")
	must := func(argv ...string) error {
		_, err := proc.Must(ctx, proc.Command{Argv: argv, Dir: env.Root, Timeout: 5 * time.Minute})
		return err
	}
	switch client {
	case "librdkafka":
		venv := filepath.Join(env.Cache, "venv-confluent-"+confluentVersion)
		python := filepath.Join(venv, "bin", "python")
		if _, err := os.Stat(python); err != nil {
			if err := must("python3", "-m", "venv", venv); err != nil {
				return nil, err
			}
			if err := must(filepath.Join(venv, "bin", "pip"), "install", "-q", "confluent-kafka=="+confluentVersion); err != nil {
				return nil, err
			}
		}
		return []string{python, filepath.Join(here, "chain.py")}, nil
	case "franz-go":
		binary := filepath.Join(env.Cache, "transactions-franz")
		return []string{binary}, must("go", "build", "-o", binary, "./transactions/franz")
	}
	version := strings.TrimPrefix(client, "java-")
	cp, err := env.ClassPath(ctx, "clients", version)
	if err != nil {
		return nil, err
	}
	cp = strings.TrimSpace(cp)
	classes := filepath.Join(env.Cache, "transactions", version)
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return nil, err
	}
	return []string{"java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", classes + ":" + cp, "Chain"},
		must("javac", "--release", "11", "-cp", cp, "-d", classes, filepath.Join(here, "java", "Chain.java"))
}
