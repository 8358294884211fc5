package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
)

const (
	plotWidth, plotHeight = 640, 360
	plotLeft, plotTop     = 60, 20
	plotRight, plotBottom = 460, 320
)

var plotColours = []string{"#1f6f8b", "#c1440e", "#4b7f2b", "#6b4c9a"}

// plot draws how cost grows with size, both axes logarithmic: a line that
// rises by a decade for a decade is work that follows the whole.
func plot(points []point) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	x := func(size int) float64 {
		return plotLeft + (math.Log10(float64(size))-3)/3*(plotRight-plotLeft)
	}
	y := func(ms float64) float64 {
		return plotBottom - (math.Log10(max(ms, 0.1))+1)/5*(plotBottom-plotTop)
	}
	for _, size := range []int{1_000, 10_000, 100_000, 1_000_000} {
		fmt.Fprintf(&b, `<line x1="%.0f" y1="%d" x2="%.0f" y2="%d" stroke="#ddd"/><text x="%.0f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x(size), plotTop, x(size), plotBottom, x(size), plotBottom+16, thousands(size))
	}
	for _, ms := range []float64{0.1, 1, 10, 100, 1000, 10000} {
		fmt.Fprintf(&b, `<line x1="%d" y1="%.0f" x2="%d" y2="%.0f" stroke="#ddd"/><text x="%d" y="%.0f" text-anchor="end">%g ms</text>`+"\n",
			plotLeft, y(ms), plotRight, y(ms), plotLeft-6, y(ms)+4, ms)
	}
	series := map[string][]point{}
	var names []string
	for _, p := range points {
		if series[p.series] == nil {
			names = append(names, p.series)
		}
		series[p.series] = append(series[p.series], p)
	}
	for i, name := range names {
		list := series[name]
		slices.SortFunc(list, func(a, b point) int { return cmp.Compare(a.size, b.size) })
		colour, path := plotColours[i%len(plotColours)], ""
		for j, p := range list {
			path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(j, 1)], x(p.size), y(p.value))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(p.size), y(p.value), colour)
		}
		last := list[len(list)-1]
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%.0f" y="%.0f" fill="%s">%s</text>`+"\n",
			path, colour, x(last.size)+8, y(last.value)+4, colour, name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">versions, or pins of history</text>`+"\n</svg>\n", (plotLeft+plotRight)/2, plotBottom+34)
	return b.Bytes()
}
