// Package cli is the command naru: it starts a node, and it is a client of any
// Kafka-compatible cluster.
//
// One file a verb. Every verb prints a readable table or text, or with --json a
// stable form that docs/cli/json.md describes; results go to standard output,
// everything else to standard error. The exit status is 0, 1 after a failure,
// 2 after wrong usage, found before anything was done. A verb that removes or
// overwrites has --dry-run.
//
// Neighbours: the client verbs speak the Kafka protocol through franz-go and
// know nothing of the broker's inside; start runs package naru; log dump reads
// files with package record. Package format prints records, package position
// reads offsets and times. The pages docs/cli/*.md are this package's help
// texts; a test keeps them so.
package cli
