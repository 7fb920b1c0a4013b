package storeserver

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/hack/volume"
)

// A volume that is full refuses every write with 503, on both APIs, and says
// StorageLow; reading goes on, the pod stays Ready (a restart mends nothing),
// and once the volume grows the process goes on by itself.
func TestFullVolume(t *testing.T) {
	r := newRig(t)
	disk := volume.Mount(t, r.data, "4m", os.Getuid())
	r.load(1, r.usualTokens()...)
	r.start()
	r.awaitReady()
	defer r.end()
	shop := r.bridge("shop")
	_, err := shop.Ingest(t.Context(), inbound("shop/telegram", "before", "before"))
	require.NoError(t, err)
	refused := ""
	for i := 0; i < 500 && refused == ""; i++ { // 4 MiB are full after some 100 of them
		id := fmt.Sprintf("m%d", i)
		if _, err = shop.Ingest(t.Context(), inbound("shop/telegram", id, strings.Repeat("x", 20_000))); err != nil {
			refused = id
		}
	}
	require.ErrorIs(t, err, storeclient.ErrUnavailable)
	require.ErrorContains(t, err, "503")

	var conversations rest.Page[rest.Conversation]
	require.Equal(t, http.StatusOK, r.call("desk-token", "GET", "/v1/conversations", "", &conversations), "reading goes on")
	require.Len(t, conversations.Items, 1)
	var problem wire.Problem
	reply := "/v1/conversations/" + conversations.Items[0].ID + "/messages"
	assert.Equal(t, http.StatusServiceUnavailable, r.call("desk-token", "POST", reply, `{"text":"`+strings.Repeat("x", 4000)+`"}`, &problem))
	assert.Equal(t, http.StatusServiceUnavailable, problem.Status)
	assert.Equal(t, http.StatusServiceUnavailable,
		r.call("desk-token", "POST", "/v1/media?namespace=shop", strings.Repeat("x", 8<<20), nil, "Content-Type", "image/png"))

	assert.Equal(t, []string{"StorageLow"}, r.warnings(false))
	code, _ := r.get(r.health + "/readyz")
	assert.Equal(t, http.StatusOK, code)

	require.NoError(t, disk.Resize("256m"))
	answer, err := shop.Ingest(t.Context(), inbound("shop/telegram", refused, "again"))
	require.NoError(t, err)
	assert.Equal(t, wire.ResultStored, answer.Envelopes[0].Elements[0].Result, "what was refused left nothing behind")
	assert.Equal(t, http.StatusCreated, r.call("desk-token", "POST", reply, `{"text":"Hello Ana"}`, nil))
	assert.Empty(t, r.warnings(true))
}

// warnings are what /status tells the operator of the database.
func (r *rig) warnings(ok bool) (reasons []string) {
	r.t.Helper()
	code, status := r.status(wire.OperatorIdentity, "")
	require.Equal(r.t, http.StatusOK, code)
	assert.Equal(r.t, document.KindStore, status.Kind)
	assert.Equal(r.t, ok, status.Store.OK, status.Store.Message)
	for _, w := range status.Store.Warnings {
		reasons = append(reasons, w.Reason)
	}
	return reasons
}
