package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
)

// The plot's panels: each has its own unit.
const (
	panelTime   = "time, median, in ms"
	panelMemory = "memory in MB"
)

// frame is where a panel is drawn and what its axis spans, in powers of ten.
type frame struct {
	title, unit, sizes       string
	left, right, top, bottom float64
	from, to                 float64
}

const (
	plotWidth, plotHeight = 1020, 420
	firstSize, lastSize   = 3.0, 6.0 // 1,000 to 1,000,000
	labelHeight           = 15.0
)

var plotColours = []string{"#1f6f8b", "#c1440e", "#4b7f2b", "#6b4c9a"}

func (f frame) x(size int) float64 {
	return f.left + (math.Log10(float64(size))-firstSize)/(lastSize-firstSize)*(f.right-f.left)
}

func (f frame) y(v float64) float64 {
	at := min(max(math.Log10(v), f.from), f.to)
	return f.bottom - (at-f.from)/(f.to-f.from)*(f.bottom-f.top)
}

// plot draws how cost grows with size, all axes logarithmic: a line as steep
// as the dashed one is work that follows the whole.
func plot(points []point) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<title>How cost grows with the number of versions</title><rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	for _, f := range []frame{
		{title: panelTime, unit: "ms", sizes: "versions, or pins of history", left: 70, right: 400, top: 50, bottom: 350, from: -1, to: 4},
		{title: panelMemory, unit: "MB", sizes: "versions", left: 690, right: 850, top: 50, bottom: 350, from: 1, to: 4},
	} {
		f.axes(&b)
		f.series(&b, points)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (f frame) axes(b *bytes.Buffer) {
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-weight="bold">%s</text>`+"\n", f.left, f.top-20, f.title)
	for e := int(firstSize); e <= int(lastSize); e++ {
		size := int(math.Pow10(e))
		fmt.Fprintf(b, `<line x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f" stroke="#ddd"/><text x="%.0f" y="%.0f" text-anchor="middle" font-size="11">%s</text>`+"\n",
			f.x(size), f.top, f.x(size), f.bottom, f.x(size), f.bottom+18, short(size))
	}
	for e := int(f.from); e <= int(f.to); e++ {
		v := math.Pow10(e)
		fmt.Fprintf(b, `<line x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f" stroke="#ddd"/><text x="%.0f" y="%.0f" text-anchor="end" font-size="11">%s</text>`+"\n",
			f.left, f.y(v), f.right, f.y(v), f.left-8, f.y(v)+4, number(v))
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n", (f.left+f.right)/2, f.bottom+40, f.sizes)
	// From the lower left corner, ten times as much for ten times the size.
	steep := min(lastSize-firstSize, f.to-f.from)
	fmt.Fprintf(b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="#999" stroke-dasharray="4 4"/>`+"\n",
		f.left, f.bottom, f.x(int(math.Pow(10, firstSize+steep))), f.y(math.Pow(10, f.from+steep)))
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" fill="#777" font-size="11">dashed: as steep as the size</text>`+"\n", f.left, f.bottom+60)
}

// short is a size for an axis: 100k.
func short(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1_000:
		return fmt.Sprintf("%dk", n/1_000)
	}
	return fmt.Sprint(n)
}

// figure has two digits, or all before the point.
func figure(v float64) string {
	if v >= 10 {
		return thousands(int(math.Round(v)))
	}
	return fmt.Sprintf("%.2g", v)
}

func (f frame) series(b *bytes.Buffer, points []point) {
	series := map[string][]point{}
	var names []string
	for _, p := range points {
		if p.panel != f.title {
			continue
		}
		if series[p.series] == nil {
			names = append(names, p.series)
		}
		series[p.series] = append(series[p.series], p)
	}
	type label struct {
		y            float64
		text, colour string
	}
	var labels []label
	for i, name := range names {
		list := series[name]
		slices.SortFunc(list, func(a, b point) int { return cmp.Compare(a.size, b.size) })
		colour, path := plotColours[i%len(plotColours)], ""
		for j, p := range list {
			path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(j, 1)], f.x(p.size), f.y(p.value))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", f.x(p.size), f.y(p.value), colour)
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, colour)
		last := list[len(list)-1]
		labels = append(labels, label{f.y(last.value) + 4, fmt.Sprintf("%s: %s → %s %s", name, figure(list[0].value), figure(last.value), f.unit), colour})
	}
	// Lines that end close to each other would write over each other.
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i, l := range labels {
		if i > 0 {
			labels[i].y = max(l.y, labels[i-1].y+labelHeight)
		}
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" fill="%s" font-size="11">%s</text>`+"\n", f.right+10, labels[i].y, l.colour, html.EscapeString(l.text))
	}
}
