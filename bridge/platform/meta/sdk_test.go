package meta_test

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/huandu/facebook/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
	sim "github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

// testdata/signatures.json was made with the npm package x-hub-signature 2.1.3
// (new XHubSignature("sha256", secret).sign(body)); its first entry is also the
// vector of the platforms' fact sheets.
func TestSignaturesAreThoseOfAPublicLibrary(t *testing.T) {
	raw, err := os.ReadFile("testdata/signatures.json")
	require.NoError(t, err)
	var vectors []struct{ Secret, Body, Signature string }
	require.NoError(t, json.Unmarshal(raw, &vectors))
	require.Len(t, vectors, 12)
	assert.Equal(t, "sha256=84cc33df716ed0b0598f07437c94069ace3730358778a592bd6bbd1423d111f3", vectors[0].Signature)
	w := newWorld(t)
	for _, v := range vectors {
		assert.Equal(t, v.Signature, meta.Sign(v.Secret, []byte(v.Body)))
		l := w.page("")
		spec := pageSpec(pageID, "page-token", "")
		spec.Credentials[meta.KeyAppSecret] = v.Secret
		l = w.load(l.Platform, spec, nil)
		request := platform.Request{Method: http.MethodPost, Header: http.Header{"X-Hub-Signature-256": {v.Signature}}, Body: []byte(v.Body)}
		assert.True(t, l.Verify(l.ch, request, time.Now()))
		request.Body = append(request.Body, ' ')
		assert.False(t, l.Verify(l.ch, request, time.Now()))
	}
}

// A public SDK for Go and this package are one to an app that requires proofs:
// what the one sends the simulator accepts from the other.
func TestAPublicSDKIsAcceptedWhereWeAre(t *testing.T) {
	w := newWorld(t)
	session := facebook.New(appID, "app-secret").Session("page-token")
	session.BaseURL, session.Version = w.api.URL+"/", "v25.0"
	require.NoError(t, session.EnableAppsecretProof(true))
	result, err := session.Get("/me", facebook.Params{"fields": "id,name"})
	require.NoError(t, err)
	assert.Equal(t, pageID, result.GetField("id"))

	_, err = w.Person(pageID, personOf(pageID)).Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	_, err = session.Post("/me/messages", facebook.Params{"recipient": map[string]string{"id": personOf(pageID)}, "message": map[string]string{"text": "from the SDK"}, "messaging_type": "RESPONSE"})
	require.NoError(t, err)
	l := w.page("")
	_, err = l.Probe(ctx, l.ch)
	require.NoError(t, err)
	for _, c := range w.Calls("/me", 0) {
		assert.True(t, c.Proof)
	}
	wrong := facebook.New(appID, "not-the-secret").Session("page-token")
	wrong.BaseURL, wrong.Version = session.BaseURL, session.Version
	require.NoError(t, wrong.EnableAppsecretProof(true))
	_, err = wrong.Get("/me", nil)
	require.ErrorContains(t, err, "appsecret_proof")
}
