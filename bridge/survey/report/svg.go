package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// plotWidth is the width of all plots, in units of their view box; the page
// scales them.
const plotWidth = 720.0

// svg is a picture that is being drawn.
type svg struct{ b strings.Builder }

// newSVG begins a picture that a screen reader can tell. id is unique in the page.
func newSVG(id, title, description string, height float64) *svg {
	s := &svg{}
	s.printf(`<svg id="%s" viewBox="0 0 %s %s" role="img" aria-labelledby="%[1]s-title %[1]s-desc" xmlns="http://www.w3.org/2000/svg">`, id, num(plotWidth), num(height))
	s.printf(`<title id="%s-title">%s</title><desc id="%[1]s-desc">%s</desc>`, id, html.EscapeString(title), html.EscapeString(description))
	return s
}

func (s *svg) printf(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }

// end is the finished picture. All text in it went through text or newSVG, which escape.
func (s *svg) end() template.HTML {
	s.b.WriteString("</svg>")
	return template.HTML(s.b.String()) //nolint:gosec // escaped piece by piece
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	s.printf(`<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, num(x1), num(y1), num(x2), num(y2))
}

// rect has a tooltip, which may be empty.
func (s *svg) rect(class string, x, y, width, height float64, tooltip string) {
	s.printf(`<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="2">%s</rect>`, class, num(x), num(y), num(width), num(height), tip(tooltip))
}

func (s *svg) circle(class string, x, y, r float64, tooltip string) {
	s.printf(`<circle class="%s" cx="%s" cy="%s" r="%s">%s</circle>`, class, num(x), num(y), num(r), tip(tooltip))
}

// path goes through points; closed fills the area.
func (s *svg) path(class string, points [][2]float64, closed bool) {
	s.printf(`<path class="%s" d="`, class)
	for i, p := range points {
		s.printf("%s%s %s", map[bool]string{true: "M", false: "L"}[i == 0], num(p[0]), num(p[1]))
	}
	if closed {
		s.b.WriteString("Z")
	}
	s.b.WriteString(`"/>`)
}

// anchor is where a text is held.
type anchor string

const (
	atStart  anchor = "start"
	atMiddle anchor = "middle"
	atEnd    anchor = "end"
)

func (s *svg) text(class string, x, y float64, a anchor, text string) {
	s.printf(`<text class="%s" x="%s" y="%s" text-anchor="%s">%s</text>`, class, num(x), num(y), a, html.EscapeString(text))
}

func tip(text string) string {
	if text == "" {
		return ""
	}
	return "<title>" + html.EscapeString(text) + "</title>"
}

// num writes a coordinate to a tenth, which is below what a screen shows.
func num(v float64) string {
	text := fmt.Sprintf("%.1f", v)
	return strings.TrimSuffix(text, ".0")
}

// axis maps values to coordinates.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	if a.high == a.low {
		return (a.from + a.to) / 2
	}
	return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)
}

// ticks are round values within the axis, about n of them.
func (a axis) ticks(n int) []float64 {
	step := niceStep((a.high - a.low) / float64(n))
	var ticks []float64
	for v := math.Ceil(a.low/step) * step; v <= a.high+step/1e6; v += step {
		ticks = append(ticks, v+0) // + 0: no −0
	}
	return ticks
}

// niceStep is 1, 2 or 5 times a power of ten, at least v.
func niceStep(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*1.000001 {
			return m * power
		}
	}
	return 10 * power
}
