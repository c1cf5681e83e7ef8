package config

import (
	"math"
	"regexp"
	"strconv"
)

// isoDuration is an ISO 8601 duration as Java reads it: days and what is shorter.
var isoDuration = regexp.MustCompile(`^(?i)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{0,9})?)S)?)?$`)

// ISODurationMs reads an ISO 8601 duration such as P1DT12H; what is none or not above 0
// gives 0.
func ISODurationMs(text string) int64 {
	parts := isoDuration.FindStringSubmatch(text)
	if parts == nil {
		return 0
	}
	seconds := 0.0
	for i, each := range []float64{86400, 3600, 60, 1} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(parts[i+1], 64)
		if err != nil {
			return 0
		}
		seconds += n * each
	}
	if seconds*1000 >= math.MaxInt64 {
		return 0
	}
	return int64(seconds * 1000)
}
