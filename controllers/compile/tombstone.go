package compile

import (
	"cmp"
	"encoding/json"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// removal reads from the previous document what it takes to undo the platform
// side of a Channel: its tombstone, or its entry if that had a webhook or has a
// former one that may still stand.
func (br *bridgeState) removal(ch *v1alpha1.Channel) (document.Tombstone, bool) {
	name := keyOf(ch).String()
	var t document.Tombstone
	if e := br.before.get(document.EntryTombstone, name); e != nil {
		err := json.Unmarshal(e.Spec, &t)
		return t, err == nil && t.UID == string(ch.UID)
	}
	e := br.before.get(document.EntryChannel, name)
	if e == nil {
		return t, false
	}
	before := decodeChannel(e)
	if before == nil || before.UID != string(ch.UID) {
		return t, false
	}
	// Where both are there, the new one may not be registered yet.
	url := cmp.Or(before.FormerWebhookURL, before.WebhookURL)
	if url == "" {
		return t, false
	}
	return document.Tombstone{
		UID:         before.UID,
		Platform:    before.Platform,
		Account:     before.Account,
		App:         before.App,
		WebhookURL:  url,
		Credentials: before.Credentials,
	}, true
}

func (br *bridgeState) owesRemoval(ch *v1alpha1.Channel) bool {
	_, ok := br.removal(ch)
	return ok
}

// deleting is a Channel that is being deleted. Its Secret is often deleted with
// it, so the tombstone goes on with the credentials of the previous document
// unless the Secret still has usable ones.
func (c *compiler) deleting(ch *v1alpha1.Channel) *ChannelResult {
	in := c.channelInput(ch)
	result := &ChannelResult{Account: in.account, Receive: in.receive}
	var store *storeState
	if in.ref.usable() {
		result.Bridge, store = in.ref.key, in.bridge.store
	}
	if br := c.tombstones[in.key]; br != nil {
		t, _ := br.removal(ch)
		if in.known && in.unusable == nil {
			t.Credentials = in.credentials
		}
		t.LastOfApp = t.App != "" && !c.served[servedApp{br.key, appOf(ch)}]
		entry := mustEntry(document.EntryTombstone, in.key.String(), ch.Generation, t)
		br.entries = append(br.entries, entry)
		br.result.Tombstones++
		result.Entry, result.Bridge, result.WebhookURL, store = &entry, br.key, t.WebhookURL, br.store
	}
	if store != nil && (result.Tombstone() || servedBefore(store, in)) {
		result.Store = store.key
		spec := storeChannel(in, result.Bridge)
		spec.Deleting = true
		store.add(document.EntryChannel, in.key.String(), ch.Generation, spec)
	}
	return result
}

// servedBefore says whether the store knows the channel.
func servedBefore(st *storeState, in *channelInput) bool {
	e := st.before.get(document.EntryChannel, in.key.String())
	if e == nil {
		return false
	}
	var before document.StoreChannel
	return json.Unmarshal(e.Spec, &before) == nil && before.UID == in.uid
}
