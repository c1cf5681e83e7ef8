package config

// clientMetricsKeys: settings of a client metrics subscription (KIP-714).
var clientMetricsKeys = []Key{
	{Name: "interval.ms", Type: Int, Default: "300000", Scope: ClientMetricsScope, Valid: between(100, 3600000), Status: NotServed,
		Why: "client metrics are not served yet",
		Doc: "Milliseconds between two pushes of a subscribed client."},
	{Name: "match", Type: List, Scope: ClientMetricsScope, Status: NotServed,
		Why: "client metrics are not served yet",
		Doc: "Which clients the subscription selects, as pairs of client attribute and regular expression."},
	{Name: "metrics", Type: List, Scope: ClientMetricsScope, Status: NotServed,
		Why: "client metrics are not served yet",
		Doc: "Prefixes of the metric names that the selected clients push; * is all."},
}
