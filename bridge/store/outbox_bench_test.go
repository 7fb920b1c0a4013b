package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// BenchmarkOutbox is a message's whole way: queued, leased, reported as
// sending and as sent, with 64 desks that write and 8 leases of a bridge. Its
// processor time is what holds on a machine that does something else meanwhile.
func BenchmarkOutbox(b *testing.B) {
	box := newBox(b, platform.Capabilities{Text: platform.TextLimit{Max: 4096, Unit: platform.UnitUTF16}})
	const contacts, desks, leases = 2000, 64, 8
	var hellos []message.Event
	for i := range contacts {
		hellos = append(hellos, textFrom(fmt.Sprint("c", i), fmt.Sprint("hello", i), "hello"))
	}
	ingest(b, box.Store, telegram, hellos...)
	convs, err := all(b.Context(), box.read, scanText, `SELECT id FROM conversations`)
	require.NoError(b, err)
	before, databaseBefore := processorTime(b, os.Getpid()), databaseTime(b)
	b.ResetTimer()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	done := make(chan int, leases)
	for w := range leases {
		go func() {
			for {
				resp, err := box.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: fmt.Sprint("pod-", w), Max: 50, Wait: time.Minute})
				if err != nil {
					return
				}
				var sending, sent wire.ReportRequest
				for _, d := range resp.Deliveries {
					sending.Reports = append(sending.Reports, of(d, 0, wire.OutcomeSending))
					sent.Reports = append(sent.Reports, of(d, 0, wire.OutcomeSent))
				}
				_, _ = box.Report(ctx, shopBridge, sending)
				_, _ = box.Report(ctx, shopBridge, sent)
				done <- len(resp.Deliveries)
			}
		}()
	}
	go parallel(desks, b.N, func(i int) { box.send(convs[i%contacts], "hello, this is an answer of a usual length, I think") })
	for n := 0; n < b.N; {
		n += <-done
	}
	b.StopTimer()
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(micros(processorTime(b, os.Getpid())-before), "store-µs/message")
	b.ReportMetric(micros(databaseTime(b)-databaseBefore), "database-µs/message")
}

// databaseTime is the processor time of a database beside this process.
func databaseTime(b *testing.B) (sum time.Duration) {
	if backend == "postgres" {
		for _, pid := range testServer(b).PIDs() {
			sum += processorTime(b, pid)
		}
	}
	return sum
}

// processorTime of a process: the 12th and 13th fields after its name, in
// hundredths of a second (proc(5)).
func processorTime(b *testing.B, pid int) (sum time.Duration) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) {
		return 0 // it has ended
	}
	require.NoError(b, err)
	for _, field := range bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		require.NoError(b, err)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

// parallel calls do for 0 … n-1 from so many goroutines.
func parallel(goroutines, n int, do func(i int)) {
	next := make(chan int)
	finished := make(chan struct{})
	for range goroutines {
		go func() {
			for i := range next {
				do(i)
			}
			finished <- struct{}{}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	for range goroutines {
		<-finished
	}
}
