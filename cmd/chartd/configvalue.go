package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tristate is true, false or "auto".
type tristate string

// size is a number of bytes, written with an optional unit.
type size int64

// one is an option with one value.
type one[T any] struct {
	to    *T
	parse func(string) (T, error)
}

func parsed[T any](to *T, parse func(string) (T, error)) value { return one[T]{to, parse} }

func text(to *string) value {
	return parsed(to, func(s string) (string, error) { return s, nil })
}

func (o one[T]) set(texts []string) (err error) {
	if len(texts) != 1 {
		return fmt.Errorf("want one value, not %d", len(texts))
	}
	*o.to, err = o.parse(texts[0])
	return err
}

func (o one[T]) plain() any {
	if s, ok := any(*o.to).(fmt.Stringer); ok {
		return s.String()
	}
	return *o.to
}

// list is an option that may be given several times.
type list struct{ to *[]string }

func (l list) set(texts []string) error {
	*l.to = []string{}
	for _, s := range texts {
		if s = strings.TrimSpace(s); s != "" {
			*l.to = append(*l.to, s)
		}
	}
	return nil
}

func (l list) plain() any { return *l.to }

func parseTristate(s string) (tristate, error) {
	if s != "true" && s != "false" && s != "auto" {
		return "", fmt.Errorf("%q: want true, false or auto", s)
	}
	return tristate(s), nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: want a number above 0", s)
	}
	return n, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: want a duration such as 30s or 5m", s)
	}
	return d, nil
}

func parseSize(s string) (size, error) {
	text, unit := s, int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if t, ok := strings.CutSuffix(s, u.suffix); ok {
			text, unit = strings.TrimSpace(t), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > (1<<40)/unit {
		return 0, fmt.Errorf("%q: want a size such as 20MiB", s)
	}
	return size(n * unit), nil
}
