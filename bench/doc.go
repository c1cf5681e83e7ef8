// Command bench measures Naru beside Apache Kafka on this machine, in one run, with
// the same load generator, disk and durability, and writes a table.
//
//	go run ./bench                     every scenario, both brokers, about 15 minutes
//	go run ./bench -brokers naru -scenarios produce-1k
//
// What it reports is made to hold on a noisy machine: the broker's own CPU time per
// unit of work, counted by the operating system, is the headline; requests a second
// and latencies come beside it; every scenario runs several times, alternating
// between the brokers, and medians are compared.
//
// The load generator sends Produce frames that were encoded beforehand, so that on
// a small machine the broker is what is measured. Apache Kafka comes from Maven
// Central with its own production flags; a JVM needs some load before it is at its
// speed, so each broker gets a warm-up that is not counted.
//
// Neighbours: it uses the codec and record packages and starts brokers as processes.
package main
