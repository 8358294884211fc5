package transport

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is how many requests are taken in a time, all at once or spread over
// it. The zero Rate is no limit.
type Rate struct {
	N   int
	Per time.Duration
}

// noRate is how no limit is written.
const noRate = "off"

const maxRate = 1_000_000 // requests in the time of a Rate

var rateUnits = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}}

// ParseRate reads "60/m", with s, m or h for the time, or "off".
func ParseRate(text string) (Rate, error) {
	if text == noRate {
		return Rate{}, nil
	}
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(count, 10, 32)
	for _, u := range rateUnits {
		if err == nil && n >= 1 && n <= maxRate && u.name == unit {
			return Rate{int(n), u.per}, nil
		}
	}
	return Rate{}, fmt.Errorf("%q: want a rate such as 60/m, of 1 to %d in s, m or h, or %s for no limit", Clip(text), maxRate, noRate)
}

// String is the form that ParseRate reads.
func (r Rate) String() string {
	for _, u := range rateUnits {
		if r.N > 0 && r.Per == u.per {
			return strconv.Itoa(r.N) + "/" + u.name
		}
	}
	return noRate
}
