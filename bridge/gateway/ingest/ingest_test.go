package ingest_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/ingest"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

type journal func(wire.IngestRequest) (wire.IngestResponse, error)

func (j journal) Ingest(_ context.Context, req wire.IngestRequest) (wire.IngestResponse, error) {
	return j(req)
}

func results(rs ...wire.Result) wire.EnvelopeResult {
	var out wire.EnvelopeResult
	for _, r := range rs {
		out.Elements = append(out.Elements, wire.ElementResult{Result: r})
	}
	return out
}

var envelope = wire.Envelope{Platform: testkit.Name, Channel: "shop/a", Elements: make([]wire.Element, 2)}

func TestResultsComeBackPerElement(t *testing.T) {
	b := ingest.New(journal(func(req wire.IngestRequest) (wire.IngestResponse, error) {
		assert.Equal(t, []wire.Envelope{envelope}, req.Envelopes)
		return wire.IngestResponse{Envelopes: []wire.EnvelopeResult{results(wire.ResultStored, wire.ResultDuplicate)}}, nil
	}), testkit.Metrics(), testkit.Log())
	got, err := b.Ingest(t.Context(), envelope)
	require.NoError(t, err)
	assert.Equal(t, results(wire.ResultStored, wire.ResultDuplicate), got)
	b.Wait()
}

// An answer that does not fit the question must never be taken for one.
func TestAShortAnswerAcknowledgesNothing(t *testing.T) {
	for name, answer := range map[string][]wire.EnvelopeResult{
		"no envelope": nil,
		"no elements": {results()},
		"too few":     {results(wire.ResultStored)},
		"too many":    {results(wire.ResultStored, wire.ResultStored, wire.ResultStored)},
	} {
		t.Run(name, func(t *testing.T) {
			b := ingest.New(journal(func(wire.IngestRequest) (wire.IngestResponse, error) {
				return wire.IngestResponse{Envelopes: answer}, nil
			}), testkit.Metrics(), testkit.Log())
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err := b.Ingest(ctx, envelope)
			assert.ErrorIs(t, err, store.ErrUnavailable)
		})
	}
}

func TestRefused(t *testing.T) {
	addressed, nobody := wire.Element{Channel: "shop/a"}, wire.Element{}
	for _, test := range []struct {
		element wire.Element
		result  wire.Result
		want    bool
	}{
		{addressed, wire.ResultStored, false}, {addressed, wire.ResultDuplicate, false}, {addressed, wire.ResultParked, false},
		{addressed, wire.ResultInvalid, false}, {addressed, wire.ResultForbidden, true}, {addressed, wire.ResultStale, true},
		{addressed, wire.ResultUnrouted, true}, {nobody, wire.ResultUnrouted, false},
	} {
		assert.Equal(t, test.want, ingest.Refused(test.element, wire.ElementResult{Result: test.result}), "%+v", test)
	}
}

// The metric names platform and result alone: the log has the Channel, and why.
func TestWhatIsNotTakenInIsLogged(t *testing.T) {
	var log strings.Builder
	answer := []wire.ElementResult{
		{Result: wire.ResultInvalid, Message: "the text is too long"}, {Result: wire.ResultInvalid, Message: "the text is too long"},
		{Result: wire.ResultForbidden}, {Result: wire.ResultUnrouted}, {Result: wire.ResultStored}, {Result: wire.ResultDuplicate},
	}
	b := ingest.New(journal(func(wire.IngestRequest) (wire.IngestResponse, error) {
		return wire.IngestResponse{Envelopes: []wire.EnvelopeResult{{Elements: answer}}}, nil
	}), testkit.Metrics(), slog.New(slog.NewTextHandler(&log, nil)))
	env := wire.Envelope{Platform: "messenger", Elements: []wire.Element{
		{Channel: "shop/a"}, {Channel: "shop/a"}, {Channel: "shop/b"}, {Event: message.Event{Account: "4711"}}, {Channel: "shop/c"}, {Channel: "shop/d"},
	}}
	for range 3 {
		_, err := b.Ingest(t.Context(), env)
		require.NoError(t, err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3, "once each, however often it comes")
	for i, want := range []string{
		`platform=messenger channel=shop/a account="" result=invalid reason="the text is too long"`,
		`channel=shop/b account="" result=forbidden`,
		`channel="" account=4711 result=unrouted`,
	} {
		assert.Contains(t, lines[i], want)
	}
}
