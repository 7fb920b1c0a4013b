package storeclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/internalapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is a store.Internal that keeps media, echoes what it was asked, and
// fails when err is set. The real one is tested behind the same client in
// package storeserver.
type engine struct {
	store.Internal
	mu     sync.Mutex
	bridge string
	err    error
	waits  chan struct{} // gets a value when a lease begins to wait
	media  map[string][]byte
	meta   store.MediaMeta
	report wire.MediaReport
}

func (e *engine) called(bridge string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bridge = bridge
	return e.err
}

func (e *engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *engine) Ingest(_ context.Context, bridge string, req wire.IngestRequest) (wire.IngestResponse, error) {
	var answer wire.IngestResponse
	for _, env := range req.Envelopes {
		var result wire.EnvelopeResult
		for _, el := range env.Elements {
			result.Elements = append(result.Elements, wire.ElementResult{Result: wire.ResultStored, ID: el.Event.Message.Text})
		}
		answer.Envelopes = append(answer.Envelopes, result)
	}
	return answer, e.called(bridge)
}

func (e *engine) Session(_ context.Context, bridge string, req wire.SessionRequest) (wire.SessionResponse, error) {
	return wire.SessionResponse{TTL: time.Minute, Revision: req.Revision + 1}, e.called(bridge)
}

func (e *engine) Lease(ctx context.Context, bridge string, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	if req.Wait > 0 {
		e.waits <- struct{}{}
		select {
		case <-ctx.Done():
			return wire.LeaseResponse{}, ctx.Err()
		case <-time.After(req.Wait):
		}
	}
	return wire.LeaseResponse{Deliveries: []wire.Delivery{{ID: "d", Expires: time.Second}}}, e.called(bridge)
}

func (e *engine) Report(_ context.Context, bridge string, req wire.ReportRequest) (wire.ReportResponse, error) {
	return wire.ReportResponse{Accepted: make([]bool, len(req.Reports))}, e.called(bridge)
}

func (e *engine) LeaseMedia(_ context.Context, bridge string, _ wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	return wire.MediaLeaseResponse{Jobs: []wire.MediaJob{{ID: "m", Lease: 4}}}, e.called(bridge)
}

func (e *engine) PutMedia(_ context.Context, bridge, id string, lease int64, meta store.MediaMeta, body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if lease != 4 {
		return fmt.Errorf("media %s: lease is over: %w", id, store.ErrConflict)
	}
	e.mu.Lock()
	e.media, e.meta = map[string][]byte{id: data}, meta
	e.mu.Unlock()
	return e.called(bridge)
}

func (e *engine) ReportMedia(_ context.Context, bridge, _ string, report wire.MediaReport) error {
	e.mu.Lock()
	e.report = report
	e.mu.Unlock()
	return e.called(bridge)
}

func (e *engine) OpenMediaForBridge(_ context.Context, bridge, id string) (store.MediaMeta, io.ReadCloser, error) {
	if err := e.called(bridge); err != nil {
		return store.MediaMeta{}, nil, err
	}
	data, ok := e.media[id]
	if !ok {
		return store.MediaMeta{}, nil, store.ErrNotFound
	}
	return e.meta, io.NopCloser(strings.NewReader(string(data))), nil
}

// rig is an engine behind the internal API, and a client of Bridge shop/default.
type rig struct {
	ca     *testpki.Authority
	engine *engine
	api    *internalapi.API
	client *storeclient.Client
	url    string

	serverDir, clientDir     string
	serverFiles, clientFiles *tlsfiles.Files
}

func newRig(t *testing.T) *rig { return newRigWithin(t, time.Minute) }

// newRigWithin is a server that gives each request writeTimeout.
func newRigWithin(t *testing.T, writeTimeout time.Duration) *rig {
	t.Helper()
	r := &rig{ca: testpki.NewAuthority(t), engine: &engine{waits: make(chan struct{}, 1)}}
	r.api = internalapi.New(r.engine, internalapi.Options{})
	r.serverDir, r.clientDir = r.ca.Folder(t, ""), r.ca.Folder(t, wire.BridgeIdentity("shop", "default"))
	var err error
	r.serverFiles, err = tlsfiles.Open(r.serverDir)
	require.NoError(t, err)
	r.clientFiles, err = tlsfiles.Open(r.clientDir)
	require.NoError(t, err)
	r.serverFiles.CheckEvery(time.Millisecond)
	r.clientFiles.CheckEvery(time.Millisecond)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		Handler: r.serverFiles.Guard(r.api), TLSConfig: r.serverFiles.ServerConfig(),
		ConnContext: tlsfiles.ConnContext, ReadHeaderTimeout: time.Minute, WriteTimeout: writeTimeout,
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	r.url = "https://localhost:" + port
	r.client = storeclient.New(r.clientFiles)
	require.NoError(t, r.client.SetURL(r.url))
	t.Cleanup(r.client.Close)
	return r
}

func ingestRequest(text string) wire.IngestRequest {
	return wire.IngestRequest{Envelopes: []wire.Envelope{{
		Platform: "telegram", Channel: "shop/a", Transport: "webhook", Raw: []byte(`{"x":1}`),
		Elements: []wire.Element{{Channel: "shop/a", Event: message.Event{Message: &message.Message{Type: message.TypeText, Text: text}}}},
	}}}
}

// Whatever the way to the engine, the bridge sees the same.
func TestBothWaysToTheEngineAreTheSame(t *testing.T) {
	r := newRig(t)
	for name, s := range map[string]storeclient.Store{"HTTP": r.client, "direct": storeclient.Direct(r.engine, "shop/default")} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			ingested, err := s.Ingest(ctx, ingestRequest("Grüße 👋🏽"))
			require.NoError(t, err)
			assert.Equal(t, "Grüße 👋🏽", ingested.Envelopes[0].Elements[0].ID)
			assert.Equal(t, "shop/default", r.engine.bridge)

			session, err := s.Session(ctx, wire.SessionRequest{Instance: "i", Revision: 6})
			require.NoError(t, err)
			assert.Equal(t, wire.SessionResponse{TTL: time.Minute, Revision: 7}, session)
			leased, err := s.Lease(ctx, wire.LeaseRequest{})
			require.NoError(t, err)
			assert.Equal(t, time.Second, leased.Deliveries[0].Expires)
			reported, err := s.Report(ctx, wire.ReportRequest{Reports: make([]wire.PartReport, 3)})
			require.NoError(t, err)
			assert.Len(t, reported.Accepted, 3)

			jobs, err := s.LeaseMedia(ctx, wire.MediaLeaseRequest{})
			require.NoError(t, err)
			assert.Equal(t, int64(4), jobs.Jobs[0].Lease)
			meta := store.MediaMeta{MimeType: "image/png", Name: "Überraschung \"1\".png", Size: 5}
			require.NoError(t, s.PutMedia(ctx, "m", 4, meta, strings.NewReader("bytes")))
			assert.Equal(t, meta, r.engine.meta)
			got, body, err := s.OpenMedia(ctx, "m")
			require.NoError(t, err)
			data, err := io.ReadAll(body)
			require.NoError(t, err)
			require.NoError(t, body.Close())
			assert.Equal(t, "bytes", string(data))
			assert.Equal(t, meta, got)
			require.NoError(t, s.ReportMedia(ctx, "m", wire.MediaReport{Lease: 4, Gone: true, Reason: "expired"}))
			assert.Equal(t, "expired", r.engine.report.Reason)
			assert.ErrorIs(t, s.PutMedia(ctx, "m", 3, meta, strings.NewReader("bytes")), storeclient.ErrConflict)
			_, _, err = s.OpenMedia(ctx, "other")
			assert.ErrorIs(t, err, storeclient.ErrNotFound)
		})
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	r := newRig(t)
	for name, test := range map[string]struct {
		engine error
		want   error
		health bool
	}{
		"not committed":  {fmt.Errorf("disk full: %w", store.ErrUnavailable), storeclient.ErrUnavailable, false},
		"not ours":       {fmt.Errorf("channel shop/b: %w", store.ErrForbidden), storeclient.ErrForbidden, true},
		"lease is over":  {fmt.Errorf("delivery: %w", store.ErrConflict), storeclient.ErrConflict, true},
		"never accepted": {&store.FieldError{Field: "instance", Message: "is missing"}, storeclient.ErrRejected, true},
		"a mistake":      {errors.New("boom"), storeclient.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.engine.fail(test.engine)
			_, err := r.client.Session(t.Context(), wire.SessionRequest{})
			require.ErrorIs(t, err, test.want)
			assert.Equal(t, test.health, r.client.Health().OK)
			if name == "a mistake" {
				assert.NotContains(t, err.Error(), "boom", "the inside of the store is its own business")
			}
		})
	}
}

// A bridge in the store's own process tells the operator's conditions the same.
func TestHealthOfADirectStore(t *testing.T) {
	e := &engine{}
	s := storeclient.Direct(e, "shop/default")
	require.True(t, s.Health().OK, "an engine that was given is open")
	opened := s.Health().Since
	require.False(t, opened.IsZero())
	call := func(err error) {
		e.fail(err)
		_, got := s.Session(t.Context(), wire.SessionRequest{})
		require.ErrorIs(t, got, err)
	}
	call(fmt.Errorf("disk full: %w", store.ErrUnavailable))
	require.False(t, s.Health().OK)
	require.Contains(t, s.Health().Message, "disk full")
	call(context.Canceled)
	require.False(t, s.Health().OK, "says nothing of the store")
	call(store.ErrConflict)
	require.True(t, s.Health().OK, "it answers")
	require.Empty(t, s.Health().Message)
	call(fmt.Errorf("%w: %w", store.ErrUnavailable, context.Canceled))
	require.True(t, s.Health().OK, "the caller gave up")
}

func TestAbsentStore(t *testing.T) {
	s := storeclient.Absent("it is on holiday")
	_, ingest := s.Ingest(t.Context(), ingestRequest("x"))
	_, session := s.Session(t.Context(), wire.SessionRequest{})
	_, lease := s.Lease(t.Context(), wire.LeaseRequest{})
	_, report := s.Report(t.Context(), wire.ReportRequest{})
	_, leaseMedia := s.LeaseMedia(t.Context(), wire.MediaLeaseRequest{})
	_, _, open := s.OpenMedia(t.Context(), "m")
	put := s.PutMedia(t.Context(), "m", 1, store.MediaMeta{}, strings.NewReader("x"))
	for i, err := range []error{ingest, session, lease, report, leaseMedia, open, put, s.ReportMedia(t.Context(), "m", wire.MediaReport{})} {
		require.ErrorIs(t, err, storeclient.ErrUnavailable, i)
		require.ErrorContains(t, err, "on holiday", i)
	}
	require.False(t, s.Health().OK)
	require.Equal(t, "it is on holiday", s.Health().Message)
}

func TestUnreachableStore(t *testing.T) {
	ca := testpki.NewAuthority(t)
	files, err := tlsfiles.Open(ca.Folder(t, wire.BridgeIdentity("shop", "default")))
	require.NoError(t, err)
	c := storeclient.New(files)
	defer c.Close()
	_, err = c.Session(t.Context(), wire.SessionRequest{})
	require.ErrorIs(t, err, storeclient.ErrUnavailable, "no URL yet")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	require.NoError(t, c.SetURL("https://"+address))
	_, err = c.Session(t.Context(), wire.SessionRequest{})
	require.ErrorIs(t, err, storeclient.ErrUnavailable)
	assert.False(t, c.Health().OK)
	assert.Contains(t, c.Health().Message, "cannot be reached")
	assert.Error(t, c.SetURL("http://"+address), "never without TLS")
}

func TestDeadlineOfTheCallerHolds(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := r.client.Lease(ctx, wire.LeaseRequest{Wait: 5 * time.Minute})
	require.ErrorIs(t, err, storeclient.ErrUnavailable)
	assert.Less(t, time.Since(start), time.Minute)
}

func TestCancelledCallIsNotTheStoresTrouble(t *testing.T) {
	r := newRig(t)
	_, err := r.client.Session(t.Context(), wire.SessionRequest{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-r.engine.waits; cancel() }()
	_, err = r.client.Lease(ctx, wire.LeaseRequest{Wait: 5 * time.Minute})
	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, r.client.Health().OK)
}

func TestDrainAnswersLongPollsAtOnce(t *testing.T) {
	r := newRig(t)
	answered := make(chan error, 1)
	go func() {
		leased, err := r.client.Lease(t.Context(), wire.LeaseRequest{Wait: 5 * time.Minute})
		if err == nil && len(leased.Deliveries) != 0 {
			err = errors.New("deliveries out of nothing")
		}
		answered <- err
	}()
	<-r.engine.waits
	r.api.Drain()
	select {
	case err := <-answered:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the long poll was not cut short")
	}
	leased, err := r.client.Lease(t.Context(), wire.LeaseRequest{Wait: 5 * time.Minute})
	require.NoError(t, err, "and later ones do not wait")
	assert.Len(t, leased.Deliveries, 1)
}

// Both sides rotate to a new CA while requests go on, in the order that the
// operator uses: trust both, show the new certificates, trust the new one only.
func TestRotationWhileServing(t *testing.T) {
	r := newRig(t)
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.client.Ingest(context.Background(), ingestRequest("x")); err != nil {
				failed <- err
				return
			}
		}
	}()
	old, next := r.ca, testpki.NewAuthority(t)
	both := append(append([]byte{}, old.PEM...), next.PEM...)
	mount := func(dir string, files *tlsfiles.Files, issuer *testpki.Authority, identity string, bundle []byte) {
		version := files.Version()
		cert, key := issuer.Issue(t, identity, time.Hour)
		testpki.Mount(t, dir, map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": bundle})
		require.Eventually(t, func() bool { return files.Version() > version }, time.Minute, time.Millisecond)
	}
	bridge := wire.BridgeIdentity("shop", "default")
	mount(r.serverDir, r.serverFiles, old, "", both)
	mount(r.clientDir, r.clientFiles, old, bridge, both)
	mount(r.serverDir, r.serverFiles, next, "", both)
	mount(r.clientDir, r.clientFiles, next, bridge, both)
	mount(r.clientDir, r.clientFiles, next, bridge, next.PEM)
	mount(r.serverDir, r.serverFiles, next, "", next.PEM)
	_, err := r.client.Ingest(t.Context(), ingestRequest("after"))
	require.NoError(t, err)
	close(stop)
	assert.NoError(t, <-failed, "a request failed during the rotation")

	stranger, err := tlsfiles.Open(old.Folder(t, bridge))
	require.NoError(t, err)
	c := storeclient.New(stranger)
	defer c.Close()
	require.NoError(t, c.SetURL(r.url))
	_, err = c.Session(t.Context(), wire.SessionRequest{})
	assert.ErrorIs(t, err, storeclient.ErrUnavailable, "the old CA is out")
}

// slowReader delivers its bytes after a while.
type slowReader struct {
	io.Reader
	after time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.after)
	s.after = 0
	return s.Reader.Read(p)
}

func TestSlowAttachmentsOutliveTheServersTimeout(t *testing.T) {
	const writeTimeout = time.Second
	r := newRigWithin(t, writeTimeout)
	body := &slowReader{Reader: strings.NewReader("bytes"), after: 2 * writeTimeout}
	require.NoError(t, r.client.PutMedia(t.Context(), "m", 4, store.MediaMeta{MimeType: "video/mp4"}, body))
	assert.Equal(t, "bytes", string(r.engine.media["m"]))
}
