package email

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/hack/mailserver"
)

func TestMailArrivesByIdleOverEachKindOfConnection(t *testing.T) {
	for _, mode := range []TLSMode{TLSImplicit, TLSStart, TLSNone} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBox(t)
			config := b.config()
			config.IMAP.TLS = mode
			if mode != TLSImplicit {
				config.IMAP.Port = b.IMAP
			}
			r := newReader(t, b.load(config)).start()
			r.wait("the first look", r.healthy)
			b.save(b.plainMail("one@customer.test", "Where is it?"))
			r.wait("the mail", func() bool { return len(r.ids) == 1 })
			m := r.events[0].Message
			require.Equal(t, "one@customer.test", m.ExternalID)
			require.Equal(t, "Where is it?", m.Text)
			require.Equal(t, "About my parcel", m.Mail.Subject)
			require.Equal(t, b.from, m.Contact.ExternalID)
			require.WithinDuration(t, time.Now(), m.Timestamp, time.Minute)
		})
	}
}

func TestAServerWithoutIdleIsAskedAgainAndAgain(t *testing.T) {
	if err := mailserver.Find(); err != nil {
		mailserver.Require(t, err)
	}
	address := "shop@" + mailserver.ShopDomain
	s, err := mailserver.Start(t.Context(), mailserver.Options{Users: map[string]string{address: testPassword}, Capability: "IMAP4rev1"})
	mailserver.Require(t, err)
	t.Cleanup(s.Close)
	b := box{Servers: s, t: t, address: address, from: "ana@customer.test"}
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	for i := range 3 {
		b.save(b.plainMail(fmt.Sprintf("%d@customer.test", i), "Hello?"))
		r.wait("the mail", func() bool { return len(r.ids) == i+1 })
	}
}

func TestOnlyUnreadMailOfTheLastDayIsFetchedAtFirst(t *testing.T) {
	b := newBox(t)
	b.fill("lastweek", 1, time.Now().Add(-7*24*time.Hour), false)
	b.fill("read", 1, time.Now(), true)
	b.save(b.plainMail("waiting@customer.test", "I wait for an answer"))
	r := newReader(t, b.load(b.config())).start()
	r.wait("the mail and the cursor", func() bool { return len(r.ids) > 0 && r.healthy() })
	r.end()
	require.Equal(t, []string{"waiting@customer.test"}, r.ids)
	cursor, ok := parseCursor(r.cursor)
	require.True(t, ok)
	require.Equal(t, uint32(3), cursor.uid)

	// From an empty mailbox on, nothing is forgotten either.
	empty := newBox(t)
	r = newReader(t, empty.load(empty.config())).start()
	r.wait("the cursor", func() bool { return r.cursor != "" && r.healthy() })
	r.end()
	empty.save(empty.plainMail("between@customer.test", "Nobody listens"))
	r.start()
	r.wait("what came between", func() bool { return len(r.ids) == 1 })
}

func TestNothingIsLostAndNothingComesTwiceOverReconnects(t *testing.T) {
	b := newBox(t)
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	var want []string
	for i := range 6 {
		id := fmt.Sprintf("%d@customer.test", i)
		want = append(want, id)
		switch i {
		case 2:
			require.NoError(t, b.Kick(t.Context(), b.address))
		case 4:
			r.end()
			b.save(b.plainMail(id, "while nobody reads"))
			r.start()
			continue
		}
		b.save(b.plainMail(id, "text"))
	}
	r.wait("all of them", func() bool { return len(r.ids) == len(want) })
	require.Equal(t, want, r.ids)
}

func TestTheServerIsAwayForAWhile(t *testing.T) {
	address := "shop@" + mailserver.ShopDomain
	s, err := mailserver.Start(t.Context(), mailserver.Options{Users: map[string]string{address: testPassword}})
	mailserver.Require(t, err)
	t.Cleanup(s.Close)
	b := box{Servers: s, t: t, address: address, from: "ana@customer.test"}
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	b.save(b.plainMail("before@customer.test", "text"))
	r.wait("the first mail", func() bool { return len(r.ids) == 1 })
	s.StopIMAP()
	r.wait("trouble", func() bool { return !r.healthy() })
	require.NoError(t, s.StartIMAP(t.Context()))
	r.wait("peace", r.healthy)

	// The mailbox is numbered anew: what is known comes again under the same
	// ids, which the store knows, and what came meanwhile is not lost.
	require.NoError(t, s.Renumber(t.Context(), address))
	b.save(b.plainMail("after@customer.test", "text"))
	b.save(strings.Replace(b.plainMail("x", "no id"), "Message-ID: <x>\n", "", 1))
	r.wait("the others", func() bool { return len(r.ids) >= 4 })
	require.Contains(t, r.ids, "after@customer.test")
	before, _ := parseCursor(r.cursor)
	seen := map[string]int{}
	for _, id := range r.ids {
		seen[id]++
	}
	require.Len(t, seen, 3)

	require.NoError(t, s.Renumber(t.Context(), address))
	b.save(b.plainMail("last@customer.test", "text"))
	r.wait("the last", func() bool { return r.ids[len(r.ids)-1] == "last@customer.test" })
	seen = map[string]int{}
	for _, id := range r.ids {
		seen[id]++
	}
	require.Len(t, seen, 4, "the mail without an id has the same one under another number: %v", r.ids)
	after, _ := parseCursor(r.cursor)
	require.NotEqual(t, before.validity, after.validity)
}

func TestALargeMailboxComesInBoundedBatches(t *testing.T) {
	b := newBox(t)
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	r.end()
	const mails = 70
	long := strings.Repeat("All work and no play makes Jack a dull boy.\n", 4000) // 172 KB each
	for i := range mails {
		text := "short"
		if i%5 == 0 {
			text = long
		}
		b.save(b.plainMail(fmt.Sprintf("%d@customer.test", i), text))
	}
	r.start()
	r.wait("all of them", func() bool { return len(r.ids) == mails })
	for i, id := range r.ids {
		require.Equal(t, fmt.Sprintf("%d@customer.test", i), id, "in order")
	}
	for _, batch := range r.batches {
		require.LessOrEqual(t, len(batch.Events), chunkSize)
		require.Less(t, len(batch.Raw), 2*(maxBatchBytes+maxMailText))
	}
}

// TestTenThousandMails: what lies in a mailbox since long is not read, and what
// came while nobody looked comes once each, in the order that the server has them.
func TestTenThousandMails(t *testing.T) {
	const mails, missed = 10_000, 2_000
	b := newBox(t)
	b.fill("old", mails, time.Now().Add(-30*24*time.Hour), true)
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	b.save(b.plainMail("new@customer.test", "text"))
	r.wait("the new one", func() bool { return len(r.ids) > 0 })
	require.Equal(t, []string{"new@customer.test"}, r.ids)
	r.end()

	b.fill("", missed, time.Now(), false)
	r.start()
	r.wait("all of them", func() bool { return len(r.ids) >= missed+1 })
	require.Len(t, r.ids, missed+1)
	seen := map[string]bool{}
	for _, id := range r.ids {
		require.False(t, seen[id], "%s came twice", id)
		seen[id] = true
	}
	for _, batch := range r.batches {
		require.LessOrEqual(t, len(batch.Events), chunkSize)
		require.Less(t, len(batch.Raw), 2*(maxBatchBytes+maxMailText))
	}
}

// TestAServerTellsWhatTheFixturesSay: the payloads that the other tests parse are
// what a real server makes of the mails.
func TestAServerTellsWhatTheFixturesSay(t *testing.T) {
	b := newBox(t)
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	r.end()
	paths, err := filepath.Glob("testdata/mails/*.eml")
	require.NoError(t, err)
	var want []message.Event
	for i, path := range paths {
		mail, err := os.ReadFile(path)
		require.NoError(t, err)
		b.save(string(mail))
		raw, err := json.Marshal(payloadOf(t, uint32(i+1), crlf(string(mail))))
		require.NoError(t, err)
		events, err := New().Parse(testAccount, raw)
		require.NoError(t, err)
		want = append(want, events...)
	}
	var got []message.Event
	r.ch.(*channel).account = testAccount // the mails are for this one
	r.start()
	last := want[len(want)-1].Message.ExternalID
	r.wait("all of them", func() bool { return len(r.ids) > 0 && r.ids[len(r.ids)-1] == last })
	validity, _, _ := strings.Cut(r.cursor, ":")
	for _, e := range r.events {
		if e.Receipt != nil {
			e.Receipt.Timestamp = testArrival
		} else {
			e.Message.Timestamp = testArrival
			for i := range e.Message.Attachments {
				e.Message.Attachments[i].Ref = strings.Replace(e.Message.Attachments[i].Ref, validity, "1700000000", 1)
			}
		}
		got = append(got, e)
	}
	require.Empty(t, cmp.Diff(want, got))
}

// TestAMailThatCannotBeReadHoldsNothingUp: between this Dovecot and the poller
// somebody breaks the description of one mail.
func TestAMailThatCannotBeReadHoldsNothingUp(t *testing.T) {
	b := newBox(t)
	config := b.config()
	config.IMAP.TLS, config.IMAP.Port = TLSNone, breaking(t, b.IMAP, `"poison.bin"`)
	r := newReader(t, b.load(config)).start()
	r.wait("the first look", r.healthy)
	r.end()
	poisoned := strings.Replace(b.plainMail("1@customer.test", "x"), "text/plain; charset=utf-8", `text/plain; name="poison.bin"`, 1)
	b.save(b.plainMail("0@customer.test", "before"), poisoned, b.plainMail("2@customer.test", "behind"))
	r.start()
	r.wait("those around it", func() bool { return len(r.ids) == 3 })
	require.Equal(t, []string{"0@customer.test", "1@customer.test", "2@customer.test"}, r.ids)
	m := r.events[1].Message
	require.Equal(t, message.TypeUnsupported, m.Type)
	require.Equal(t, "About my parcel", m.Mail.Subject)
	require.Equal(t, b.from, m.Contact.ExternalID)
	require.Equal(t, "behind", r.events[2].Message.Text)
}

// breaking is a way to a server on which words fall apart.
func breaking(t *testing.T, port int, word string) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var active sync.WaitGroup
	active.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			active.Go(func() {
				defer client.Close()
				server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
				lines := bufio.NewReader(server)
				for {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					if strings.Contains(line, "BODYSTRUCTURE") {
						line = strings.ReplaceAll(line, word, "(((broken")
					}
					_, _ = io.WriteString(client, line)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); active.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestABatchThatTheStoreRefusesComesAgain(t *testing.T) {
	b := newBox(t)
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	r.mu.Lock()
	r.refuse = errors.New("the store is away")
	r.mu.Unlock()
	b.save(b.plainMail("one@customer.test", "text"))
	r.wait("trouble", func() bool { return !r.healthy() })
	r.mu.Lock()
	require.Empty(t, r.ids)
	before := r.cursor
	r.refuse = nil
	r.mu.Unlock()
	r.wait("the mail", func() bool { return len(r.ids) == 1 })
	require.NotEqual(t, before, r.cursor)
}

func TestWhatAServerRefusesIsNamed(t *testing.T) {
	b := newBox(t)
	for name, tt := range map[string]struct {
		change      func(*Config)
		credentials map[string]string
		class       wire.ErrorClass
		words       string
	}{
		"wrong password":             {func(*Config) {}, map[string]string{KeyPassword: "wrong-password"}, wire.ErrAuthInvalid, "refuses the login"},
		"no such mailbox":            {func(c *Config) { c.IMAP.Mailbox = "Elsewhere" }, nil, wire.ErrMisconfigured, "email.imap.mailbox"},
		"no authority":               {func(c *Config) { c.CABundle = "" }, nil, wire.ErrMisconfigured, "email.caBundle"},
		"TLS on the other port":      {func(c *Config) { c.IMAP.Port = b.IMAP }, nil, wire.ErrMisconfigured, "StartTLS"},
		"nobody listens":             {func(c *Config) { c.IMAP.Port = 1 }, nil, wire.ErrRetryable, "no connection"},
		"no submission":              {func(c *Config) { c.SMTP.Port = 1 }, nil, wire.ErrRetryable, "no connection"},
		"TLS on the submission port": {func(c *Config) { c.SMTP.Port = b.Submission }, nil, wire.ErrMisconfigured, "StartTLS"},
	} {
		t.Run(name, func(t *testing.T) {
			config := b.config()
			tt.change(&config)
			_, err := New().Probe(t.Context(), loadConfig(t, config, tt.credentials))
			var e *platform.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tt.class, e.Class, e.Reason)
			require.Contains(t, e.Reason, tt.words)
			require.NotContains(t, fmt.Sprintf("%+v", err), "wrong-password")
		})
	}
	result, err := New().Probe(t.Context(), b.load(b.config()))
	require.NoError(t, err)
	require.Equal(t, b.address, result.Account)
}

func TestPrivateHostsAreForbiddenUnlessTheBridgeAllowsThem(t *testing.T) {
	config := Config{Address: "a@shop.test", IMAP: IMAP{Server: Server{Host: "127.0.0.1"}}, SMTP: Server{Host: "127.0.0.1"}}
	spec := specOf(t, config, nil)
	spec.AllowPrivate = false
	ch, err := New().Load(t.Context(), spec)
	require.NoError(t, err)
	_, err = New().Probe(t.Context(), ch)
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrMisconfigured, e.Class)
	require.Contains(t, e.Reason, "egress.allowPrivateHosts")
	_, err = New().Send(t.Context(), ch, platform.Outgoing{Delivery: testDelivery, To: "b@customer.test", Part: wire.Part{Text: "hello"}})
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrMisconfigured, e.Class)
}

func TestMailIsMarkedAsSeenOnlyOnRequest(t *testing.T) {
	for _, mark := range []bool{false, true} {
		b := newBox(t)
		config := b.config()
		config.IMAP.MarkSeen = mark
		ch := b.load(config)
		r := newReader(t, ch).start()
		r.wait("the first look", r.healthy)
		b.save(b.plainMail("one@customer.test", "text"))
		r.wait("the mail", func() bool { return len(r.ids) == 1 })
		b.save(b.plainMail("two@customer.test", "text")) // it comes after the first one was marked
		r.wait("the next", func() bool { return len(r.ids) == 2 })
		r.end()
		first := newReader(t, ch) // somebody without a cursor takes what is unread
		first.start()
		first.wait("the cursor", func() bool { return first.healthy() })
		first.end()
		require.Equal(t, mark, len(first.ids) < 2, "%v", first.ids)
	}
}

// TestAShortConnectionIsNotMadeAgainAtOnce: a server that takes a login and ends
// the connection is not called in a circle.
func TestAShortConnectionIsNotMadeAgainAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // pauses take no time
	lost := &platform.Error{Class: wire.ErrRetryable, Reason: "closed"}
	for name, tt := range map[string]struct {
		healthy  bool
		err      error
		lasted   time.Duration
		failures int
		reports  int
	}{
		"it lasted":          {true, lost, steady, 0, 0},
		"it did not":         {true, lost, steady - 1, 3, 0},
		"it never worked":    {false, lost, time.Hour, 3, 1},
		"something is wrong": {true, &platform.Error{Class: wire.ErrAuthInvalid}, time.Hour, 3, 1},
	} {
		reports := 0
		w := poller{p: New(), healthy: tt.healthy, failures: 2, report: func(error) { reports++ }}
		w.ended(ctx, tt.err, tt.lasted)
		require.Equal(t, tt.failures, w.failures, name)
		require.Equal(t, tt.reports, reports, name)
		require.False(t, w.healthy)
	}
}

// TestMailOfAnotherChannelOfTheDomain: only what this channel sent is its own.
func TestMailOfAnotherChannelOfTheDomain(t *testing.T) {
	mail := "From: %s\nTo: shop@shop.test\nMessage-ID: <" + messageID(testDelivery, 0, testAccount) + ">\n%sContent-Type: text/plain\n\nhello\n"
	for from, want := range map[string]int{"sales@shop.test": 1, testAccount: 0} {
		m := asFetched(t, crlf(fmt.Sprintf(mail, from, "X-Loop: "+from+"\n")))
		require.Len(t, m.events(1, testAccount), want, from)
	}
}
