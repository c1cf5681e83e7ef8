package position

import (
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestEveryFormOfPositionIsRead(t *testing.T) {
	for s, want := range map[string]Position{
		"beginning":                      {FromStart, 0},
		"earliest":                       {FromStart, 0},
		"end":                            {FromEnd, 0},
		"latest":                         {FromEnd, 0},
		"42":                             {Offset, 42},
		"+5":                             {FromStart, 5},
		"-5":                             {FromEnd, 5},
		"@1700000000000":                 {AtTime, 1700000000000},
		"@-15m":                          {AtTime, now.Add(-15 * time.Minute).UnixMilli()},
		"@-2d":                           {AtTime, now.Add(-48 * time.Hour).UnixMilli()},
		"@now":                           {AtTime, now.UnixMilli()},
		"@2026-01-31":                    {AtTime, now.Add(-12 * time.Hour).UnixMilli()},
		"@2026-01-31T12:00:00Z":          {AtTime, now.UnixMilli()},
		"@2026-01-31T12:00:00.250+09:00": {AtTime, now.Add(-9*time.Hour + 250*time.Millisecond).UnixMilli()},
		"@2026-01-31T12:00:00.000":       {AtTime, now.UnixMilli()},
		"@2026-01-31 12:00":              {AtTime, now.UnixMilli()},
	} {
		if got, err := Parse(s, now); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestAWrongPositionIsNamedWithTheRightForms(t *testing.T) {
	for _, s := range []string{"", "beginnning", "12x", "@yesterday", "@-5", "--5", "99999999999999999999"} {
		_, err := Parse(s, now)
		if err == nil || !strings.Contains(err.Error(), "is not valid: use") {
			t.Errorf("%q: got %v", s, err)
		}
	}
}

func TestPositionsResolveWithinThePartition(t *testing.T) {
	for _, tt := range []struct {
		p                        Position
		start, end, atTime, want int64
	}{
		{Position{FromStart, 0}, 10, 20, -1, 10},
		{Position{FromStart, 50}, 10, 20, -1, 20},
		{Position{FromEnd, 3}, 10, 20, -1, 17},
		{Position{FromEnd, 30}, 10, 20, -1, 10},
		{Position{AtTime, 1}, 10, 20, 15, 15},
		{Position{AtTime, 1}, 10, 20, -1, 20},
		{Position{Offset, 99}, 10, 20, -1, 99},
	} {
		if got := tt.p.Resolve(tt.start, tt.end, tt.atTime); got != tt.want {
			t.Errorf("%v in %d..%d: got %d, want %d", tt.p, tt.start, tt.end, got, tt.want)
		}
	}
}
