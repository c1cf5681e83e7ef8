// Package telemetry is what the broker knows about its clients from themselves
// (KIP-714): which metrics it asks them for, and the newest values they pushed.
//
// Subscriptions are configs of the resource CLIENT_METRICS: a push interval,
// prefixes of metric names, and expressions that select clients. A client asks with
// GetTelemetrySubscriptions what is wanted of it, and pushes that with
// PushTelemetry at the interval. Without a matching subscription it is told an empty
// list and stays idle.
//
//	CLIENT_METRICS configs ──▶ Subscription ─┐
//	71 GetTelemetrySubscriptions ──▶ Manager ┴▶ session: may it ask, may it push, now?
//	72 PushTelemetry ──▶ Manager ──▶ decompress ──▶ decode (OTLP) ──▶ store ──▶ Instances
//
// Apache Kafka hands the payload to a plug-in and offers the two APIs only when there
// is one. Here the broker is the receiver: the payload is decoded and the newest
// value of each series kept for who reads Instances.
//
// Invariants:
//   - Nothing a client sends grows memory without bound. Sessions, series of an
//     instance, bytes of an instance and of all have the limits of limits.go;
//     decompression stops at telemetry.max.bytes and one payload is decoded at a time.
//   - A payload counts as a whole or, if any of it is malformed, not at all.
//   - The oldest instance gives way to a new one, never a series to another: what is
//     over an instance's limit is counted in Instance.Dropped.
//   - A session ends with its connection, what it pushed stays until it expires: the
//     last push of a client that closes is the most telling one.
//
// Neighbours: broker/server calls Manager for the two APIs, package naru gives it the
// subscriptions as metadata changes. The sessions (session.go), the decoder (otlp.go)
// and the store (store.go) are pure; Manager is their lock and knows no clock either,
// time is an argument.
package telemetry
