package traffic

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Run.
type Options struct {
	// Address is where to connect to; asked for every connection.
	Address func() string
	// Path of the webhook, e.g. /webhooks/apps/messenger/77.
	Path string
	// AppSecret signs, Page is the account that everybody writes to.
	AppSecret, Page string
	// Connections are open at one time; Contacts write over them in turns.
	Connections, Contacts int
	// Batch is how many messages a request carries, all of one contact; 1 when zero.
	Batch int
	// Messages end the run; zero: until ctx is done. Some contacts may have written
	// twice by then and others not at all.
	Messages int
	// Rounds, when not zero, end the run when every contact has written as often.
	Rounds int
	// Patience is how long a request is repeated before the run fails; 2 min when zero.
	Patience time.Duration
	// First is the number of each contact's first message, for a second run.
	First []int
	// Progress, when set, hears of every accepted request.
	Progress func()
}

// Result of a Run.
type Result struct {
	// Accepted is how many messages of each contact were answered with 2xx, in
	// all runs so far: numbers 0 to Accepted-1.
	Accepted []int
	// Requests that were accepted; Latencies has how long each took, counted
	// from its first attempt, sorted.
	Requests  int
	Latencies []time.Duration
	// Repeats by what was answered; 0: no answer.
	Repeats map[int]int
	// Refused are those of Repeats that were answered with 503 at once, and not
	// because something took longer than a platform waits.
	Refused int
	Took    time.Duration
}

// Total is how many messages were accepted in all runs so far.
func (r *Result) Total() int {
	n := 0
	for _, a := range r.Accepted {
		n += a
	}
	return n
}

// Percentile of the latencies, 0 to 100.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(len(r.Latencies)-1, int(float64(len(r.Latencies))*p/100))]
}

// ExternalID of a contact's message.
func ExternalID(contact, number int) string { return string(appendExternalID(nil, contact, number)) }

func appendExternalID(to []byte, contact, number int) []byte {
	to = strconv.AppendInt(append(to, "m_"...), int64(contact), 10)
	return strconv.AppendInt(append(to, '_'), int64(number), 10)
}

// ContactID is the contact's id at the platform (a page-scoped id).
func ContactID(contact int) string { return strconv.FormatInt(contactID(contact), 10) }

func contactID(contact int) int64 { return 7_000_000_000 + int64(contact) }

// Run writes until o.Messages are accepted or ctx is done; then what is under
// way is repeated until it is accepted, as a platform would.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Batch == 0 {
		o.Batch = 1
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Minute
	}
	r := &Result{Accepted: make([]int, o.Contacts), Repeats: map[int]int{}}
	copy(r.Accepted, o.First)
	workers := make([]*worker, o.Connections)
	var left atomic.Int64
	left.Store(int64(o.Messages))
	began := time.Now()
	var wg sync.WaitGroup
	for i := range workers {
		w := &worker{o: &o, ctx: ctx, accepted: r.Accepted, left: &left, repeats: map[int]int{}}
		workers[i] = w
		wg.Go(func() { w.run(i) })
	}
	wg.Wait()
	r.Took = time.Since(began)
	var errs []error
	for _, w := range workers {
		r.Requests += len(w.latencies)
		r.Latencies = append(r.Latencies, w.latencies...)
		for status, n := range w.repeats {
			r.Repeats[status] += n
		}
		r.Refused += w.refused
		errs = append(errs, w.err)
	}
	slices.Sort(r.Latencies)
	return r, errors.Join(errs...)
}

// worker is one connection with its contacts.
type worker struct {
	o         *Options
	ctx       context.Context //nolint:containedctx // of the run
	accepted  []int           // shared, each element written by one worker
	left      *atomic.Int64
	conn      connection
	request   []byte
	body      []byte
	mac       hash.Hash // of the app's secret
	sum       []byte
	latencies []time.Duration
	repeats   map[int]int
	refused   int
	err       error
}

func (w *worker) run(i int) {
	defer w.conn.close()
	for round := 0; w.ctx.Err() == nil && (w.o.Rounds == 0 || round < w.o.Rounds); round++ {
		for contact := i; contact < w.o.Contacts; contact += w.o.Connections {
			if w.ctx.Err() != nil || (w.o.Messages > 0 && w.left.Add(-int64(w.o.Batch)) < 0) {
				return
			}
			if w.err = w.write(contact); w.err != nil {
				return
			}
		}
		if i >= w.o.Contacts {
			return
		}
	}
}

// Pauses between attempts: a platform's first repeat is at once; the rest is
// shortened so that a test does not wait for minutes.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
	// atOnce is well below what a bridge holds a request for (5 s for Messenger).
	atOnce = 3 * time.Second
)

func (w *worker) write(contact int) error {
	first := w.accepted[contact]
	began, pause := time.Now(), firstPause
	w.build(contact, first, began)
	for asked := began; ; asked = time.Now() {
		status := w.conn.do(w.o.Address(), w.request, asked)
		if status/100 == 2 {
			w.latencies = append(w.latencies, time.Since(began))
			w.accepted[contact] = first + w.o.Batch
			if w.o.Progress != nil {
				w.o.Progress()
			}
			return nil
		}
		w.repeats[status]++
		if status == http.StatusServiceUnavailable && time.Since(asked) < atOnce {
			w.refused++
		}
		if time.Since(began) > w.o.Patience {
			return fmt.Errorf("contact %d, message %d: not accepted within %s, the last answer was %d", contact, first, w.o.Patience, status)
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
}
