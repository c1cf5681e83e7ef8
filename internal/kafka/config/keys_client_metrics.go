package config

// clientMetricsKeys: settings of a client metrics subscription (KIP-714).
var clientMetricsKeys = []Key{
	{Name: "interval.ms", Type: Int, Default: "300000", Scope: ClientMetricsScope, Status: Accepted,
		Doc: ""},
	{Name: "match", Type: List, Scope: ClientMetricsScope, Status: Accepted,
		Doc: ""},
	{Name: "metrics", Type: List, Scope: ClientMetricsScope, Status: Accepted,
		Doc: ""},
}
