package telemetry

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of OpenTelemetry's metrics.v1 messages that are read.
const (
	metricsDataResourceMetrics = 1
	resourceMetricsResource    = 1
	resourceMetricsScopes      = 2
	resourceAttributes         = 1
	scopeMetricsMetrics        = 2
	metricName                 = 1
	metricGauge                = 5
	metricSum                  = 7
	metricHistogram            = 9
	metricExponential          = 10
	metricSummary              = 11
	dataPoints                 = 1
	dataTemporality            = 2
	pointTime                  = 3
	pointDouble                = 4 // of a number; the count of the others
	pointCount                 = 4
	pointSum                   = 5 // of histograms and summaries
	pointInt                   = 6
	keyValueKey                = 1
	keyValueValue              = 2
	temporalityDelta           = 1
)

// Kind is what a series measures.
type Kind uint8

// The kinds of series.
const (
	Gauge     Kind = iota // the value as of now
	Sum                   // what has come together since the client began
	Histogram             // Count observations with the sum Value
	Summary               // likewise
)

// String returns the kind in lower case.
func (k Kind) String() string { return [...]string{"gauge", "sum", "histogram", "summary"}[k] }

// point is one value as a client pushed it.
type point struct {
	kind  Kind
	delta bool // to be added to what was pushed before
	value float64
	count uint64
	time  uint64 // nanoseconds since 1970
}

// attributesField is where a data point of each kind of metric has its attributes.
var attributesField = map[protowire.Number]protowire.Number{
	metricGauge: 7, metricSum: 7, metricHistogram: 9, metricExponential: 1, metricSummary: 7,
}

var kinds = map[protowire.Number]Kind{
	metricGauge: Gauge, metricSum: Sum, metricHistogram: Histogram, metricExponential: Histogram, metricSummary: Summary,
}

// decoder reads a payload field by field and hands out what it finds; it builds no
// tree, so that a payload costs no more memory than what is kept of it.
type decoder struct {
	labels []Label // of the data point at hand
	// resource takes the labels of the client, point the value of a series. What they
	// are given is valid during the call.
	resource func(labels []Label)
	point    func(name string, labels []Label, p point)
}

// errMalformed is a payload that is not OTLP.
var errMalformed = errors.New("the payload is not a MetricsData message of OpenTelemetry")

// fields calls f for each field of a message. Value is the content of a field of
// length-delimited type and nil for others, number the value of a scalar one.
func fields(message []byte, f func(field protowire.Number, value []byte, number uint64) error) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		message = message[n:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(message)
			if value == nil {
				value = []byte{}
			}
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(message)
		case protowire.Fixed32Type:
			_, n = protowire.ConsumeFixed32(message)
		default: // groups, which OTLP never had
			return fmt.Errorf("%w: field %d is of wire type %d", errMalformed, field, kind)
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", errMalformed, field, protowire.ParseError(n))
		}
		message = message[n:]
		if err := f(field, value, number); err != nil {
			return err
		}
	}
	return nil
}

// within calls f with the content of each field that is a message of that number.
func within(message []byte, number protowire.Number, f func([]byte) error) error {
	return fields(message, func(field protowire.Number, value []byte, _ uint64) error {
		if field == number && value != nil {
			return f(value)
		}
		return nil
	})
}

// decode reads a MetricsData message.
func (d *decoder) decode(payload []byte) error {
	return within(payload, metricsDataResourceMetrics, func(resource []byte) error {
		return fields(resource, func(field protowire.Number, value []byte, _ uint64) error {
			switch {
			case value == nil:
				return nil
			case field == resourceMetricsResource:
				d.labels = d.labels[:0]
				if err := within(value, resourceAttributes, d.attribute); err != nil {
					return err
				}
				d.resource(d.sorted())
			case field == resourceMetricsScopes:
				return within(value, scopeMetricsMetrics, d.metric)
			}
			return nil
		})
	})
}

// metric reads a Metric message: a name, and one kind of data.
func (d *decoder) metric(message []byte) error {
	var name string
	err := within(message, metricName, func(v []byte) error {
		name = string(v)
		return checkText(v)
	})
	if err != nil {
		return err
	}
	return fields(message, func(field protowire.Number, data []byte, _ uint64) error {
		kind, ok := kinds[field]
		if !ok || data == nil {
			return nil
		}
		delta := false
		err := fields(data, func(f protowire.Number, value []byte, number uint64) error {
			if f == dataTemporality && value == nil {
				delta = number == temporalityDelta
			}
			return nil
		})
		if err != nil {
			return err
		}
		return within(data, dataPoints, func(p []byte) error {
			return d.dataPoint(name, kind, attributesField[field], delta, p)
		})
	})
}

func (d *decoder) dataPoint(name string, kind Kind, attributes protowire.Number, delta bool, message []byte) error {
	p := point{kind: kind, delta: delta && kind != Gauge}
	d.labels = d.labels[:0]
	err := fields(message, func(field protowire.Number, value []byte, number uint64) error {
		switch {
		case field == attributes && value != nil:
			return d.attribute(value)
		case value != nil:
		case field == pointTime:
			p.time = number
		case field == pointDouble && kind <= Sum:
			p.value = math.Float64frombits(number)
		case field == pointInt && kind <= Sum:
			p.value = float64(int64(number))
		case field == pointCount:
			p.count = number
		case field == pointSum && kind > Sum:
			p.value = math.Float64frombits(number)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.point(name, d.sorted(), p)
	return nil
}

// attribute reads a KeyValue message into labels. Values that are lists or maps are
// left out: no client pushes them.
func (d *decoder) attribute(message []byte) error {
	var l Label
	err := fields(message, func(field protowire.Number, value []byte, _ uint64) error {
		switch {
		case value == nil:
			return nil
		case field == keyValueKey:
			l.Name = string(value)
			return checkText(value)
		case field == keyValueValue:
			return l.read(value)
		}
		return nil
	})
	if err == nil && len(d.labels) < MaxLabels {
		d.labels = append(d.labels, l)
	}
	return err
}

// read takes the value of an AnyValue message.
func (l *Label) read(message []byte) error {
	return fields(message, func(field protowire.Number, value []byte, number uint64) error {
		switch {
		case field == 1 && value != nil:
			l.Value = string(value)
			return checkText(value)
		case value != nil:
		case field == 2:
			l.Value = strconv.FormatBool(number != 0)
		case field == 3:
			l.Value = strconv.FormatInt(int64(number), 10)
		case field == 4:
			l.Value = strconv.FormatFloat(math.Float64frombits(number), 'g', -1, 64)
		}
		return nil
	})
}

func (d *decoder) sorted() []Label {
	slices.SortFunc(d.labels, Label.compare)
	return d.labels
}

func checkText(text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%w: a text is not UTF-8", errMalformed)
	}
	return nil
}
