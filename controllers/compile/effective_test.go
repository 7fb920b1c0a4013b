package compile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

func TestEffectiveChannel(t *testing.T) {
	for name, tc := range map[string]struct {
		facts platform.Capabilities
		spec  func(*v1alpha1.ChannelSpec)
		store *metav1.Duration
		want  v1alpha1.EffectiveChannel
	}{
		"nothing is said": {
			want: v1alpha1.EffectiveChannel{InboundPerSecond: 300, OutboundPerSecond: "unlimited", MaxMediaBytes: 64 << 20, Overlap: "24h0m0s", ReopenWindow: "24h0m0s"},
		},
		"the platform's": {
			facts: platform.Capabilities{RatePerSec: 30, MaxMedia: 20 << 20},
			want:  v1alpha1.EffectiveChannel{InboundPerSecond: 300, OutboundPerSecond: "30", MaxMediaBytes: 20 << 20, Overlap: "24h0m0s", ReopenWindow: "24h0m0s"},
		},
		"a slow platform": { // 15 in 15 minutes
			facts: platform.Capabilities{RatePerSec: 1.0 / 60},
			want:  v1alpha1.EffectiveChannel{InboundPerSecond: 300, OutboundPerSecond: "0.0167", MaxMediaBytes: 64 << 20, Overlap: "24h0m0s", ReopenWindow: "24h0m0s"},
		},
		"the Channel's": {
			facts: platform.Capabilities{RatePerSec: 30, MaxMedia: 20 << 20},
			spec: func(s *v1alpha1.ChannelSpec) {
				s.Limits = &v1alpha1.ChannelLimits{InboundPerSecond: 7, OutboundPerSecond: 1000, MaxMediaBytes: 1 << 20}
				s.Credentials.Overlap, s.ReopenWindow = hours(0), hours(2)
			},
			store: hours(3),
			want:  v1alpha1.EffectiveChannel{InboundPerSecond: 7, OutboundPerSecond: "1000", MaxMediaBytes: 1 << 20, Overlap: "0s", ReopenWindow: "2h0m0s"},
		},
		"no media beyond the platform's": {
			facts: platform.Capabilities{MaxMedia: 20 << 20},
			spec:  func(s *v1alpha1.ChannelSpec) { s.Limits = &v1alpha1.ChannelLimits{MaxMediaBytes: 30 << 20} },
			want:  v1alpha1.EffectiveChannel{InboundPerSecond: 300, OutboundPerSecond: "unlimited", MaxMediaBytes: 20 << 20, Overlap: "24h0m0s", ReopenWindow: "24h0m0s"},
		},
		"the store's": {
			store: &metav1.Duration{Duration: 90 * time.Minute},
			want:  v1alpha1.EffectiveChannel{InboundPerSecond: 300, OutboundPerSecond: "unlimited", MaxMediaBytes: 64 << 20, Overlap: "24h0m0s", ReopenWindow: "1h30m0s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			known := w.opts.Platforms
			w.opts.Platforms = func(name string) (platform.Capabilities, bool) {
				facts, ok := known(name)
				facts.RatePerSec, facts.MaxMedia = tc.facts.RatePerSec, tc.facts.MaxMedia
				return facts, ok
			}
			if tc.spec != nil {
				tc.spec(&w.Channels[0].Spec)
			}
			w.Stores[0].Spec.ReopenWindow = tc.store
			require.Equal(t, &tc.want, w.compile().Channels[shopBot].Effective)
		})
	}
}

// What is in force is told, not what a mistake asks for.
func TestEffectiveOfMistakes(t *testing.T) {
	w := newWorld(t)
	w.Stores[0].Spec.ReopenWindow = hours(5)
	w.write()
	w.Stores[0].Spec.ReopenWindow = hours(-1)
	require.Equal(t, "5h0m0s", w.compile().Channels[shopBot].Effective.ReopenWindow, "the store's last good one")

	w.Channels[0].Spec.ReopenWindow = hours(-1)
	require.Nil(t, w.compile().Channels[shopBot].Effective, "status keeps what it had")

	w = newWorld(t)
	w.Stores, w.opts.CreateDefaults = nil, false
	require.Empty(t, w.compile().Channels[shopBot].Effective.ReopenWindow, "no store, no window")
}

// A pod that starts after a take-over must know that the webhook was ours, even
// if no status ever said so.
func TestRegisteredIsRememberedByThePodsWord(t *testing.T) {
	done := document.Duty{State: document.DutyDone}
	failed := func(reason string) document.Duty {
		return document.Duty{State: document.DutyFailed, Reason: reason}
	}
	for name, tc := range map[string]struct {
		duty document.Duty
		want bool
	}{
		"registered":                           {done, true},
		"taken over before anybody looked":     {failed(v1alpha1.ReasonTakenOver), true},
		"registered, but it does not get here": {document.Duty{State: document.DutyRetrying, Reason: v1alpha1.ReasonNotDelivered}, true},
		"not tried":                            {document.Duty{State: document.DutyPending}, false},
		"no answer":                            {document.Duty{State: document.DutyRetrying, Reason: v1alpha1.ReasonUnreachable}, false},
		"refused":                              {failed(v1alpha1.ReasonAuthInvalid), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write()
			w.serve()
			w.write() // RegisterWebhook: all pods have loaded it
			w.serve()
			w.says(shopBot, tc.duty)
			r := w.write()
			require.Equal(t, tc.want, entry(t, r, shopBot).Registered)

			w.Fleets = nil // the pod is gone, its word is not
			again := w.write()
			require.Equal(t, r.Channels[shopBot].Entry, again.Channels[shopBot].Entry)

			w.Bridges[0].Spec.PublicURL = "https://elsewhere.example.com"
			require.False(t, entry(t, w.compile(), shopBot).Registered, "another URL was never registered")
		})
	}
}

func TestRegisteredIsNotTakenFromAnotherURL(t *testing.T) {
	w := newWorld(t)
	w.write()
	w.serve()
	w.says(shopBot, document.Duty{State: document.DutyDone})
	w.Bridges[0].Spec.PublicURL = "https://elsewhere.example.com"
	require.False(t, entry(t, w.compile(), shopBot).Registered)
}
