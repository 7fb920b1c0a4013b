package store

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
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

// What waits for a full mailbox, a suspended channel or an open breaker waits as
// it should, and must not hide that something else is not sent.
func TestOverdueIsWhatCouldHaveBeenSent(t *testing.T) {
	b := newBox(t, testCaps)
	registry := prometheus.NewPedanticRegistry()
	b.registerGauges(registry)
	overdue := func(want time.Duration, why string) {
		t.Helper()
		require.InDelta(t, want.Seconds(), gathered(t, registry)["bridgekeeper_store_outbox_overdue_seconds"], 0.1, why)
	}
	suspend := func(suspended bool) {
		b.load(append(testEntries(t), b.channel("shop/a", func(c *document.StoreChannel) { c.Suspended = suspended }))...)
	}
	suspend(false)
	overdue(0, "nothing is to be sent")
	b.send(b.met("shop/a", "c1"), "hello")
	b.clock.advance(time.Hour)
	overdue(time.Hour, "no bridge asks for it")
	suspend(true)
	overdue(0, "its channel is suspended")

	full := b.send(b.met(telegram, "c2"), "hello")
	d := b.leaseOne()
	require.Equal(t, full, d.ID)
	report := func(d wire.Delivery, class wire.ErrorClass, scope wire.RateScope, after time.Duration) {
		t.Helper()
		retry := of(d, 0, wire.OutcomeRetry)
		retry.Class, retry.Scope, retry.RetryAfter = class, scope, after
		require.Equal(t, []bool{true}, b.report(of(d, 0, wire.OutcomeSending)))
		require.Equal(t, []bool{true}, b.report(retry))
	}
	report(d, wire.ErrRetryable, "", time.Hour)
	b.clock.advance(50 * time.Minute)
	overdue(0, "the contact's mailbox is full, and its retry is still to come")
	b.clock.advance(20 * time.Minute)
	overdue(10*time.Minute, "nobody tried again")
	report(b.leaseOne(), wire.ErrRateLimited, wire.ScopeChannel, 12*time.Hour)
	b.send(b.met(telegram, "c3"), "hello")
	b.clock.advance(time.Hour)
	overdue(0, "the platform asked the channel to wait")
	require.Greater(t, gathered(t, registry)["bridgekeeper_store_outbox_oldest_queued_age_seconds"], time.Hour.Seconds(), "they wait, all the same")
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
