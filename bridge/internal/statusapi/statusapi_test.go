package statusapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func duty(state document.DutyState) document.ChannelStatus {
	return document.ChannelStatus{Hash: "h", Webhook: &document.Duty{State: state}}
}

func TestTableIsSilentAtRest(t *testing.T) {
	table := NewTable()
	table.Set("Channel/shop/a", duty(document.DutyDone))
	first := table.Snapshot("", 0)
	assert.True(t, first.Full)
	require.Len(t, first.Channels, 1)

	table.Set("Channel/shop/a", duty(document.DutyDone)) // an equal row, another pointer
	again := table.Snapshot(first.Instance, first.Revision)
	assert.Equal(t, Delta{Instance: first.Instance, Revision: first.Revision}, again)
}

func TestTableDeltaAndRemoval(t *testing.T) {
	table := NewTable()
	table.Set("Channel/shop/a", duty(document.DutyDone))
	table.Set("Channel/shop/b", duty(document.DutyDone))
	known := table.Snapshot("", 0)

	table.Set("Channel/shop/b", duty(document.DutyFailed))
	table.Remove("Channel/shop/a")
	table.Remove("Channel/shop/a")
	table.Remove("Channel/shop/never")
	delta := table.Snapshot(known.Instance, known.Revision)
	assert.False(t, delta.Full)
	require.Len(t, delta.Channels, 2)
	assert.Equal(t, document.DutyFailed, delta.Channels[0].Webhook.State)
	assert.Equal(t, document.ChannelStatus{Entry: "Channel/shop/a", Gone: true}, delta.Channels[1])

	full := table.Snapshot("another instance", delta.Revision)
	assert.True(t, full.Full)
	require.Len(t, full.Channels, 1, "what is gone is not told to who never knew it")
}

func TestTableFutureRevisionIsFull(t *testing.T) {
	table := NewTable()
	assert.True(t, table.Snapshot(table.Instance(), 7).Full)
}

func TestTableForgetsOldRemovals(t *testing.T) {
	table := NewTable()
	table.Set("Channel/shop/stays", duty(document.DutyDone))
	known := table.Snapshot("", 0)
	for i := range maxGone + 1 {
		entry := fmt.Sprintf("Channel/shop/c%d", i)
		table.Set(entry, duty(document.DutyDone))
		table.Remove(entry)
	}
	assert.Len(t, table.rows, 1)
	delta := table.Snapshot(known.Instance, known.Revision)
	assert.True(t, delta.Full, "the removals that were forgotten cannot be told as a delta")
	assert.Len(t, delta.Channels, 1)
}

func TestTableKeepsItsOwnCopy(t *testing.T) {
	table := NewTable()
	mine := duty(document.DutyDone)
	table.Set("Channel/shop/a", mine)
	mine.Webhook.State = document.DutyFailed
	assert.Equal(t, document.DutyDone, table.Snapshot("", 0).Channels[0].Webhook.State)
}

// A caller that applies deltas, at whatever times, ends with what a full
// answer says.
func TestDeltasAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, view := NewTable(), map[string]document.ChannelStatus{}
		instance, revision := "", int64(0)
		ask := func() {
			d := table.Snapshot(instance, revision)
			if d.Full {
				clear(view)
			}
			for _, c := range d.Channels {
				if c.Gone {
					delete(view, c.Entry)
				} else {
					view[c.Entry] = c
				}
			}
			instance, revision = d.Instance, d.Revision
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			entry := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "entry")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0, 1:
				table.Set(entry, duty(rapid.SampledFrom([]document.DutyState{document.DutyDone, document.DutyFailed}).Draw(t, "state")))
			case 2:
				table.Remove(entry)
			case 3:
				ask()
			}
		}
		ask()
		want := map[string]document.ChannelStatus{}
		for _, c := range table.Snapshot("", 0).Channels {
			want[c.Entry] = c
		}
		assert.Equal(t, want, view)
	})
}

func as(t *testing.T, r *http.Request, identity string) *http.Request {
	t.Helper()
	u, err := url.Parse(identity)
	require.NoError(t, err)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{u}}}}
	return r
}

func TestHandler(t *testing.T) {
	table := NewTable()
	table.Set("Channel/shop/a", duty(document.DutyRetrying))
	h := Handler(table, func(context.Context) document.Status {
		return document.Status{Kind: document.KindStore, Name: "shop/default", Hash: "abc"}
	})
	get := func(query string) document.Status {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, as(t, httptest.NewRequest(http.MethodGet, Path+query, nil), wire.OperatorIdentity))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		var s document.Status
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s))
		return s
	}
	first := get("")
	assert.True(t, first.Full)
	assert.Len(t, first.Channels, 1)
	assert.Equal(t, []int{document.SchemaVersion}, first.SchemaVersions)
	second := get(fmt.Sprintf("?instance=%s&after=%d", first.Instance, first.Revision))
	assert.False(t, second.Full)
	assert.Empty(t, second.Channels)
	assert.Equal(t, "abc", second.Hash)
}

func TestHandlerRefuses(t *testing.T) {
	h := Handler(NewTable(), func(context.Context) document.Status { return document.Status{} })
	for name, test := range map[string]struct {
		request *http.Request
		want    int
	}{
		"no certificate": {httptest.NewRequest(http.MethodGet, Path, nil), http.StatusUnauthorized},
		"a bridge":       {as(t, httptest.NewRequest(http.MethodGet, Path, nil), wire.BridgeIdentity("shop", "default")), http.StatusForbidden},
		"a stranger":     {as(t, httptest.NewRequest(http.MethodGet, Path, nil), "spiffe://cluster.local/ns/x/sa/y"), http.StatusForbidden},
		"a write":        {as(t, httptest.NewRequest(http.MethodPost, Path, nil), wire.OperatorIdentity), http.StatusMethodNotAllowed},
		"bad revision":   {as(t, httptest.NewRequest(http.MethodGet, Path+"?after=x", nil), wire.OperatorIdentity), http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, test.request)
			assert.Equal(t, test.want, w.Code)
			assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		})
	}
}
