// Package scenario names what every client is asked to do, and holds what it answered.
// The client programs (folder clients) and the drivers of command-line clients (packages kcat and
// tools) implement these names; package report prints them as a table.
package scenario

// Names lists the scenarios in the order in which a client program runs them. Commit and Resume are
// one column of the table: Resume runs in a second process and continues where Commit stopped.
var Names = []string{
	"create", "acks-0", "acks-1", "acks-all", "idempotent",
	"none", "gzip", "snappy", "lz4", "zstd",
	"content", "sizes", "assign", "group", "rebalance", "static", "time",
	"admin-topics", "admin-groups", Commit, Resume,
	"transactions", "consumer-protocol", "compaction", "share", "share-explicit", "share-redelivery",
}

// Shares lists the scenarios of share groups (KIP-932), which few clients know.
var Shares = []string{"share", "share-explicit", "share-redelivery"}

// NoShares is why a client has none of them.
const NoShares = "the client has no share consumer"

// Codecs lists the scenarios whose topic must hold batches compressed with the codec of that name.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Commit leaves a group with committed offsets; Resume must find them from another process.
const (
	Commit = "commit"
	Resume = "resume"
)

// Status says how a scenario ended.
type Status string

// A scenario passed, failed, or the client has no such feature.
const (
	OK   Status = "ok"
	Fail Status = "FAIL"
	NA   Status = "n/a"
)

// Result is the end of one scenario of one client against one broker.
type Result struct {
	Client   string `json:"client"`
	Scenario string `json:"scenario"`
	Status   Status `json:"status"`
	Detail   string `json:"detail,omitempty"`
	// Output is the normalised standard output of a tool whose output is compared between brokers.
	Output string `json:"output,omitempty"`
	Millis int64  `json:"millis"`
}

// Target is everything that was seen against one broker.
type Target struct {
	Broker  string   `json:"broker"`
	Results []Result `json:"results"`
}
