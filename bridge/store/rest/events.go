package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

const (
	eventsPath = "/v1/events"
	// heartbeatEvery keeps proxies from closing a silent stream (their timeouts
	// start at 30 s) and bounds how long a withdrawn token still reads.
	heartbeatEvery = 15 * time.Second
	// writeTimeout is how long a client may leave a full socket unread before
	// its stream is cut off. It resumes from its cursor; nothing is kept for it.
	writeTimeout = 10 * time.Second
	// streamBatch is how many events are read and written at a time.
	streamBatch = 100
	// maxStreams bounds open streams: each costs a connection, some 50 KiB and
	// one indexed read per event. 500 of them are 25 MiB.
	maxStreams = 500
	// reconnectAfter is the time after which EventSource comes again.
	reconnectAfter = 2 * time.Second
)

func (a *API) registerEvents() {
	op := operation(http.MethodGet, eventsPath, "list-events", "Events", "Changes after a cursor", document.AccessRead, 410)
	op.Description = "With `Accept: text/event-stream` the answer is a stream that goes on with what happens (`id` is the cursor, `event` the type, " +
		"`data` an Event), with a heartbeat every 15 seconds; it is resumed by `Last-Event-ID`. Otherwise it is a page, whose `next` is always there. " +
		"410: the cursor is before what is kept; read `after=latest`, then the lists, and go on from its `next`. Needs access read."
	schemas := a.huma.OpenAPI().Components.Schemas
	op.Responses = map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{
		"application/json":  {Schema: schemas.Schema(reflect.TypeFor[Page[Event]](), true, "")},
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "Server-sent events; data is an Event."}},
	}}}
	huma.Register(a.huma, op, a.events)
}

type eventsInput struct {
	After       string `query:"after" pattern:"^([0-9]{1,18}|latest)$" patternDescription:"a cursor, or latest" doc:"The cursor of the last event that is known. Absent: from the oldest that is kept. latest: what happens from now on."`
	Limit       int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most items to return; of a page only."`
	LastEventID string `header:"Last-Event-ID" pattern:"^[0-9]{1,18}$" patternDescription:"a cursor" doc:"As after; browsers send it when they resume a stream. It comes before after."`
}

// cursor of the input; the patterns have seen to it that it is a number.
func (in *eventsInput) cursor() int64 {
	text := in.After
	if in.LastEventID != "" { // a resumed stream still has its first URL
		text = in.LastEventID
	}
	switch text {
	case "":
		return store.EventsOldest
	case "latest":
		return store.EventsLatest
	}
	cursor, _ := strconv.ParseInt(text, 10, 64)
	return cursor
}

func (a *API) events(ctx context.Context, in *eventsInput) (*streamed, error) {
	x, scope := exchangeOf(ctx), scopeOf(ctx)
	limit := in.Limit
	if x.stream {
		limit = streamBatch
	}
	events, next, err := a.engine.Events(ctx, scope, in.cursor(), limit)
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	if !x.stream {
		return &streamed{Body: func(c huma.Context) {
			page := Page[Event]{Items: viewAll(events, viewEvent), Next: strconv.FormatInt(next, 10)}
			c.SetHeader("Content-Type", "application/json")
			_ = json.NewEncoder(c.BodyWriter()).Encode(page) // fails only when the caller has left
		}}, nil
	}
	if !a.streams.take() {
		return nil, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("too many event streams are open; close some, or read pages"),
			http.Header{"Retry-After": {"5"}})
	}
	s := &stream{api: a, x: x, scope: scope, cursor: in.cursor(), control: http.NewResponseController(x.w)}
	return &streamed{Body: func(huma.Context) {
		defer a.streams.give()
		s.run(ctx, events, next)
	}}, nil
}

// streamLimit counts open streams.
type streamLimit struct{ open atomic.Int64 }

func (l *streamLimit) take() bool {
	if l.open.Add(1) > maxStreams {
		l.open.Add(-1)
		return false
	}
	return true
}

func (l *streamLimit) give() { l.open.Add(-1) }

// stream is one client's stream of events.
type stream struct {
	api     *API
	x       *exchange
	scope   store.Scope
	cursor  int64
	control *http.ResponseController
	buffer  bytes.Buffer
}

// errSlow means that the client did not take what was written in time.
var errSlow = errors.New("client does not read")

// run writes events until the client leaves, is too slow, loses its access, or
// the process stops. events and next are what was read before the headers.
func (s *stream) run(ctx context.Context, events []store.Event, next int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.api.draining, cancel)()
	s.api.metrics.streams.Inc()
	defer s.api.metrics.streams.Dec()

	h := s.x.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")           // nginx would hold events back
	h.Set("Connection", "close")               // the deadlines below are not for another request
	_ = s.control.SetReadDeadline(time.Time{}) // unsupported only without a connection
	fmt.Fprintf(&s.buffer, "retry: %d\n\n", reconnectAfter.Milliseconds())
	err := s.loop(ctx, events, next)
	if errors.Is(err, errSlow) && ctx.Err() == nil {
		s.api.metrics.cutOff.Inc()
	}
}

func (s *stream) loop(ctx context.Context, events []store.Event, next int64) (err error) {
	beat := s.api.now().Add(s.api.beat)
	for {
		if err := s.write(events, next); err != nil {
			return err
		}
		if len(events) < streamBatch {
			if err := s.wait(ctx, &beat); err != nil {
				return err
			}
		}
		if events, next, err = s.api.engine.Events(ctx, s.scope, s.cursor, streamBatch); err != nil {
			return err // gone: the client learns it (410) when it comes again
		}
	}
}

// wait returns when there may be events, with heartbeats in between.
func (s *stream) wait(ctx context.Context, beat *time.Time) error {
	for {
		until, cancel := context.WithTimeout(ctx, beat.Sub(s.api.now()))
		err := s.api.engine.WaitEvents(until, s.cursor)
		timedOut := until.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !timedOut:
			return nil
		case err != nil && !timedOut:
			return err
		}
		if err := s.heartbeat(ctx); err != nil {
			return err
		}
		*beat = s.api.now().Add(s.api.beat)
	}
}

// heartbeat ends the stream of a token that was withdrawn or changed, and
// tells the cursor: it moves on with events that are not for this client, and
// a client that resumes from an old one would fall behind the horizon.
func (s *stream) heartbeat(ctx context.Context) error {
	scope, err := s.api.authorize(ctx, s.x.r.Header.Get("Authorization"), document.AccessRead)
	if err != nil {
		return err
	}
	if scope.All != s.scope.All || !slices.Equal(scope.Namespaces, s.scope.Namespaces) {
		return errors.New("the token's namespaces changed")
	}
	fmt.Fprintf(&s.buffer, ": heartbeat\nid: %d\n\n", s.cursor)
	return s.flush()
}

func (s *stream) write(events []store.Event, next int64) error {
	for _, e := range events {
		data, err := json.Marshal(viewEvent(e))
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		fmt.Fprintf(&s.buffer, "id: %d\nevent: %s\ndata: %s\n\n", e.Cursor, e.Type, data)
	}
	s.cursor = max(s.cursor, next)
	return s.flush()
}

// flush sends what is buffered, at most one batch: a client that does not read
// is cut off, and nothing piles up for it.
func (s *stream) flush() error {
	if s.buffer.Len() == 0 {
		return nil
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // unsupported only without a connection
	_, err := s.x.w.Write(s.buffer.Bytes())
	s.buffer.Reset()
	if s.buffer.Cap() > 1<<20 { // one huge message must not stay allocated for weeks
		s.buffer = bytes.Buffer{}
	}
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return nil
}
