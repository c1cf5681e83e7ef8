// Package position reads what people write to say where in a log to start or to
// stop: beginning, end, an offset, a distance from either end, a time.
//
// Neighbours: package cli turns a [Position] into offsets by asking the broker.
// The package is pure: the present is a parameter.
package position

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind says how a [Position] counts.
type Kind int8

// The kinds of positions.
const (
	Offset    Kind = iota // N is an offset
	FromStart             // N records after the start of each partition
	FromEnd               // N records before the end of each partition
	AtTime                // the first record at or after N milliseconds since 1970
)

// Position is a place in every partition of a topic.
type Position struct {
	Kind Kind
	N    int64
}

// Forms lists what Parse understands, for help and errors.
const Forms = "beginning, end, an offset such as 42, +10 (after the beginning), -10 (before the end), or a time as @2026-01-31T15:04:05Z, @1700000000000 (milliseconds), @-15m (ago)"

// Parse reads a position; now is the present for times such as @-15m.
func Parse(s string, now time.Time) (Position, error) {
	switch strings.ToLower(s) {
	case "beginning", "earliest", "start", "smallest":
		return Position{Kind: FromStart}, nil
	case "end", "latest", "largest":
		return Position{Kind: FromEnd}, nil
	}
	if at, ok := strings.CutPrefix(s, "@"); ok {
		ms, err := ParseTime(at, now)
		return Position{Kind: AtTime, N: ms}, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return Position{}, fmt.Errorf("offset %q is not valid: use %s", s, Forms)
	case s[0] == '+':
		return Position{Kind: FromStart, N: n}, nil
	case s[0] == '-':
		return Position{Kind: FromEnd, N: -n}, nil
	}
	return Position{Kind: Offset, N: n}, nil
}

// layouts are tried in order; those without a zone mean UTC, as in Kafka's tools.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006-01-02",
}

// ParseTime reads a time as milliseconds since 1970: RFC 3339 (without a zone it
// is UTC), a date, milliseconds, or a duration before now such as -15m or -2d.
func ParseTime(s string, now time.Time) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if back, ok := strings.CutPrefix(s, "-"); ok {
		if d, err := duration(back); err == nil {
			return now.Add(-d).UnixMilli(), nil
		}
	}
	if s == "now" {
		return now.UnixMilli(), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("time %q is not valid: use 2026-01-31T15:04:05Z (UTC without a zone), 2026-01-31, milliseconds since 1970, or -15m, -2h, -3d for that long ago", s)
}

// duration is time.ParseDuration with days.
func duration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		return time.Duration(n * 24 * float64(time.Hour)), err
	}
	return time.ParseDuration(s)
}

// Resolve turns the position into an offset of one partition that holds offsets
// start up to end. atTime is the offset of the first record at or after the
// position's time, negative if there is none. The result is not clamped: an
// offset outside of the partition is the caller's to judge.
func (p Position) Resolve(start, end, atTime int64) int64 {
	switch p.Kind {
	case FromStart:
		return min(start+p.N, end)
	case FromEnd:
		return max(end-p.N, start)
	case AtTime:
		if atTime < 0 {
			return end
		}
		return atTime
	}
	return p.N
}
