package main

import (
	"fmt"
	"math"
	"strings"
)

// A plot is an SVG of one chart, drawn by hand: what is needed of a library for it is less than the library.

// point of a chart.
type point struct{ x, y float64 }

// chart is one plot.
type chart struct {
	title, x, y string
	isLog       bool // both axes
	isDots      bool // dots instead of a line
	lines       []line
}

// line is what belongs together.
type line struct {
	name   string
	points []point
}

// The measures of a chart.
const (
	chartWidth, chartHeight = 640, 380
	marginLeft, marginRight = 80, 20
	marginTop, marginBottom = 40, 60
)

var colours = []string{"#1f6feb", "#d1242f", "#1a7f37", "#8250df"}

// axis of a chart.
type axis struct {
	from, to   float64
	isLog      bool
	start, end float64 // in pixels
}

func (a axis) at(value float64) float64 {
	from, to := a.from, a.to
	if a.isLog {
		value, from, to = math.Log10(value), math.Log10(from), math.Log10(to)
	}
	return a.start + (value-from)/(to-from)*(a.end-a.start)
}

// ticks are the values that are written at an axis.
func (a axis) ticks() []float64 {
	var ticks []float64
	if a.isLog {
		for tick := a.from; tick <= a.to*1.001; tick *= 10 {
			ticks = append(ticks, tick)
		}
		return ticks
	}
	for i := range 6 {
		ticks = append(ticks, a.from+(a.to-a.from)*float64(i)/5)
	}
	return ticks
}

// newAxis holds all values: whole decades, or from zero to a round number.
func newAxis(values []float64, isLog bool, start, end float64) axis {
	least, most := math.Inf(1), math.Inf(-1)
	for _, value := range values {
		least, most = min(least, value), max(most, value)
	}
	if isLog {
		return axis{math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most))), true, start, end}
	}
	step := math.Pow(10, math.Floor(math.Log10(max(most, 1e-9))))
	return axis{0, math.Ceil(most/step) * step, false, start, end}
}

// svg draws the chart.
func (c chart) svg() string {
	var xs, ys []float64
	for _, line := range c.lines {
		for _, point := range line.points {
			xs, ys = append(xs, point.x), append(ys, point.y)
		}
	}
	x := newAxis(xs, c.isLog, marginLeft, chartWidth-marginRight)
	y := newAxis(ys, c.isLog, chartHeight-marginBottom, marginTop)
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="22" font-size="15" font-weight="bold">%s</text>`+"\n", marginLeft, c.title)
	c.drawAxes(&out, x, y)
	for i, line := range c.lines {
		c.drawLine(&out, line, x, y, colours[i%len(colours)], i)
	}
	out.WriteString("</svg>\n")
	return out.String()
}

func (c chart) drawAxes(out *strings.Builder, x, y axis) {
	for _, tick := range x.ticks() {
		fmt.Fprintf(out, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			x.at(tick), x.at(tick), y.start, y.end, x.at(tick), y.start+18, number(tick))
	}
	for _, tick := range y.ticks() {
		fmt.Fprintf(out, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			x.start, x.end, y.at(tick), y.at(tick), x.start-8, y.at(tick)+4, number(tick))
	}
	fmt.Fprintf(out, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", (x.start+x.end)/2, chartHeight-16, c.x)
	fmt.Fprintf(out, `<text transform="translate(18 %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (y.start+y.end)/2, c.y)
}

func (c chart) drawLine(out *strings.Builder, line line, x, y axis, colour string, place int) {
	var path strings.Builder
	radius := 4.0
	if c.isDots {
		radius = 1.5
	}
	for i, point := range line.points {
		fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: " L"}[i == 0], x.at(point.x), y.at(point.y))
		fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"/>`, x.at(point.x), y.at(point.y), radius, colour)
	}
	if !c.isDots {
		fmt.Fprintf(out, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, path.String(), colour)
	}
	if line.name != "" {
		fmt.Fprintf(out, `<text x="%d" y="%d" fill="%s">%s</text>`, marginLeft+12, marginTop+18+16*place, colour, line.name)
	}
	out.WriteString("\n")
}

// number is a number as people write it.
func number(value float64) string {
	switch {
	case value >= 1e6:
		return fmt.Sprintf("%g M", value/1e6)
	case value >= 1000:
		return fmt.Sprintf("%.3g k", value/1000)
	}
	return fmt.Sprintf("%.3g", value)
}
