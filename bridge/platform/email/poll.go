package email

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// defaultIdle is how long one IDLE lasts before the mailbox is looked at all
	// the same: some servers forget to tell, others (and what is between) drop a
	// silent connection after 10 minutes, long before the 29 of RFC 2177.
	defaultIdle    = 5 * time.Minute
	defaultPoll    = time.Minute
	defaultBackoff = time.Second
	maxBackoff     = time.Minute

	// firstLook is how far back a mailbox is read that was never read before:
	// unread mail of the last day is somebody who waits for an answer, and what
	// is older has been dealt with in another way.
	firstLook = 24 * time.Hour
	// margin is for the clocks of a mailbox that was moved to another server, and
	// for SEARCH, which knows days of the server's own zone only.
	margin = 48 * time.Hour
)

// cursor is how far a mailbox was read: all mails of one UIDVALIDITY up to a
// UID. At is when the latest of them arrived, by which the reading goes on when
// the server has numbered them anew.
type cursor struct {
	validity, uid uint32
	at            time.Time
}

// parseCursor reads "validity:uid:at". What cannot be read is no cursor: the
// mailbox is read as if for the first time, and what is known already is one
// message by its id.
func parseCursor(s string) (c cursor, ok bool) {
	fields := strings.Split(s, ":")
	if len(fields) < 2 || len(fields) > 3 {
		return cursor{}, false
	}
	validity, err1 := strconv.ParseUint(fields[0], 10, 32)
	uid, err2 := strconv.ParseUint(fields[1], 10, 32)
	if err1 != nil || err2 != nil || validity == 0 {
		return cursor{}, false
	}
	c = cursor{validity: uint32(validity), uid: uint32(uid)}
	if len(fields) == 3 {
		seconds, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return cursor{}, false
		}
		c.at = time.Unix(seconds, 0)
	}
	return c, true
}

// String is what the store keeps.
func (c cursor) String() string {
	s := fmt.Sprintf("%d:%d", c.validity, c.uid)
	if !c.at.IsZero() {
		s += ":" + strconv.FormatInt(c.at.Unix(), 10)
	}
	return s
}

// Run implements platform.Poller.
func (p *Platform) Run(ctx context.Context, ch platform.Channel, stored string, deliver func(context.Context, platform.Batch) error, report func(error)) error {
	w := poller{p: p, c: self(ch), deliver: deliver, report: report, news: make(chan struct{}, 1)}
	w.at, w.started = parseCursor(stored)
	for ctx.Err() == nil {
		began := p.clock()
		err := w.connection(ctx)
		if ctx.Err() == nil {
			w.ended(ctx, err, p.clock().Sub(began))
		}
	}
	return ctx.Err()
}

type poller struct {
	p       *Platform
	c       *channel
	deliver func(context.Context, platform.Batch) error
	report  func(error)
	news    chan struct{}

	at       cursor
	started  bool // at is set
	failures int
	healthy  bool // the last fetch went well
	noIdle   bool // the server offers IDLE and refuses it

	// stuck is the first of the mails that are described in a way that cannot be
	// read, and how often that was so: a mail must not hold up those behind it.
	stuck      imap.UID
	stuckTimes int
}

// connection fetches over one connection until it breaks.
func (w *poller) connection(ctx context.Context) error {
	m, err := w.c.openMailbox(ctx, w.news)
	if err != nil {
		return err
	}
	defer m.end()
	for {
		if err := w.fetchNew(ctx, m); err != nil {
			return w.c.redact(imapError(m.host, err))
		}
		if !w.healthy {
			w.healthy = true
			w.report(nil)
		}
		if err := w.wait(ctx, m); err != nil {
			return w.c.redact(imapError(m.host, err))
		}
	}
}

// ended decides what the end of a connection means. That one which worked has
// ended is no trouble: servers end them after a while, and the next one says
// whether anything is wrong. It is made at once where this one lasted, else
// after a pause, longer with each that did not.
func (w *poller) ended(ctx context.Context, err error, lasted time.Duration) {
	var e *platform.Error
	if w.healthy && errors.As(err, &e) && e.Class == wire.ErrRetryable {
		w.healthy = false
		if lasted >= steady {
			w.failures = 0
			return
		}
		w.pause(ctx, err)
		return
	}
	w.failed(ctx, err)
}

// steady is how long a connection lasts that is no sign of trouble: nobody's
// server minds a login every ten seconds for a while.
const steady = 10 * time.Second

// failed reports an error and waits.
func (w *poller) failed(ctx context.Context, err error) {
	w.healthy = false
	w.report(err)
	w.pause(ctx, err)
}

// pause waits, longer with each failure in a row, and as long as is asked for.
func (w *poller) pause(ctx context.Context, err error) {
	d := min(or(w.p.Backoff, defaultBackoff)<<min(w.failures, 10), maxBackoff)
	var e *platform.Error
	if errors.As(err, &e) {
		d = max(d, e.RetryAfter)
	}
	w.failures++
	sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait returns when there may be new mail.
func (w *poller) wait(ctx context.Context, m *mailbox) error {
	if w.noIdle || !m.Caps().Has(imap.CapIdle) {
		sleep(ctx, or(w.p.PollEvery, defaultPoll))
		return m.Noop().Wait()
	}
	idle, err := m.Idle()
	var refused *imap.Error
	if errors.As(err, &refused) && refused.Type != imap.StatusResponseTypeBye {
		w.noIdle = true
		return nil
	}
	if err != nil {
		return err
	}
	timer := time.NewTimer(or(w.p.IdleFor, defaultIdle))
	defer timer.Stop()
	select {
	case <-w.news:
	case <-timer.C:
	case <-m.Closed():
	case <-ctx.Done():
	}
	if err := idle.Close(); err != nil {
		return err
	}
	return idle.Wait()
}

// fetchNew hands over everything that came since the cursor.
func (w *poller) fetchNew(ctx context.Context, m *mailbox) error {
	uids, err := w.find(m)
	if err != nil {
		return err
	}
	anew := !w.started || w.at.validity != m.validity
	for len(uids) > 0 {
		chunk := uids[:min(len(uids), w.chunk(uids[0]))]
		if err := w.fetchChunk(ctx, m, chunk); err != nil {
			w.note(chunk[0], err)
			return err
		}
		uids = uids[len(chunk):]
	}
	if anew && (w.at.validity != m.validity || w.at.uid+1 < m.next) {
		// What lies before is not to be looked at again.
		return w.commit(ctx, batch{}, cursor{validity: m.validity, uid: m.next - 1, at: w.at.at})
	}
	return nil
}

// find lists the UIDs to fetch, in order.
func (w *poller) find(m *mailbox) ([]imap.UID, error) {
	criteria := &imap.SearchCriteria{}
	after := uint32(0)
	switch {
	case !w.started:
		criteria.Since = w.p.clock().Add(-firstLook)
		criteria.NotFlag = []imap.Flag{imap.FlagSeen}
	case w.at.validity == m.validity:
		after = w.at.uid
		// "*" is the last mail, even if that is before the first number asked for.
		criteria.UID = []imap.UIDSet{{imap.UIDRange{Start: imap.UID(after) + 1, Stop: 0}}}
	case !w.at.at.IsZero():
		criteria.Since = w.at.at.Add(-margin)
	}
	var options *imap.SearchOptions
	if caps := m.Caps(); caps.Has(imap.CapESearch) || caps.Has(imap.CapIMAP4rev2) {
		options = &imap.SearchOptions{ReturnAll: true} // ranges instead of every number
	}
	found, err := m.UIDSearch(criteria, options).Wait()
	if err != nil {
		return nil, err
	}
	uids := found.AllUIDs()
	slices.Sort(uids)
	uids = slices.DeleteFunc(slices.Compact(uids), func(uid imap.UID) bool { return uint32(uid) <= after })
	return uids, nil
}

// commit delivers a batch, again and again until the store has it, and moves
// the cursor.
func (w *poller) commit(ctx context.Context, b batch, to cursor) error {
	raw, err := b.raw()
	if err != nil {
		return err
	}
	out := platform.Batch{Raw: raw, Cursor: to.String()}
	if len(raw) > 0 {
		if out.Events, err = w.p.Parse(w.c.account, raw); err != nil {
			return &platform.Error{Class: wire.ErrUnknown, Reason: err.Error()}
		}
	}
	for {
		err := w.deliver(ctx, out)
		if err == nil {
			w.at, w.started, w.failures = to, true, 0
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.failed(ctx, err)
	}
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
