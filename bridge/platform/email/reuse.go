package email

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A connection costs some six round trips and a login before the first mail goes
// over it, and servers count logins. So one that has taken a mail is kept a
// while for the next one of its Channel:
//
//	Send ──take──► RSET answered? ──yes──► MAIL, RCPT, DATA ──► keep ──► QUIT after keepFor
//	                    └─no─► a new one ──────────┘
const (
	// keepFor is how long one waits for the next mail. Servers must wait five
	// minutes for a command (RFC 5321 section 4.5.3.2.7), and busy ones wait less
	// (Postfix under stress: 10 s).
	keepFor = 8 * time.Second
	// maxKept of one Channel wait at a time: a queue that is worked off has a few in
	// turn, and servers bound the connections of an account (Microsoft 365: 3).
	maxKept = 2
	// maxMails go over one connection: servers bound that as well (100 is common).
	maxMails = 50
)

// kept are the connections of one Channel that wait for the next mail. Safe for
// concurrent use.
type kept struct {
	mu   sync.Mutex
	list []*submission
}

// take is one that waits; nil: there is none.
func (k *kept) take() *submission {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.list) == 0 {
		return nil
	}
	s := k.list[len(k.list)-1] // the one that has waited least
	k.list = k.list[:len(k.list)-1]
	s.leave.Stop()
	return s
}

// keep makes one wait; false: there are enough.
func (k *kept) keep(s *submission, period time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.list) >= maxKept {
		return false
	}
	k.list = append(k.list, s)
	s.leave = time.AfterFunc(period, func() {
		if k.remove(s) {
			s.end()
		}
	})
	return true
}

// remove takes a certain one out; false: somebody has it already.
func (k *kept) remove(s *submission) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.list, s)
	if i >= 0 {
		k.list = slices.Delete(k.list, i, i+1)
	}
	return i >= 0
}

// submission is a connection that is ready for a mail and ends with ctx: one that
// waited, if the server still answers on it, else a new one.
func (c *channel) submission(ctx context.Context) (*submission, error) {
	for s := c.kept.take(); s != nil; s = c.kept.take() {
		s.bind(ctx)
		if s.Reset() == nil {
			return s, nil
		}
		s.drop()
	}
	return c.openSubmission(ctx)
}

// done is called once the server has taken a mail: the connection waits for the
// next one, or ends.
func (c *channel) done(s *submission) {
	s.mails++
	if !s.stop() { // ctx is over, and with it the connection
		s.drop()
		return
	}
	if s.mails >= maxMails || !c.kept.keep(s, c.keepFor) {
		s.end()
	}
}
