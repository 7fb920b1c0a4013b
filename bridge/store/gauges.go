package store

import (
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// gauges are read from the database when somebody looks, over indexes that hold
// just what is counted. Every replica of a store on PostgreSQL tells the same.
type gauges struct {
	store                   *Store
	lanes, oldest, overdue  *prometheus.Desc
	storageFree, storageAll *prometheus.Desc
}

// selectOverdue is since when the longest waiting lane could have been served. It
// leaves out what waits as it should: a channel without a Bridge (suspended, or
// not in force), one whose breaker is open or that the platform asked to pause,
// and lanes whose retry or rate is still to come, which are due later than now. A
// channel's first lane is the first of an index, however many wait behind it.
const selectOverdue = `SELECT COALESCE(MIN((SELECT MIN(l.due_at) FROM lanes l WHERE l.channel = c.channel AND l.due_at > 0)), 0)
	FROM outbox_channels c WHERE c.bridge <> '' AND c.due_at > 0 AND c.refused = '' AND c.paused_until <= ?`

// registerGauges hangs the gauges into reg; nil: there are none.
func (s *Store) registerGauges(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	reg.MustRegister(&gauges{
		store: s,
		lanes: prometheus.NewDesc("bridgekeeper_store_outbox_lanes",
			"Lanes (a channel and a contact) with something to send: leased to a bridge, or waiting for their turn, a rate or a retry.", []string{"state"}, nil),
		oldest: prometheus.NewDesc("bridgekeeper_store_outbox_oldest_queued_age_seconds",
			"How long the oldest message has waited to be sent, for whatever reason; 0 when none waits.", nil, nil),
		overdue: prometheus.NewDesc("bridgekeeper_store_outbox_overdue_seconds",
			"For how long something could have been sent, and was not: beyond its retries and rates, and on no channel that is suspended or that the platform holds up; 0: nothing.", nil, nil),
		storageFree: prometheus.NewDesc("bridgekeeper_store_storage_free_bytes",
			"Room left for the database, where it is on a volume of the store's own.", nil, nil),
		storageAll: prometheus.NewDesc("bridgekeeper_store_storage_size_bytes",
			"Size of the database's volume, where it is on one of the store's own.", nil, nil),
	})
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.lanes, g.oldest, g.overdue, g.storageFree, g.storageAll} {
		out <- d
	}
}

// Collect implements prometheus.Collector. What cannot be read is left out of
// this scrape: a number that is made up would look like an answer.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for state, query := range map[string]string{
		"leased":  `SELECT COUNT(*) FROM lanes WHERE lease_until > 0`,
		"waiting": `SELECT COUNT(*) FROM lanes WHERE due_at > 0`,
	} {
		var n int64
		if _, err := one(background, g.store.read, []any{&n}, query); err == nil {
			gauge(g.lanes, float64(n), state)
		}
	}
	// The id of a message is a ULID of the moment when it was queued.
	var oldest string
	if _, err := one(background, g.store.read, []any{&oldest}, `SELECT COALESCE(MIN(message), '') FROM deliveries WHERE state = 'queued'`); err == nil {
		gauge(g.oldest, g.age(oldest))
	}
	now := g.store.now()
	var due int64
	switch found, err := one(background, g.store.read, []any{&due}, selectOverdue, ms(now)); {
	case err != nil:
	case !found, due == 0:
		gauge(g.overdue, 0)
	default:
		gauge(g.overdue, max(0, now.Sub(fromMS(due)).Seconds()))
	}
	if g.store.db.free != nil {
		if free, total, err := g.store.db.free(); err == nil {
			gauge(g.storageFree, float64(free))
			gauge(g.storageAll, float64(total))
		}
	}
}

// age of an id in seconds; 0 of none.
func (g *gauges) age(id string) float64 {
	parsed, err := ulid.ParseStrict(id)
	if err != nil {
		return 0
	}
	return max(0, g.store.now().Sub(parsed.Timestamp()).Seconds())
}
