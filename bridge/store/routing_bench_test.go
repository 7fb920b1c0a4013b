package store

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// largePolicy has 32 rules of 4 matches each; the last one takes what is about
// "order", which is what benchmark messages are about.
func largePolicy() routing.Policy {
	p := inbound()
	for i := range routing.MaxRules {
		r := rule(fmt.Sprintf("rule-%d", i), step("first", toQueue(general, 90), toQueue(vip, 10)), step("second", toQueue(general)))
		r.Steps[0].Timeout = document.Duration(time.Hour)
		for j := range 4 {
			r.Matches = append(r.Matches, routing.Match{
				Languages: []string{"es"}, Text: &routing.TextMatch{Any: []string{fmt.Sprintf("word%d", i*4+j), "never", "nowhere"}},
			})
		}
		p.Rules = append(p.Rules, r)
	}
	p.Rules[routing.MaxRules-1].Matches[3].Text.Any = []string{"order"}
	return p
}

// BenchmarkRouting is what routing costs a message: one message per request from
// 256 callers at once, with and without a policy of 32 rules, where a conversation
// has so many messages of its contact (1: each one is routed, the worst there is).
func BenchmarkRouting(b *testing.B) {
	for _, messages := range []int64{1, 4, 10} {
		for _, with := range []string{"without", "with"} {
			b.Run(fmt.Sprintf("messages=%d/%s", messages, with), func(b *testing.B) { benchRouting(b, messages, with == "with") })
		}
	}
}

func benchRouting(b *testing.B, messages int64, with bool) {
	r := newRouted(b)
	if with {
		r.attach(largePolicy())
	}
	r.clock.now = time.Now()
	payload := []byte(strings.Repeat("x", 600))
	var n atomic.Int64
	b.SetParallelism(128) // of 2 processors: 256
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			contact := fmt.Sprintf("%d", 1_000_000+i/messages)
			ev := message.Event{Message: &message.Message{
				Direction: message.Inbound, ExternalID: fmt.Sprintf("%s:%d", contact, i), Type: message.TypeText, Timestamp: time.Now(),
				Text:    "Hello, I would like to know where my order is. It was due yesterday.",
				Contact: &message.Contact{ExternalID: contact, DisplayName: "Ana", Username: "ana", Language: "es"},
			}}
			resp, err := r.Ingest(b.Context(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{{Platform: "telegram", Channel: telegram,
				ReceivedAt: time.Now(), Transport: "webhook", Raw: payload, Elements: []wire.Element{{Channel: telegram, Event: ev}}}}})
			if err != nil || resp.Envelopes[0].Elements[0].Result != wire.ResultStored {
				b.Error(resp, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "µs-cpu/message")
	if with {
		require.Positive(b, count(b, r.Store, "decisions"))
	}
}

// cpuTime is the processor time of this process.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
