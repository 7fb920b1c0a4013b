package media

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// archive is a store that takes attachments.
type archive struct {
	mu      sync.Mutex
	jobs    []wire.MediaJob
	kept    map[string]string
	reports map[string]wire.MediaReport
	putErr  error
}

func (a *archive) LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	a.mu.Lock()
	jobs := a.jobs
	a.jobs = nil
	a.mu.Unlock()
	if len(jobs) > 0 {
		return wire.MediaLeaseResponse{Jobs: jobs}, nil
	}
	select {
	case <-ctx.Done():
		return wire.MediaLeaseResponse{}, ctx.Err()
	case <-time.After(req.Wait):
		return wire.MediaLeaseResponse{}, nil
	}
}

func (a *archive) PutMedia(_ context.Context, id string, _ int64, _ store.MediaMeta, body io.Reader) error {
	content, err := io.ReadAll(body)
	if err != nil {
		return store.ErrUnavailable // what an HTTP client makes of a body that breaks off
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.putErr != nil {
		return a.putErr
	}
	a.kept[id] = string(content)
	return nil
}

func (a *archive) ReportMedia(_ context.Context, id string, report wire.MediaReport) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports[id] = report
	return nil
}

func (a *archive) job(channel string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs = append(a.jobs, wire.MediaJob{ID: "7", Channel: channel, Ref: "ref", Lease: 3, Attempt: 1})
}

type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("connection reset by secret-of-shop/a")
	}
	return n, err
}

func opens(size int64, r io.Reader) func(context.Context, platform.Channel, string) (platform.Media, error) {
	return func(context.Context, platform.Channel, string) (platform.Media, error) {
		return platform.Media{Body: io.NopCloser(r), Size: size, MimeType: "image/png", Name: "a.png"}, nil
	}
}

func refuses(err error) func(context.Context, platform.Channel, string) (platform.Media, error) {
	return func(context.Context, platform.Channel, string) (platform.Media, error) { return platform.Media{}, err }
}

func TestFetching(t *testing.T) {
	for name, test := range map[string]struct {
		channel string
		fetch   func(context.Context, platform.Channel, string) (platform.Media, error)
		putErr  error
		kept    string
		report  *wire.MediaReport
	}{
		"kept":                      {fetch: opens(5, strings.NewReader("hello")), kept: "hello"},
		"of unknown size":           {fetch: opens(-1, strings.NewReader("hello")), kept: "hello"},
		"as large as allowed":       {fetch: opens(-1, strings.NewReader("0123456789")), kept: "0123456789"},
		"too large":                 {fetch: opens(11, strings.NewReader("0123456789a")), report: &wire.MediaReport{Gone: true, Reason: "the attachment is too large: more than 10 bytes"}},
		"larger than it said":       {fetch: opens(-1, strings.NewReader("0123456789a")), report: &wire.MediaReport{Gone: true, Reason: "the attachment is too large: more than 10 bytes"}},
		"breaks off":                {fetch: opens(-1, broken{strings.NewReader("01")}), report: &wire.MediaReport{Reason: "connection reset by [redacted]"}},
		"gone at the platform":      {fetch: refuses(&platform.Error{Class: wire.ErrContentRejected, Reason: "file is gone"}), report: &wire.MediaReport{Gone: true, Reason: "file is gone"}},
		"platform away":             {fetch: refuses(&platform.Error{Class: wire.ErrRetryable, Reason: "502", RetryAfter: time.Minute}), report: &wire.MediaReport{Reason: "502", RetryAfter: time.Minute}},
		"credentials refused":       {fetch: refuses(&platform.Error{Class: wire.ErrAuthInvalid, Reason: "Unauthorized"}), report: &wire.MediaReport{Reason: "Unauthorized"}},
		"a bug":                     {fetch: nil, report: &wire.MediaReport{Reason: "internal error while fetching"}},
		"store away":                {fetch: opens(1, strings.NewReader("x")), putErr: store.ErrUnavailable, report: &wire.MediaReport{Reason: "the store could not keep it"}},
		"lease over":                {fetch: opens(1, strings.NewReader("x")), putErr: store.ErrConflict},
		"channel not here":          {channel: "shop/b", report: &wire.MediaReport{Reason: "the channel is not in force here", RetryAfter: absentRetry}},
		"channel that is suspended": {channel: "shop/s", report: &wire.MediaReport{Reason: "the channel is not in force here", RetryAfter: absentRetry}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &archive{kept: map[string]string{}, reports: map[string]wire.MediaReport{}, putErr: test.putErr}
				table, _ := testkit.Table(t, &testkit.Platform{Caps: platform.Capabilities{MaxMedia: 1000}, OnFetch: test.fetch},
					testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Limits.MaxMediaBytes = 10 }),
					testkit.Entry(t, "shop/s", 1, func(c *document.Channel) { c.Suspended = true }))
				f := New(Config{Table: table, Store: a, Instance: "pod-1", Metrics: testkit.Metrics(), Log: testkit.Log()})
				channel := test.channel
				if channel == "" {
					channel = "shop/a"
				}
				a.job(channel)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); f.Run(ctx) }()
				synctest.Wait()
				cancel()
				<-done
				assert.Equal(t, test.kept, a.kept["7"])
				got, told := a.reports["7"]
				require.Equal(t, test.report != nil, told)
				if told {
					test.report.Lease = 3
					assert.Equal(t, *test.report, got)
				}
			})
		})
	}
}

func TestTheLimitIsTheSmallerOfChannelAndPlatform(t *testing.T) {
	for _, test := range []struct{ channel, platform, want int64 }{
		{0, 0, document.DefaultMaxMediaBytes}, {0, 20, 20}, {10, 20, 10}, {30, 20, 20}, {30, 0, 30},
	} {
		table, _ := testkit.Table(t, &testkit.Platform{Caps: platform.Capabilities{MaxMedia: test.platform}},
			testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Limits.MaxMediaBytes = test.channel }))
		assert.Equal(t, test.want, maxBytes(table.Snapshot().Channel("shop/a")))
	}
}

// A bounded stream is the same as the stream, or an error; never a part of it.
func TestBoundedIsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "content")
		limit := rapid.Int64Range(0, 220).Draw(t, "limit")
		b := &bounded{r: bytes.NewReader(content), limit: limit}
		chunk := make([]byte, rapid.IntRange(1, 64).Draw(t, "chunk"))
		var got []byte
		var err error
		for err == nil {
			var n int
			n, err = b.Read(chunk)
			got = append(got, chunk[:n]...)
		}
		if int64(len(content)) <= limit {
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, string(content), string(got))
			require.NoError(t, b.cause())
			return
		}
		require.ErrorIs(t, err, errTooLarge)
		require.ErrorIs(t, b.cause(), errTooLarge)
		require.LessOrEqual(t, int64(len(got)), limit)
	})
}

func TestAcksNeverBlockAndFailuresAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var acked []string
		p := &testkit.Platform{OnAck: func(_ context.Context, _ platform.Channel, e message.Event) error {
			mu.Lock()
			defer mu.Unlock()
			acked = append(acked, e.Message.ExternalID)
			switch e.Message.ExternalID {
			case "bug":
				panic("secret payload")
			case "late":
				return errors.New("query is too old")
			}
			return nil
		}}
		table, _ := testkit.Table(t, p, testkit.Entry(t, "shop/a", 1, nil))
		ch := table.Snapshot().Channel("shop/a")
		m := testkit.Metrics()
		a := NewAcks(m, testkit.Log())
		for range ackQueue + 10 {
			a.Acknowledge(ch, []message.Event{testkit.Event(testkit.Element{ID: "flood"})})
		}
		assert.Equal(t, 10.0, testutil.ToFloat64(m.Acks.WithLabelValues(testkit.Name, "dropped")))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		synctest.Wait()
		for _, id := range []string{"bug", "late", "fine"} {
			a.Acknowledge(ch, []message.Event{testkit.Event(testkit.Element{ID: id})})
			synctest.Wait()
		}
		cancel()
		<-done
		assert.Subset(t, acked, []string{"bug", "late", "fine"})
		assert.Equal(t, 1.0, testutil.ToFloat64(m.Acks.WithLabelValues(testkit.Name, "failed")))
		assert.Equal(t, 1.0, testutil.ToFloat64(m.Panics.WithLabelValues("ack")))
	})
}

func TestWhatBecameNoEventGetsItsWordToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var acked []string
		p := &testkit.Platform{
			OnPayloadAcks: func(body []byte) []string { return strings.Fields(string(body)) },
			OnAckPayload:  func(key string) error { acked = append(acked, key); return nil },
		}
		table, _ := testkit.Table(t, p, testkit.Entry(t, "shop/a", 1, nil))
		a := NewAcks(testkit.Metrics(), testkit.Log())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		a.AcknowledgePayload(table.Snapshot().Channel("shop/a"), []byte("q1"))
		synctest.Wait()
		a.AcknowledgePayload(table.Snapshot().Channel("shop/a"), nil)
		a.AcknowledgePayload(table.Snapshot().Channel("shop/a"), []byte("q2"))
		synctest.Wait()
		cancel()
		<-done
		assert.Equal(t, []string{"q1", "q2"}, acked)
	})
}
