package transport

import (
	"strings"
	"testing"
	"time"
)

func TestRatesReadBack(t *testing.T) {
	for text, want := range map[string]Rate{
		"off": {}, "1/s": {1, time.Second}, "60/m": {60, time.Minute}, "1000000/h": {1_000_000, time.Hour},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v %q, %v", text, got, got, err)
		}
	}
}

func TestRatesAreStrict(t *testing.T) {
	for _, text := range []string{
		"", "0", "0/m", "-1/m", "+1/m", "1.5/m", "60", "60/", "/m", "60/d", "60/M", "60/min", "60m", "60 /m", " 60/m", "60/m/m", "none", "OFF",
		"1000001/s", "99999999999999999999/s", "٦/m",
	} {
		if r, err := ParseRate(text); err == nil || !strings.Contains(err.Error(), "60/m") || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
}
