package store

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestGaugesTellWhatWaitsAndForHowLong(t *testing.T) {
	b := newBox(t, testCaps)
	registry := prometheus.NewPedanticRegistry()
	b.registerGauges(registry)
	expect := func(age time.Duration, leased, waiting float64) {
		t.Helper()
		got := gathered(t, registry)
		require.InDelta(t, age.Seconds(), got["bridgekeeper_store_outbox_oldest_queued_age_seconds"], 0.1, "ids of other replicas may be some milliseconds ahead")
		require.Equal(t, leased, got["bridgekeeper_store_outbox_lanes leased"])
		require.Equal(t, waiting, got["bridgekeeper_store_outbox_lanes waiting"])
	}
	b.pod("pod-1").session()
	expect(0, 0, 0)

	first, second := b.met(telegram, "c1"), b.met(telegram, "c2")
	b.send(first, "hello")
	b.clock.advance(time.Minute)
	b.send(second, "hello")
	b.clock.advance(time.Minute)
	expect(2*time.Minute, 0, 2)

	b.sent(b.lease(1)[0])
	d := b.leaseOne()
	expect(time.Minute, 1, 0)
	b.sent(d)
	expect(0, 0, 0)
}

func TestGaugesOfAVolume(t *testing.T) {
	b := newBox(t, testCaps)
	registry := prometheus.NewPedanticRegistry()
	b.registerGauges(registry)
	got := gathered(t, registry)
	free, there := got["bridgekeeper_store_storage_free_bytes"]
	require.Equal(t, b.db.free != nil, there, "a database elsewhere has its own monitoring")
	if there {
		require.Positive(t, free)
		require.Greater(t, got["bridgekeeper_store_storage_size_bytes"], free)
	}
}

// gathered are values by the metric's name and its labels' values.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetGauge().GetValue()
		}
	}
	return values
}
