package hostile

// difference says what Naru does otherwise than Apache Kafka 4.3.1, and why. A
// reason that begins with "gap" is something to be closed.
type difference struct{ naru, why string }

const (
	strictDecode = "a length below -1 is no null: what cannot be meant is refused"
	notOpened    = "what a client compressed is not opened on the way in unless the topic asks for it; its reader finds the damage"
	forGood      = "CORRUPT_MESSAGE makes clients send the same again; this cannot become right"
	namesIt      = "Kafka fails inside and does not say at what"
)

var differences = map[string]difference{
	"header/client id of length -2":            {"closed", strictDecode},
	"body/-5 topics in Metadata":               {"closed", strictDecode},
	"body/2^32-1 tags, -1 for a signed reader": {"closed", "a count beyond the frame is refused; Kafka reads it as -1, which is none"},
	"body/records of length -2 in Produce":     {"closed", "Kafka never answers, so that the client waits for its timeout"},
	"batch/magic 3":                            {"INVALID_RECORD", forGood},
	"batch/magic -1":                           {"INVALID_RECORD", forGood},
	"batch/61 zero bytes":                      {"INVALID_RECORD", forGood},
	"batch/noise":                              {"INVALID_RECORD", forGood},
	"batch/length 2^31-1":                      {"INVALID_RECORD", namesIt},
	"batch/codec 5":                            {"UNSUPPORTED_COMPRESSION_TYPE", namesIt},
	"batch/codec 7":                            {"UNSUPPORTED_COMPRESSION_TYPE", namesIt},
	"batch/varint without end":                 {"INVALID_RECORD", namesIt},
	"configs/unknown operation":                {"INVALID_REQUEST", namesIt},
	"batch/transactional without a producer":   {"INVALID_RECORD", "the batch contradicts itself; Kafka misses the request's transactional id first"},
	"batch/timestamp -2^63":                    {"ok", "gap: Kafka's age of the record overflows and is refused; Naru has no oldest timestamp by default"},
	"batch/marked as LogAppendTime":            {"INVALID_TIMESTAMP", "a producer does not set the broker's clock; Kafka stores what it claims"},
	"batch/gzip that is none":                  {"ok", notOpened},
	"batch/snappy that announces 4 GB":         {"ok", notOpened},
	"batch/lz4 that is none":                   {"ok", notOpened},
	"batch/zstd with a window of 2 TB":         {"ok", notOpened},
	"batch/gzip of 256 MB of zeros":            {"ok", notOpened},
	"batch/a batch and half of one":            {"INVALID_RECORD", "Kafka drops the half without a word and acknowledges"},
	"fetch/max bytes -1":                       {"ok", "Kafka fails inside; a limit below a batch means one batch"},
	"fetch/isolation level 77":                 {"ok", "gap: an unknown level is read as read_uncommitted; Kafka fails inside"},
}
