package document

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What routing puts into a document comes out of the files as it went in.
func TestRoutingEntriesAreReadAsTheyWereWritten(t *testing.T) {
	until := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	hook := Webhook{URL: "https://router.example", Secret: "whsec_new", Timeout: Duration(2 * time.Second), IncludeText: true,
		PreviousSecret: &PreviousSecret{Value: "whsec_old", Until: until}}
	specs := map[EntryKind]any{
		EntrySchedule:       map[string]any{"timeZone": "Europe/Berlin"},
		EntryAgentQueue:     map[string]any{"name": "shop/general"},
		EntryRoutingPolicy:  map[string]any{"name": "shop/inbound"},
		EntryWebhook:        hook,
		EntrySurveyCampaign: map[string]any{"type": "NPS"},
		EntryBot: Bot{Webhook: &hook, Handover: BotHandover{
			Keywords: map[string][]string{"en": {"agent"}}, Text: map[string]string{"en": "One moment."}, DefaultLanguage: "en", MaxTurns: 3,
		}},
		EntryChannel: StoreChannel{Platform: "telegram", Account: "1", Policies: []string{"shop/vip", "shop/inbound"}},
	}
	doc := &Document{Kind: KindStore, Name: "shop/default", Settings: json.RawMessage(`{"retention":{},"reopenWindow":"24h0m0s","allowPrivateHosts":true}`)}
	for kind, spec := range specs {
		e, err := NewEntry(kind, "shop/one", 1, spec)
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	got, exceptions, err := Decode(encode(t, doc, 2))
	require.NoError(t, err)
	require.Empty(t, exceptions)
	for kind, spec := range specs {
		e, found := got.Find(kind, "shop/one")
		require.True(t, found, kind)
		want, err := json.Marshal(spec)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(e.Spec))
	}
	e, _ := got.Find(EntryWebhook, "shop/one")
	var read Webhook
	require.NoError(t, json.Unmarshal(e.Spec, &read))
	require.Equal(t, hook, read)
	var settings StoreSettings
	require.NoError(t, json.Unmarshal(got.Settings, &settings))
	require.True(t, settings.AllowPrivateHosts)
}

// Find compares kinds and names one after the other, which gives the order of
// Keys as long as no kind is the beginning of another.
func TestNoKindIsTheBeginningOfAnother(t *testing.T) {
	kinds := []EntryKind{EntryChannel, EntryTombstone, EntryBridge, EntryToken, EntrySchedule, EntryAgentQueue, EntryBot, EntryRoutingPolicy, EntryWebhook, EntrySurveyCampaign}
	for _, a := range kinds {
		for _, b := range kinds {
			require.False(t, a != b && len(a) < len(b) && b[:len(a)] == a, "%s and %s", a, b)
		}
	}
}

// What a channel without policies says is byte for byte what it said before
// there were any: no store takes in anything new on an upgrade.
func TestAChannelWithoutPoliciesIsAsBefore(t *testing.T) {
	raw, err := json.Marshal(StoreChannel{Platform: "telegram", Account: "1"})
	require.NoError(t, err)
	require.NotContains(t, string(raw), "policies")
}
