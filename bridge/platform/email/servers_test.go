package email

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/hack/mailserver"
)

// mailboxes of the shared servers: each test takes its own.
const mailboxes = 400

const testPassword = "correct-horse-battery"

var (
	shared     *mailserver.Servers
	sharedErr  error
	sharedOnce sync.Once
	taken      atomic.Int64
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}

// servers are Dovecot and Postfix, the same ones for all tests.
func servers(t *testing.T) *mailserver.Servers {
	t.Helper()
	sharedOnce.Do(func() {
		users := map[string]string{}
		for i := range mailboxes {
			users[fmt.Sprintf("shop%d@%s", i, mailserver.ShopDomain)] = testPassword
			users[fmt.Sprintf("ana%d@%s", i, mailserver.CustomerDomain)] = testPassword
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		shared, sharedErr = mailserver.Start(ctx, mailserver.Options{Users: users})
	})
	mailserver.Require(t, sharedErr)
	return shared
}

// box is one test's mailbox with a customer who writes to it.
type box struct {
	*mailserver.Servers
	t             *testing.T
	address, from string
}

func newBox(t *testing.T) box {
	s := servers(t)
	i := taken.Add(1) - 1
	require.Less(t, i, int64(mailboxes), "raise mailboxes")
	return box{Servers: s, t: t, address: fmt.Sprintf("shop%d@%s", i, mailserver.ShopDomain), from: fmt.Sprintf("ana%d@%s", i, mailserver.CustomerDomain)}
}

// config of a Channel for the mailbox.
func (b box) config() Config {
	return Config{
		Address: b.address, DisplayName: "The Shop", CABundle: b.CA,
		IMAP: IMAP{Server: Server{Host: "127.0.0.1", Port: b.IMAPS, TLS: TLSImplicit}},
		SMTP: Server{Host: "127.0.0.1", Port: b.Submissions, TLS: TLSImplicit},
	}
}

func (b box) load(config Config) platform.Channel { return loadConfig(b.t, config, nil) }

func loadConfig(t *testing.T, config Config, credentials map[string]string) platform.Channel {
	t.Helper()
	ch, err := New().Load(t.Context(), specOf(t, config, credentials))
	require.NoError(t, err)
	return ch
}

func specOf(t *testing.T, config Config, credentials map[string]string) platform.LoadSpec {
	raw, err := json.Marshal(config)
	require.NoError(t, err)
	if credentials == nil {
		credentials = map[string]string{KeyPassword: testPassword}
	}
	return platform.LoadSpec{Name: "shop/mail", AllowPrivate: true, Spec: document.Channel{
		Platform: Name, Account: config.Address, Receive: document.ReceivePolling, Credentials: credentials, Config: raw,
	}}
}

func (b box) save(mails ...string) {
	b.t.Helper()
	for _, m := range mails {
		require.NoError(b.t, b.Save(b.t.Context(), b.address, crlf(m)))
	}
}

// fill puts n mails into the mailbox, <prefix>0@customer.test and so on.
func (b box) fill(prefix string, n int, arrived time.Time, read bool) {
	b.t.Helper()
	require.NoError(b.t, b.Fill(b.address, n, arrived, read, func(i int) []byte {
		return crlf(b.plainMail(fmt.Sprintf("%s%d@customer.test", prefix, i), "text"))
	}))
}

// plainMail is the simplest mail of a customer.
func (b box) plainMail(id, text string) string {
	return fmt.Sprintf("Return-Path: <%s>\nFrom: Ana <%s>\nTo: %s\nSubject: About my parcel\nMessage-ID: <%s>\nDate: Fri, 20 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s\n", b.from, b.from, b.address, id, text)
}

// reader runs a poller and keeps what it delivers, as the store does: once
// each, with the cursor.
type reader struct {
	t       *testing.T
	p       *Platform
	ch      platform.Channel
	mu      sync.Mutex
	cursor  string
	events  []message.Event
	ids     []string // of messages, as often as they came
	batches []platform.Batch
	reports []error
	refuse  error // what deliver answers
	room    int   // how many batches are taken; 0: all
	changed chan struct{}
	stop    context.CancelFunc
	done    chan struct{}
}

func newReader(t *testing.T, ch platform.Channel) *reader {
	return &reader{t: t, ch: ch, p: &Platform{Backoff: 5 * time.Millisecond, PollEvery: 20 * time.Millisecond}, changed: make(chan struct{}, 1)}
}

func (r *reader) start() *reader {
	ctx, stop := context.WithCancel(r.t.Context())
	r.stop, r.done = stop, make(chan struct{})
	done := r.done
	go func() {
		defer close(done)
		_ = r.p.Run(ctx, r.ch, r.cursor, r.deliver, r.report)
	}()
	r.t.Cleanup(r.end)
	return r
}

func (r *reader) end() {
	r.stop()
	<-r.done
}

func (r *reader) tell() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *reader) deliver(_ context.Context, b platform.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	if r.refuse != nil {
		return r.refuse
	}
	if r.room > 0 && len(r.batches) == r.room {
		return errFull
	}
	r.cursor = b.Cursor
	r.batches = append(r.batches, b)
	r.events = append(r.events, b.Events...)
	for _, e := range b.Events {
		if e.Message != nil {
			r.ids = append(r.ids, e.Message.ExternalID)
		}
	}
	return nil
}

var errFull = errors.New("the store takes no more")

func (r *reader) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, err)
	r.tell()
}

// wait until the condition holds; it is called with the lock held.
func (r *reader) wait(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		r.mu.Lock()
		ok := condition()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.changed:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Failf(r.t, "not in time: "+what, "ids %q\ncursor %q\nreports %v", r.ids, r.cursor, r.reports)
		}
	}
}

func (r *reader) healthy() bool { return len(r.reports) > 0 && r.reports[len(r.reports)-1] == nil }
