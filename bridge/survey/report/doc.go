// Package report draws a survey.Report as one HTML page that needs nothing else:
// no scripts, no fonts, no pictures from elsewhere; it can be mailed, kept
// beside a decision, and opened in ten years. It follows the reader's choice of
// light or dark, prints, and every plot has a title and description for screen
// readers and its numbers in a table below it.
//
//	survey.Report ──Render──► page.html (template) ◄── plots: series, bars, whiskers (SVG)
//
// A number never stands alone: it has its interval, its n and its denominator,
// and what concerns fewer than five people is not there (survey.Aggregate sees to
// that; this package only draws).
package report
