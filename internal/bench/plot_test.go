package main

import (
	"encoding/xml"
	"errors"
	"html"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Labels of lines that end at the same place stand below each other, and
// nothing leaves the picture.
func TestPlotLabelsDoNotOverlap(t *testing.T) {
	var points []point
	for _, name := range []string{"a", "b & c", "d"} {
		for _, size := range []int{1_000_000, 1_000, 100_000} {
			points = append(points, point{panelTime, name + ", by pins of history", size, 2}, point{panelMemory, name, size, 2e3})
		}
	}
	svg := string(plot(points))
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	labels := regexp.MustCompile(`<text x="(\d+)" y="(\d+)" fill="#[0-9a-f]+" font-size="11">([^<]+→[^<]+)<`).FindAllStringSubmatch(svg, -1)
	if len(labels) != 6 {
		t.Fatalf("%d labels, want one for each of 6 lines:\n%s", len(labels), svg)
	}
	for i, l := range labels {
		y, _ := strconv.Atoi(l[2])
		x, _ := strconv.Atoi(l[1])
		if wide := 6 * utf8.RuneCountInString(html.UnescapeString(l[3])); y < 0 || y > plotHeight || x+wide > plotWidth {
			t.Errorf("label %q is outside of the picture", l[0])
		}
		if i > 0 && labels[i-1][1] == l[1] {
			if above, _ := strconv.Atoi(labels[i-1][2]); y < above+12 {
				t.Errorf("labels at %d and %d overlap", above, y)
			}
		}
	}
}
