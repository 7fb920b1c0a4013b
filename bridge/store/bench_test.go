package store

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const benchContacts = 10_000

// benchPayload is about the size of a Telegram update.
var benchPayload = make([]byte, 600)

func benchEnvelope(n int64) wire.Envelope {
	contact := fmt.Sprintf("%d", 1_000_000+(n*7919)%benchContacts)
	ev := message.Event{Message: &message.Message{
		Direction: message.Inbound, ExternalID: fmt.Sprintf("%s:%d", contact, n), Type: message.TypeText,
		Text: "Hello, I would like to know where my order is. It was due yesterday.", Timestamp: time.Now(),
		Contact: &message.Contact{ExternalID: contact, DisplayName: "Ana", Username: "ana", Language: "es"},
	}}
	return wire.Envelope{Platform: "telegram", Channel: telegram, ReceivedAt: time.Now(), Transport: "webhook", Raw: benchPayload,
		Elements: []wire.Element{{Channel: telegram, Event: ev}}}
}

// BenchmarkIngest is one message per request from 256 callers at once, of
// 10 000 contacts who have written before.
func BenchmarkIngest(b *testing.B) {
	s := openTestStore(b, Options{Dir: b.TempDir()})
	require.Empty(b, s.Load(b.Context(), testDocument(b, testEntries(b)...)))
	var n atomic.Int64
	for n.Load() < benchContacts {
		var req wire.IngestRequest
		for range 500 {
			req.Envelopes = append(req.Envelopes, benchEnvelope(n.Add(1)))
		}
		_, err := s.Ingest(b.Context(), shopBridge, req)
		require.NoError(b, err)
	}
	b.SetParallelism(128) // of 2 processors: 256
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := s.Ingest(b.Context(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{benchEnvelope(n.Add(1))}})
			if err != nil || resp.Envelopes[0].Elements[0].Result != wire.ResultStored {
				b.Error(resp, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
