package alerting

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
)

// A plot is a small picture of what happened over some minutes: curves, or bars that say when something was so.
type plot struct {
	Title  string
	Unit   string
	From   time.Time
	To     time.Time
	Curves []curve
	Bars   []bar
	Marks  []mark
}

// curve is a line through points.
type curve struct {
	Name   string
	Points []point
}

// bar says when something was so.
type bar struct {
	Name  string
	Spans [][2]time.Time
}

// mark is a turn of the story.
type mark struct {
	At   time.Time
	Text string
}

// point is a sample.
type point struct {
	At    time.Time
	Value float64
}

// Sizes in pixels: the picture, the margins around the plot, and a line of text.
const (
	width, height          = 900, 340
	left, right, top, foot = 60, 220, 52, 34
	line                   = 18
)

// colours that people with any kind of sight can tell apart (Okabe and Ito 2008).
var colours = []string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#7F3C8D", "#11A579"}

// svg draws the plot.
func (p plot) svg() string {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(&out, left, 20, "start", "#000000", p.Title)
	for i, mark := range p.Marks {
		x := p.x(mark.At)
		fmt.Fprintf(&out, `<path d="M%.1f %d V%d" stroke="#999999" stroke-dasharray="3 3"/>`+"\n", x, top-4, height-foot)
		text(&out, x+2, top-8-float64(i%2)*12, "start", "#555555", mark.Text)
	}
	for at := p.From; !at.After(p.To); at = at.Add(15 * time.Second) {
		text(&out, p.x(at), height-foot+16, "middle", "#555555", fmt.Sprintf("%.0f s", at.Sub(p.From).Seconds()))
	}
	if len(p.Bars) > 0 {
		p.drawBars(&out)
	} else {
		p.drawCurves(&out)
	}
	out.WriteString("</svg>\n")
	return out.String()
}

func (p plot) x(at time.Time) float64 {
	return left + float64(width-left-right)*at.Sub(p.From).Seconds()/p.To.Sub(p.From).Seconds()
}

func (p plot) drawBars(out *strings.Builder) {
	pitch := float64(height-top-foot) / float64(len(p.Bars))
	for i, bar := range p.Bars {
		y := top + pitch*float64(i)
		for _, span := range bar.Spans {
			fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n",
				p.x(span[0]), y+2, max(p.x(span[1])-p.x(span[0]), 2), pitch-4, colours[i%len(colours)])
		}
		text(out, width-right+8, y+pitch/2+4, "start", "#000000", bar.Name)
	}
}

func (p plot) drawCurves(out *strings.Builder) {
	low, high := p.extremes()
	y := func(value float64) float64 { return height - foot - float64(height-top-foot)*(value-low)/(high-low) }
	for _, value := range []float64{low, 0, high} {
		fmt.Fprintf(out, `<path d="M%d %.1f H%d" stroke="#dddddd"/>`+"\n", left, y(value), width-right)
		text(out, left-6, y(value)+4, "end", "#555555", fmt.Sprintf("%.3g %s", value, p.Unit))
	}
	for i, curve := range p.Curves {
		color := colours[i%len(colours)]
		fmt.Fprintf(out, `<path fill="none" stroke="%s" stroke-width="1.5" d="%s"/>`+"\n", color, p.path(curve.Points, y))
		text(out, width-right+8, float64(top+line*(i+1)), "start", color, curve.Name)
	}
}

// path leaves a gap where nothing was measured for more than two seconds.
func (p plot) path(points []point, y func(float64) float64) string {
	var path strings.Builder
	for i, point := range points {
		step := 'L'
		if i == 0 || point.At.Sub(points[i-1].At) > 2*time.Second {
			step = 'M'
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", step, p.x(point.At), y(point.Value))
	}
	return path.String()
}

// extremes are the least and the highest value; 0 lies between them.
func (p plot) extremes() (low, high float64) {
	for _, curve := range p.Curves {
		for _, point := range curve.Points {
			low, high = min(low, point.Value), max(high, point.Value)
		}
	}
	if low == high {
		high++
	}
	return low, high
}

// spans joins points of a series that is there only while something is so.
func spans(points []point) [][2]time.Time {
	var joined [][2]time.Time
	for _, point := range points {
		if last := len(joined) - 1; last >= 0 && point.At.Sub(joined[last][1]) <= 2*time.Second {
			joined[last][1] = point.At
			continue
		}
		joined = append(joined, [2]time.Time{point.At, point.At})
	}
	return joined
}

func text(out *strings.Builder, x, y float64, anchor, color, words string) {
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, color, html.EscapeString(words))
}

// byName sorts curves, so that the same data gives the same picture.
func byName(curves []curve) []curve {
	slices.SortFunc(curves, func(a, b curve) int { return strings.Compare(a.Name, b.Name) })
	return curves
}
