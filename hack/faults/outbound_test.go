//go:build faults

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const (
	botID     = 4711
	botSecret = "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
	polled    = processes.Namespace + "/telegram"
	people    = 12

	firstPerson = 1000 // the platform's id of the first of them
)

// desk is a channel with people who have each written once.
type desk struct {
	*processes.World
	// saw is what a person has seen of us so far, in order.
	saw func(person int) []sight
	// conversations of each person.
	conversations []string

	bot       *telegram.Bot        // of a polled Telegram channel
	customers []*telegram.Customer // the people there
}

// sight is a message that a person has seen.
type sight struct {
	text string
	id   string // the platform's, as the store keeps it
}

// openDesk starts a world beside a simulated Telegram and lets everybody write.
func openDesk(t *testing.T, b backend, change ...func(*processes.Options)) *desk {
	t.Helper()
	sim := telegram.New(telegram.Options{
		Bots:      []telegram.BotSpec{{ID: botID, Secret: botSecret, Username: "shop_bot", Name: "Shop"}},
		AllowHTTP: true, Limits: telegram.Limits{Off: true}, ConflictDelay: 50 * time.Millisecond,
	})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	w := start(t, b, func(o *processes.Options) {
		o.PlatformEndpoints["telegram"] = server.URL
		o.Channels["telegram"] = document.Channel{
			UID: "2", Platform: "telegram", Account: fmt.Sprint(botID), Receive: document.ReceivePolling,
			Credentials: map[string]string{"token": fmt.Sprintf("%d:%s", botID, botSecret)},
			Config:      fmt.Appendf(nil, `{"botID":"%d"}`, botID), Limits: document.Limits{OutboundPerSecond: 1000},
		}
		for _, f := range change {
			f(o)
		}
	})
	d := &desk{World: w, bot: sim.Bot(botID)}
	d.saw = func(person int) (list []sight) {
		for _, e := range d.customers[person].Transcript() {
			if e.From == "bot" && e.Event == "message" {
				list = append(list, sight{e.Message.Text, fmt.Sprintf("%d:%d", firstPerson+person, e.MessageID)})
			}
		}
		return list
	}
	for i := range people {
		user := sim.NewUser(telegram.User{ID: int64(firstPerson + i), FirstName: fmt.Sprintf("Person %d", i)})
		customer := d.bot.Customer(user.ID)
		_, err := customer.Send(fmt.Sprintf("hello from %d", i))
		require.NoError(t, err)
		d.customers = append(d.customers, customer)
	}
	d.waitConversations(t, polled)
	return d
}

func (d *desk) waitConversations(t *testing.T, channel string) {
	t.Helper()
	eventually(t, "everybody has a conversation", func(ctx context.Context) error {
		list, err := d.Desk().Conversations(ctx, channel)
		if err != nil || len(list) < people {
			return errors.Join(err, fmt.Errorf("%d conversations", len(list)))
		}
		byContact := map[string]string{}
		for _, c := range list {
			byContact[c.Contact.ExternalID] = c.ID
		}
		d.conversations = nil
		for i := range people {
			d.conversations = append(d.conversations, byContact[fmt.Sprint(firstPerson+i)])
		}
		return nil
	})
}

func eventually(t *testing.T, what string, done func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := done(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err, "%s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// reply queues n replies to everybody, repeating under the same key what was
// not answered.
func (d *desk) reply(t *testing.T, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		for c, id := range d.conversations {
			eventually(t, "a reply is taken", func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
				defer cancel()
				_, err := d.Desk().Reply(ctx, id, fmt.Sprintf("%d-%d", c, i), fmt.Sprintf("reply %03d", i))
				return err
			})
		}
	}
}

// during runs a fault beside the work that it is to meet.
func during(t *testing.T, fault func(ctx context.Context) error, work func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- fault(ctx) }()
	work()
	require.NoError(t, <-done)
}

// settle waits until nothing is queued, and counts: what is sent was seen
// exactly once and is known by the id that the platform gave it, what is unknown
// was seen at most once, and each person saw what they saw in order. It returns
// the texts that are of unknown outcome, of everybody.
func (d *desk) settle(t *testing.T, replies int) (unknown []string) {
	t.Helper()
	for c, id := range d.conversations {
		var list []message.Message
		eventually(t, "nothing is queued any more", func(ctx context.Context) (err error) {
			if list, err = d.Desk().Conversation(ctx, id); err != nil {
				return err
			}
			n := 0
			for _, m := range list {
				if m.Direction == message.Outbound && m.Status != message.StatusQueued {
					n++
				}
			}
			if n < replies {
				return fmt.Errorf("%d of %d replies are done", n, replies)
			}
			return nil
		})
		seen := map[string][]string{} // ids by text
		last := ""
		for _, s := range d.saw(c) {
			seen[s.text] = append(seen[s.text], s.id)
			assert.Less(t, last, s.text, "person %d saw it out of order", c)
			last = s.text
		}
		for _, m := range list {
			switch {
			case m.Direction != message.Outbound:
			case m.Status == message.StatusSent:
				assert.Equal(t, []string{m.ExternalID}, seen[m.Text], "person %d: %q is sent", c, m.Text)
			case m.Status == message.StatusUnknown:
				unknown = append(unknown, m.Text)
				assert.LessOrEqual(t, len(seen[m.Text]), 1, "person %d: %q is unknown", c, m.Text)
			default:
				assert.Fail(t, "a reply is neither sent nor unknown", "person %d: %q is %s (%s)", c, m.Text, m.Status, m.Reason)
			}
		}
	}
	return unknown
}

// TestPlatformInTrouble: everything that a platform does to a sender.
func TestPlatformInTrouble(t *testing.T) {
	tests := map[string]struct {
		fault   telegram.Fault
		unknown bool // the outcome cannot be known
	}{
		"timeout":               {telegram.Fault{Kind: telegram.FaultHang, Times: 1}, true},
		"429 with Retry-After":  {telegram.Fault{Kind: telegram.FaultRateLimit, RetryAfter: 1, Times: 3}, false},
		"500":                   {telegram.Fault{Kind: telegram.FaultFail, Code: 500, Times: 3}, true},
		"connection reset":      {telegram.Fault{Kind: telegram.FaultReset, Times: 3}, true},
		"answer lost":           {telegram.Fault{Kind: telegram.FaultLost, Times: 3}, true},
		"answer garbled":        {telegram.Fault{Kind: telegram.FaultGarbled, Times: 3}, true},
		"success after timeout": {telegram.Fault{Kind: telegram.FaultLate, Times: 1}, true},
	}
	onBoth(t, func(t *testing.T, b backend) {
		b.stores = 1 // it is the bridge that is tested, and many run at once
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := openDesk(t, b)
				test.fault.Method = "sendMessage"
				_, err := d.bot.AddFault(test.fault)
				require.NoError(t, err)
				d.reply(t, 0, 2)
				unknown := d.settle(t, 2)
				waited(t, d.bot, time.Duration(test.fault.RetryAfter)*time.Second)
				if test.unknown {
					assert.LessOrEqual(t, len(unknown), test.fault.Times, "only what met the fault is unknown")
				} else {
					assert.Empty(t, unknown)
				}
			})
		}
	})
}

// waited looks at the simulator's own log: whoever was told to wait was not
// written to before that was over.
func waited(t *testing.T, bot *telegram.Bot, retryAfter time.Duration) {
	t.Helper()
	until := map[string]time.Time{}
	for _, call := range bot.Calls("sendMessage", 0) {
		chat := call.Params["chat_id"]
		// The store keeps times in whole milliseconds.
		assert.False(t, call.Time.Before(until[chat].Add(-2*time.Millisecond)), "%s was written to %s too early", chat, until[chat].Sub(call.Time))
		if call.Fault == telegram.FaultRateLimit {
			until[chat] = call.Time.Add(retryAfter)
		}
	}
}

// TestPartTwoOfThree: what was sent is not sent again, what follows waits, and
// how it ended is said.
func TestPartTwoOfThree(t *testing.T) {
	tests := map[string]struct {
		fault  telegram.Fault
		seen   []string // of a message a, b, c and of d after it
		status message.Status
	}{
		"later":             {telegram.Fault{Kind: telegram.FaultRateLimit, RetryAfter: 1}, []string{"a", "b", "c", "d"}, message.StatusSent},
		"refused":           {telegram.Fault{Kind: telegram.FaultFail, Code: 400, Description: "Bad Request: message is too odd"}, []string{"a", "d"}, message.StatusFailed},
		"lost":              {telegram.Fault{Kind: telegram.FaultReset}, []string{"a", "d"}, message.StatusUnknown},
		"done and not told": {telegram.Fault{Kind: telegram.FaultLost}, []string{"a", "b", "d"}, message.StatusUnknown},
	}
	onBoth(t, func(t *testing.T, b backend) {
		b.stores = 1 // it is the outbox that is tested, and many run at once
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := openDesk(t, b)
				test.fault.Method, test.fault.Skip, test.fault.Times = "sendMessage", 1, 1
				_, err := d.bot.AddFault(test.fault)
				require.NoError(t, err)
				long := strings.Repeat("a", 4096) + strings.Repeat("b", 4096) + "c"
				m, err := d.Desk().Reply(t.Context(), d.conversations[0], "long", long)
				require.NoError(t, err)
				_, err = d.Desk().Reply(t.Context(), d.conversations[0], "after", "d")
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err = d.customers[0].WaitMessages(ctx, len(test.seen))
				require.NoError(t, err)
				eventually(t, "it is told", func(ctx context.Context) error {
					list, err := d.Desk().Conversation(ctx, d.conversations[0])
					if err != nil {
						return err
					}
					status := map[string]message.Status{}
					for _, m := range list {
						status[m.Text] = m.Status
					}
					if status[long] != test.status || status["d"] != message.StatusSent {
						return fmt.Errorf("the long one is %q, the one after it %q", status[long], status["d"])
					}
					return nil
				})
				var first []string // all of it, now that nothing is left to send
				for _, s := range d.saw(0) {
					first = append(first, s.text[:1])
				}
				assert.Equal(t, test.seen, first, "of message %s and the one after it", m.ID)
			})
		}
	})
}

// TestBridgeKilledWhileSending: what was under way is unknown, the rest is sent
// once; and what was written when the last one was back is sent.
func TestBridgeKilledWhileSending(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		const replies, kills, after = 30, 3, 5
		d := openDesk(t, b)
		for round := range kills {
			d.reply(t, round*replies/kills, replies/kills)
			p := d.Bridges[round%2]
			p.Kill()
			again(t, p)
		}
		d.reply(t, replies, after)
		unknown := d.settle(t, replies+after)
		t.Logf("%d of %d replies are of unknown outcome", len(unknown), (replies+after)*people)
		assert.LessOrEqual(t, len(unknown), kills*people, "a person has at most one reply under way")
		for _, text := range unknown {
			assert.Less(t, text, fmt.Sprintf("reply %03d", replies), "nobody was killed since it was written")
		}
	})
}

// TestStoreKilledWhileSending: leases and reports are cut off, and whoever
// writes repeats what was not answered. Whoever sends lives on and tells in the
// end what became of it: nothing is unknown.
func TestStoreKilledWhileSending(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		const replies, kills = 30, 4
		d := openDesk(t, b)
		during(t, func(ctx context.Context) error {
			for i := range kills {
				p := d.Stores[i%len(d.Stores)]
				p.Kill()
				if err := p.Start(ctx); err != nil {
					return err
				}
			}
			return nil
		}, func() { d.reply(t, 0, replies) })
		d.settleSent(t, replies)
	})
}

// settleSent is settle where no outcome may be unknown: every reply that was
// taken is sent, and was seen exactly once and in order.
func (d *desk) settleSent(t *testing.T, replies int) {
	t.Helper()
	eventually(t, "whoever sent lived on, and told once somebody listened", func(ctx context.Context) error {
		for c, id := range d.conversations {
			list, err := d.Desk().Conversation(ctx, id)
			if err != nil {
				return err
			}
			sent := 0
			for _, m := range list {
				if m.Status == message.StatusSent {
					sent++
				}
			}
			if sent < replies {
				return fmt.Errorf("person %d: %d of %d replies are sent", c, sent, replies)
			}
		}
		return nil
	})
	require.Empty(t, d.settle(t, replies))
	for c := range d.conversations {
		var want, saw []string
		for i := range replies {
			want = append(want, fmt.Sprintf("reply %03d", i))
		}
		for _, s := range d.saw(c) {
			saw = append(saw, s.text)
		}
		assert.Equal(t, want, saw, "what person %d saw", c)
	}
}

// TestStoreAwayWhileSending cuts the bridges off in the middle of leases, sends
// and reports, for longer than a request to the store (15 s) and less than a
// lease (90 s) lasts. Desks still reach the store, and write.
func TestStoreAwayWhileSending(t *testing.T) {
	const away, replies = 30 * time.Second, 30
	onBoth(t, func(t *testing.T, b backend) {
		d := openDesk(t, b)
		during(t, func(ctx context.Context) error {
			d.waitSeen(ctx, people) // some are sent, more are under way
			d.Internal.Cut()
			defer d.Internal.Heal()
			select {
			case <-time.After(away): // the fault's own length
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, func() { d.reply(t, 0, replies) })
		d.settleSent(t, replies)
	})
}

// TestStoreHangsWhileSending: stores take connections and say nothing, in the
// middle of leases, sends and reports. What was under way then is reported once
// they go on, within the lease.
func TestStoreHangsWhileSending(t *testing.T) {
	const hangs, replies = 30 * time.Second, 30
	onBoth(t, func(t *testing.T, b backend) {
		d := openDesk(t, b)
		during(t, func(ctx context.Context) error {
			d.waitSeen(ctx, people) // some are sent, more are under way
			for _, p := range d.Stores {
				p.Pause()
				defer p.Resume()
			}
			select {
			case <-time.After(hangs): // the fault's own length
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, func() { d.reply(t, 0, replies) })
		d.settleSent(t, replies)
	})
}

// TestRollingUpdateWhileSending stops and starts one store after the other while
// replies are written and sent.
func TestRollingUpdateWhileSending(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		const replies = 30
		d := openDesk(t, b)
		during(t, func(ctx context.Context) error {
			for range 2 {
				for _, p := range d.Stores {
					d.waitMore(ctx, replies) // the one before is at work again
					p.Stop()
					if err := p.Start(ctx); err != nil {
						return err
					}
				}
			}
			return ctx.Err()
		}, func() { d.reply(t, 0, replies) })
		d.settleSent(t, replies)
	})
}

// seen is how many replies people have seen so far.
func (d *desk) seen() (n int) {
	for c := range d.conversations {
		n += len(d.saw(c))
	}
	return n
}

// waitMore returns when everybody may have seen one more of so many replies each,
// or everything has been seen: where a fault took long, others went on meanwhile.
func (d *desk) waitMore(ctx context.Context, replies int) {
	d.waitSeen(ctx, min(d.seen()+people, replies*people))
}

// waitSeen returns when people have seen that many replies, or ctx is done.
func (d *desk) waitSeen(ctx context.Context, n int) {
	for d.seen() < n && ctx.Err() == nil {
		<-time.After(10 * time.Millisecond)
	}
}

// TestPollerKilledBetweenFetchAndCommit: the store is out of reach when the
// poller has fetched, and the poller dies with what it has in its hands.
func TestPollerKilledBetweenFetchAndCommit(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		d := openDesk(t, b)
		var want []string
		for i := range people {
			want = append(want, fmt.Sprintf("hello from %d", i))
		}
		for round := range 2 {
			before := map[*processes.Process]int{}
			for _, p := range d.Bridges {
				n, err := metric(t.Context(), p, refusedSeries)
				require.NoError(t, err)
				before[p] = n
			}
			d.Internal.Cut()
			for i, customer := range d.customers {
				text := fmt.Sprintf("round %d of %d", round, i)
				want = append(want, text)
				_, err := customer.Send(text)
				require.NoError(t, err)
			}
			var holder *processes.Process
			eventually(t, "a poller has fetched and cannot commit", func(ctx context.Context) error {
				for p, n := range before {
					now, err := metric(ctx, p, refusedSeries)
					if err != nil {
						return err
					}
					if now > n {
						holder = p
						return nil
					}
				}
				return errors.New("nobody was refused by the store")
			})
			holder.Kill()
			d.Internal.Heal()
			again(t, holder)
			d.waitStored(t, want)
		}
	})
}

// waitStored returns when exactly these texts have been taken in, each once.
func (d *desk) waitStored(t *testing.T, want []string) {
	t.Helper()
	var got []string
	eventually(t, "everything is stored", func(ctx context.Context) error {
		list, err := d.Desk().Messages(ctx, polled, message.Inbound)
		if err != nil {
			return err
		}
		got = nil
		for _, m := range list {
			got = append(got, m.Text)
		}
		if len(got) < len(want) {
			return fmt.Errorf("%d messages, want %d", len(got), len(want))
		}
		return nil
	})
	assert.ElementsMatch(t, want, got)
}
