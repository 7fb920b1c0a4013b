package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is one metric as a process registers it.
type metric struct {
	name, kind, help string
	labels           []string
}

// recorder is a registry that remembers of what type its metrics are, which one
// cannot ask a registry before there are values.
type recorder struct {
	*prometheus.Registry

	metrics map[string]metric
	err     error
	// then, when set, is called after the next MustRegister.
	then func()
}

func newRecorder() *recorder {
	return &recorder{Registry: prometheus.NewRegistry(), metrics: map[string]metric{}}
}

// Register implements prometheus.Registerer.
func (r *recorder) Register(c prometheus.Collector) error {
	r.note(c, kindOf(c))
	return r.Registry.Register(c)
}

// MustRegister implements prometheus.Registerer.
func (r *recorder) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
	if r.then != nil {
		r.then()
	}
}

// kindOf knows the library's own types. Collectors of ours make gauges, and
// counters of what the database counts: these end in _total.
func kindOf(c prometheus.Collector) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram"
	case *prometheus.GaugeVec, prometheus.Gauge:
		return "gauge"
	case prometheus.Counter:
		return "counter"
	default:
		return "gauge"
	}
}

// note takes in what a collector describes.
func (r *recorder) note(c prometheus.Collector, kind string) {
	for _, d := range described(c) {
		m, err := parse(d)
		if err != nil {
			r.err = err
			return
		}
		m.kind = kind
		if kind == "gauge" && strings.HasSuffix(m.name, "_total") {
			m.kind = "counter"
		}
		r.metrics[m.name] = m
	}
}

func (r *recorder) list() ([]metric, error) {
	var out []metric
	for _, m := range r.metrics {
		out = append(out, m)
	}
	return out, r.err
}

// described are the descriptors of a collector; of a registry, of all that is
// registered.
func described(c prometheus.Collector) []*prometheus.Desc {
	ch := make(chan *prometheus.Desc)
	go func() {
		c.Describe(ch)
		close(ch)
	}()
	var out []*prometheus.Desc
	for d := range ch {
		out = append(out, d)
	}
	return out
}

// descriptor is how the library prints a descriptor, which hides its fields.
var descriptor = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{[^}]*\}, variableLabels: \{(.*)\}\}$`)

func parse(d *prometheus.Desc) (metric, error) {
	found := descriptor.FindStringSubmatch(d.String())
	if found == nil {
		return metric{}, fmt.Errorf("descriptor %s is not understood", d)
	}
	name, err := strconv.Unquote(found[1])
	if err != nil {
		return metric{}, err
	}
	help, err := strconv.Unquote(found[2])
	if err != nil {
		return metric{}, err
	}
	m := metric{name: name, help: help}
	if found[3] != "" {
		m.labels = strings.Split(found[3], ",")
	}
	return m, nil
}
