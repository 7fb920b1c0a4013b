package internalapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// engine answers everything with err; what it was asked is kept.
type engine struct {
	err    error
	bridge string
	ingest wire.IngestRequest
}

func (e *engine) Ingest(_ context.Context, bridge string, req wire.IngestRequest) (wire.IngestResponse, error) {
	e.bridge, e.ingest = bridge, req
	return wire.IngestResponse{}, e.err
}

func (e *engine) ReportMedia(_ context.Context, bridge, _ string, _ wire.MediaReport) error {
	e.bridge = bridge
	return e.err
}

func (e *engine) PutMedia(_ context.Context, bridge, _ string, _ int64, _ store.MediaMeta, body io.Reader) error {
	e.bridge = bridge
	_, err := io.Copy(io.Discard, body)
	return errors.Join(err, e.err)
}

func (e *engine) Session(_ context.Context, bridge string, _ wire.SessionRequest) (wire.SessionResponse, error) {
	e.bridge = bridge
	return wire.SessionResponse{}, e.err
}

func (e *engine) Lease(_ context.Context, bridge string, _ wire.LeaseRequest) (wire.LeaseResponse, error) {
	e.bridge = bridge
	return wire.LeaseResponse{}, e.err
}

func (e *engine) Report(_ context.Context, bridge string, req wire.ReportRequest) (wire.ReportResponse, error) {
	e.bridge = bridge
	return wire.ReportResponse{Accepted: make([]bool, len(req.Reports))}, e.err
}

func (e *engine) LeaseMedia(_ context.Context, bridge string, _ wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	e.bridge = bridge
	return wire.MediaLeaseResponse{}, e.err
}

func (e *engine) OpenMediaForBridge(_ context.Context, bridge, _ string) (store.MediaMeta, io.ReadCloser, error) {
	e.bridge = bridge
	if e.err != nil {
		return store.MediaMeta{}, nil, e.err
	}
	return store.MediaMeta{MimeType: "text/plain", Name: "a.txt", Size: 5}, io.NopCloser(strings.NewReader("bytes")), nil
}

// ask does a request as the holder of a certificate with this identity.
func ask(t testing.TB, api http.Handler, identity, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, body)
	if identity != "" {
		u, err := url.Parse(identity)
		require.NoError(t, err)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{u}}}}
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

var shop = wire.BridgeIdentity("shop", "default")

func TestOnlyBridgesMayCall(t *testing.T) {
	for name, test := range map[string]struct {
		identity string
		want     int
	}{
		"no certificate":       {"", http.StatusUnauthorized},
		"the operator":         {wire.OperatorIdentity, http.StatusForbidden},
		"a store":              {"spiffe://bridgekeeper/ns/shop/store/default", http.StatusForbidden},
		"another installation": {"spiffe://example.org/ns/shop/bridge/default", http.StatusForbidden},
		"a Bridge":             {shop, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{}
			w := ask(t, New(e, Options{}), test.identity, http.MethodPost, wire.PathIngest, strings.NewReader(`{}`))
			assert.Equal(t, test.want, w.Code)
			if test.want == http.StatusOK {
				assert.Equal(t, "shop/default", e.bridge)
			} else {
				assert.Empty(t, e.bridge, "the engine was asked")
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	secretText := "my card number is 4111"
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		want               int
		detail             string
	}{
		"not JSON":             {"POST", wire.PathIngest, `{"` + secretText, nil, 400, "body"},
		"empty":                {"POST", wire.PathIngest, ``, nil, 400, "ends too early"},
		"wrong type":           {"POST", wire.PathIngest, `{"envelopes":"` + secretText + `"}`, nil, 400, "envelopes"},
		"two values":           {"POST", wire.PathIngest, `{}{}`, nil, 400, "more than one"},
		"too large":            {"POST", wire.PathIngest, `{"x":"` + strings.Repeat("x", maxJSON) + `"}`, nil, 413, "larger"},
		"unknown path":         {"POST", "/internal/v2/ingest", `{}`, nil, 404, "newer"},
		"wrong method":         {"GET", wire.PathIngest, ``, nil, 404, ""},
		"media without lease":  {"PUT", wire.PathMedia + "m", `x`, nil, 400, wire.HeaderLease},
		"media with bad lease": {"PUT", wire.PathMedia + "m", `x`, []string{wire.HeaderLease, "x"}, 400, wire.HeaderLease},
		"bad media report":     {"POST", wire.PathMedia + "m/report", `[]`, nil, 400, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, New(&engine{}, Options{}), shop, test.method, test.path, strings.NewReader(test.body), test.headers...)
			require.Equal(t, test.want, w.Code, w.Body)
			assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			var p wire.Problem
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			assert.Equal(t, test.want, p.Status)
			assert.Contains(t, p.Detail, test.detail)
			assert.NotContains(t, w.Body.String(), secretText)
		})
	}
}

func TestMediaLargerThanAllowed(t *testing.T) {
	api := New(&engine{}, Options{})
	r := httptest.NewRequest(http.MethodPut, wire.PathMedia+"m", strings.NewReader("x"))
	r.ContentLength = MaxMedia + 1
	r.Header.Set(wire.HeaderLease, "1")
	u, err := url.Parse(shop)
	require.NoError(t, err)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{u}}}}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
}

func TestErrorsOfTheEngine(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"other bridge's channel": {fmt.Errorf("channel other/x: %w", store.ErrForbidden), 403},
		"unknown":                {fmt.Errorf("media: %w", store.ErrNotFound), 404},
		"stale":                  {fmt.Errorf("session: %w", store.ErrConflict), 409},
		"field":                  {fmt.Errorf("ingest: %w", &store.FieldError{Field: "envelopes[0].platform", Message: "is missing"}), 422},
		"not committed":          {fmt.Errorf("disk: %w", store.ErrUnavailable), 503},
		"too slow":               {context.DeadlineExceeded, 503},
		"mistake":                {errors.New("nil map"), 500},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			w := ask(t, New(&engine{err: test.err}, Options{Registerer: registry}), shop, http.MethodPost, wire.PathIngest, strings.NewReader(`{}`))
			assert.Equal(t, test.want, w.Code)
			assert.Equal(t, test.want == 503, w.Header().Get("Retry-After") != "")
			assert.NotContains(t, w.Body.String(), "nil map")
			count, err := testutil.GatherAndCount(registry, "bridgekeeper_store_internal_requests_total")
			require.NoError(t, err)
			assert.Equal(t, 1, count)
		})
	}
}

func TestNewerBridgesMaySayMore(t *testing.T) {
	e := &engine{}
	w := ask(t, New(e, Options{}), shop, http.MethodPost, wire.PathIngest, strings.NewReader(`{"envelopes":[{"platform":"telegram","new":1}],"more":{}}`))
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "telegram", e.ingest.Envelopes[0].Platform)
}

func FuzzRequests(f *testing.F) {
	f.Add("POST", wire.PathIngest, []byte(`{"envelopes":[{"elements":[{"event":{"message":{"type":"text"}}}]}]}`), "1")
	f.Add("POST", wire.PathMedia+"x/report", []byte(`{"lease":1,"gone":true}`), "")
	f.Add("PUT", wire.PathMedia+"%2F", []byte("bytes"), "-1")
	f.Add("GET", wire.PathMedia+"m", []byte(nil), "")
	f.Add("POST", wire.PathSession, []byte(`{"instance":"pod-1","revision":1,"accepted":["shop/a"]}`), "")
	f.Add("POST", wire.PathLease, []byte(`{"instance":"pod-1","max":10,"wait":-1,"paused":[""]}`), "")
	f.Add("POST", wire.PathReport, []byte(`{"instance":"pod-1","reports":[{"delivery":"m","part":-1,"outcome":"sending","hold":-1}]}`), "")
	f.Add("POST", wire.PathMediaLease, []byte(`{"instance":"pod-1","max":1e9}`), "")
	api := New(&engine{}, Options{})
	f.Fuzz(func(t *testing.T, method, path string, body []byte, lease string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") {
			return // no request that a server could get
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{wire.HeaderLease: {lease}}, Body: io.NopCloser(strings.NewReader(string(body))), ContentLength: -1}
		id, _ := url.Parse(shop)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{id}}}}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code >= 500 {
			t.Fatalf("%s %s: %d", method, path, w.Code)
		}
	})
}
