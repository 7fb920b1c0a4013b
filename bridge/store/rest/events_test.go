package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve runs the API on a real connection.
func serve(t *testing.T, api *API) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, done := NewServer(api), make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return "http://" + listener.Addr().String()
}

// feed is a client of an event stream.
type feed struct {
	*http.Response
	lines *bufio.Scanner
}

// sse is one event of a stream, as EventSource would dispatch it.
type sse struct {
	id, event, data, comment string
}

func subscribe(t *testing.T, url, token string, headers ...string) *feed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &feed{Response: resp, lines: bufio.NewScanner(resp.Body)}
}

// next is the next block of the stream that is not the retry hint; ok is false at its end.
func (f *feed) next() (e sse, ok bool) {
	for f.lines.Scan() {
		field, value, _ := strings.Cut(f.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data += value
		case "":
			if f.lines.Text() == "" {
				if e != (sse{}) {
					return e, true
				}
				continue
			}
			e.comment = value
		}
	}
	return e, false
}

func TestEventStreamResumesWithoutGapOrRepeat(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	url := serve(t, api) + "/v1/events"
	engine.happen("shop", 3)

	first := subscribe(t, url, "reader")
	require.Equal(t, http.StatusOK, first.StatusCode)
	assert.Equal(t, "text/event-stream", first.Header.Get("Content-Type"))
	var last string
	for want := 1; want <= 2; want++ {
		e, ok := first.next()
		require.True(t, ok)
		assert.Equal(t, strconv.Itoa(want), e.id)
		assert.Equal(t, "message.created", e.event)
		var event Event
		require.NoError(t, json.Unmarshal([]byte(e.data), &event))
		assert.Equal(t, "line one\nline two", event.Message.Text)
		last = e.id
	}
	require.NoError(t, first.Body.Close())
	engine.happen("shop", streamBatch+20) // more than one batch happens meanwhile

	second := subscribe(t, url+"?after=0", "reader", "Last-Event-ID", last)
	for want := 3; want <= 3+streamBatch+20; want++ {
		e, ok := second.next()
		require.True(t, ok)
		require.Equal(t, strconv.Itoa(want), e.id, "Last-Event-ID goes before after")
	}
	engine.happen("shop", 1) // and it goes on live
	e, ok := second.next()
	require.True(t, ok)
	assert.Equal(t, strconv.Itoa(3+streamBatch+21), e.id)
}

func TestEventsOfOtherNamespacesAreNotSeenButMoveTheCursor(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{Heartbeat: 20 * time.Millisecond})
	url := serve(t, api) + "/v1/events"
	engine.happen("other", 5)
	s := subscribe(t, url, "reader")
	require.Eventually(t, func() bool { // heartbeats tell the cursor
		e, ok := s.next()
		return ok && e.comment == "heartbeat" && e.id == "5" && e.data == ""
	}, time.Minute, time.Millisecond)
	engine.happen("shop", 1)
	for {
		e, ok := s.next()
		require.True(t, ok)
		if e.comment == "" {
			assert.Equal(t, "6", e.id)
			return
		}
	}
}

func TestEventStreamBeforeTheHorizonIsGone(t *testing.T) {
	engine := newStub()
	engine.happen("shop", 10)
	engine.gone = 5
	api, _ := newAPI(t, engine, Options{})
	for _, accept := range []string{"text/event-stream", "application/json"} {
		w := ask(t, api, "reader", "GET", "/v1/events?after=4", "", "Accept", accept)
		assert.Equal(t, http.StatusGone, w.Code)
		problemIn(t, w)
	}
	for path, want := range map[string]string{"?after=5&limit=1": "6", "?limit=1": "6", "?after=latest": "10"} {
		w := ask(t, api, "reader", "GET", "/v1/events"+path, "")
		require.Equal(t, http.StatusOK, w.Code, path)
		var page Page[Event]
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
		assert.Equal(t, want, page.Next, path)
	}
}

func TestEventStreamFromNowOn(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	engine.happen("shop", 7)
	s := subscribe(t, serve(t, api)+"/v1/events?after=latest", "reader")
	require.Equal(t, http.StatusOK, s.StatusCode)
	engine.happen("shop", 1)
	e, ok := s.next()
	require.True(t, ok)
	assert.Equal(t, "8", e.id)
}

func TestEventPages(t *testing.T) {
	engine := newStub()
	engine.happen("shop", 5)
	api, _ := newAPI(t, engine, Options{})
	var seen []int64
	next := "0"
	for range 4 {
		w := ask(t, api, "reader", "GET", "/v1/events?limit=2&after="+next, "", "Accept", "application/json")
		require.Equal(t, http.StatusOK, w.Code)
		var page Page[Event]
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
		for _, e := range page.Items {
			seen = append(seen, e.Cursor)
		}
		next = page.Next
		require.NotEmpty(t, next, "a feed has no end")
	}
	assert.Equal(t, []int64{1, 2, 3, 4, 5}, seen)
}

func TestEventStreamEnds(t *testing.T) {
	ends := func(t *testing.T, s *feed) {
		t.Helper()
		for {
			if _, ok := s.next(); !ok {
				return // a stream that stays open runs into the test's deadline
			}
		}
	}
	t.Run("when the token is withdrawn", func(t *testing.T) {
		engine := newStub()
		api, _ := newAPI(t, engine, Options{Heartbeat: 10 * time.Millisecond})
		s := subscribe(t, serve(t, api)+"/v1/events", "reader")
		_, ok := s.next()
		require.True(t, ok)
		engine.withdraw("reader")
		ends(t, s)
		require.NoError(t, s.lines.Err())
	})
	t.Run("when the process stops", func(t *testing.T) {
		engine := newStub()
		api, _ := newAPI(t, engine, Options{})
		engine.happen("shop", 1)
		s := subscribe(t, serve(t, api)+"/v1/events", "reader")
		_, ok := s.next()
		require.True(t, ok)
		api.Drain()
		ends(t, s)
		require.NoError(t, s.lines.Err())
	})
}

func TestTooManyStreams(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	api.streams.open.Store(maxStreams)
	w := ask(t, api, "reader", "GET", "/v1/events", "", "Accept", "text/event-stream")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	problemIn(t, w)
	assert.Equal(t, http.StatusOK, ask(t, api, "reader", "GET", "/v1/events", "").Code, "pages are always there")
	assert.Equal(t, int64(maxStreams), api.streams.open.Load())
}

// stuck is a connection whose client does not read: writing times out.
type stuck struct {
	http.ResponseWriter
	deadline time.Time
}

func (s *stuck) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }
func (s *stuck) SetReadDeadline(time.Time) error    { return nil }
func (s *stuck) FlushError() error                  { return nil }
func (s *stuck) Header() http.Header                { return http.Header{} }
func (s *stuck) WriteHeader(int)                    {}
func (s *stuck) Write([]byte) (int, error) {
	if s.deadline.IsZero() {
		return 0, io.ErrShortWrite // written without a deadline: it would hang for ever
	}
	return 0, &net.OpError{Op: "write", Err: context.DeadlineExceeded}
}

func TestSlowClientIsCutOff(t *testing.T) {
	engine := newStub()
	engine.happen("shop", 3)
	registry := prometheus.NewRegistry()
	api, _ := newAPI(t, engine, Options{Registerer: registry})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/events", nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer reader")
	r.Body = http.NoBody
	api.ServeHTTP(&stuck{}, r) // returns
	assert.InDelta(t, 1, testutil.ToFloat64(api.metrics.cutOff), 0)
	assert.InDelta(t, 0, testutil.ToFloat64(api.metrics.streams), 0)
	assert.Zero(t, api.streams.open.Load())
}
