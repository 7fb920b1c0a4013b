//go:build faults

package faults

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

// pageDesk is a Messenger channel: the bridges register its webhook, so that the
// page's echoes and receipts come back through them.
type pageDesk struct {
	*desk
	sim *meta.Server
}

func (d *pageDesk) person(i int) *meta.Person { return d.sim.Person(page, fmt.Sprint(firstPerson+i)) }

// openPage starts a world beside a simulated Meta and lets everybody write.
func openPage(t *testing.T, b backend) *pageDesk {
	t.Helper()
	sim := meta.New(meta.Options{
		Apps: []meta.AppSpec{{ID: app, Secret: appSecret}}, Accounts: []meta.AccountSpec{{ID: page, Name: "Shop", Token: "page-token", App: app}},
		AllowHTTP: true,
	})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	w := start(t, b, func(o *processes.Options) { o.PlatformEndpoints["messenger"] = server.URL })
	channels := map[string]document.Channel{"messenger": messenger()}
	registered := channels["messenger"]
	registered.WebhookURL, registered.RegisterWebhook = w.WebhookURL("/webhooks/apps/messenger/"+app), true
	channels["messenger"] = registered
	require.NoError(t, w.SetChannels(channels))
	eventually(t, "the page's webhooks come", func(context.Context) error {
		sub, _ := sim.Subscription(app, "page")
		for _, fields := range [][]string{sub.Fields, sim.Subscribed(page, app)} {
			if !slices.Contains(fields, "message_echoes") {
				return fmt.Errorf("subscribed to %v", fields)
			}
		}
		return nil
	})
	d := &pageDesk{&desk{World: w}, sim}
	d.saw = func(person int) (list []sight) {
		for _, e := range d.person(person).Transcript("shop", "message") {
			list = append(list, sight{e.Message.Text, e.MID})
		}
		return list
	}
	for i := range people {
		_, err := d.person(i).Write(meta.Words{Text: fmt.Sprintf("hello from %d", i)})
		require.NoError(t, err)
	}
	d.waitConversations(t, channel)
	return d
}

// sends is the path of the Send API.
const sends = "/messages"

// TestMetaInTrouble: whatever Meta did is proved by its echo, also where the
// answer was lost or came too late; what it did not do, and did not say so, is
// unknown.
func TestMetaInTrouble(t *testing.T) {
	tests := map[string]struct {
		fault   meta.Fault
		unknown bool // the outcome cannot be known
	}{
		"timeout":                {meta.Fault{Kind: meta.FaultHang, Times: 1}, true},
		"rate limit of the page": {meta.Fault{Kind: meta.FaultFail, Code: 613, RetryAfter: 1, Times: 3}, false},
		"500":                    {meta.Fault{Kind: meta.FaultServerError, Times: 3}, true},
		"connection reset":       {meta.Fault{Kind: meta.FaultReset, Times: 3}, true},
		"answer lost":            {meta.Fault{Kind: meta.FaultLost, Times: 3}, false},
		"success after timeout":  {meta.Fault{Kind: meta.FaultLate, Times: 1}, false},
	}
	onBoth(t, func(t *testing.T, b backend) {
		b.stores = 1 // it is the bridge that is tested, and many run at once
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := openPage(t, b)
				test.fault.Path = sends
				require.NoError(t, d.sim.AddFault(test.fault))
				d.reply(t, 0, 2)
				if !test.unknown {
					d.settleSent(t, 2)
					return
				}
				unknown := d.settle(t, 2)
				assert.LessOrEqual(t, len(unknown), test.fault.Times, "only what met the fault is unknown")
			})
		}
	})
}

// TestPartTwoOfThreeAtMeta: what was sent is not sent again, what is missing is
// sent, and every part is known by its id.
func TestPartTwoOfThreeAtMeta(t *testing.T) {
	tests := map[string]struct {
		fault  meta.Fault
		seen   string // of a message a, b, c and of d after it; sorted where proved says so
		status message.Status
		// proved: the echo may be taken in after the message was given up for unknown,
		// and the next one begun.
		proved bool
	}{
		"later":                 {meta.Fault{Kind: meta.FaultFail, Code: 613, RetryAfter: 1}, "abcd", message.StatusSent, false},
		"refused":               {meta.Fault{Kind: meta.FaultFail, Code: 100}, "ad", message.StatusFailed, false},
		"lost":                  {meta.Fault{Kind: meta.FaultReset}, "ad", message.StatusUnknown, false},
		"done and not told":     {meta.Fault{Kind: meta.FaultLost}, "abcd", message.StatusSent, true},
		"success after timeout": {meta.Fault{Kind: meta.FaultLate}, "abcd", message.StatusSent, true},
	}
	onBoth(t, func(t *testing.T, b backend) {
		b.stores = 1 // it is the outbox that is tested, and many run at once
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := openPage(t, b)
				test.fault.Path, test.fault.Skip, test.fault.Times = sends, 1, 1
				require.NoError(t, d.sim.AddFault(test.fault))
				long := strings.Repeat("a", 2000) + strings.Repeat("b", 2000) + "c"
				_, err := d.Desk().Reply(t.Context(), d.conversations[0], "long", long)
				require.NoError(t, err)
				_, err = d.Desk().Reply(t.Context(), d.conversations[0], "after", "d")
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err = d.person(0).WaitMessages(ctx, len(test.seen))
				require.NoError(t, err)
				d.waitStatus(t, 0, map[string]message.Status{long: test.status, "d": message.StatusSent})

				var seen []string // all of it, now that nothing is left to send
				for _, s := range d.saw(0) {
					seen = append(seen, s.text[:1])
				}
				if test.proved {
					inOrder := slices.DeleteFunc(slices.Clone(seen), func(s string) bool { return s == "d" })
					assert.Equal(t, []string{"a", "b", "c"}, inOrder)
					slices.Sort(seen)
				}
				assert.Equal(t, test.seen, strings.Join(seen, ""))
				for i, s := range d.saw(0) {
					d.wantKnown(t, long, s, fmt.Sprint("❤", i))
				}
			})
		}
	})
}

// waitStatus returns when a person's messages are as they should be.
func (d *desk) waitStatus(t *testing.T, person int, want map[string]message.Status) {
	t.Helper()
	eventually(t, "it is told", func(ctx context.Context) error {
		list, err := d.Desk().Conversation(ctx, d.conversations[person])
		if err != nil {
			return err
		}
		for _, m := range list {
			if status, ok := want[m.Text]; ok && m.Status != status {
				return fmt.Errorf("%q is %q (%s), not %q", m.Text[:1], m.Status, m.Reason, status)
			}
		}
		return nil
	})
}

// wantKnown wants the store to know what a person saw by its platform id: a
// reaction to it stands on the message that it is a part of.
func (d *pageDesk) wantKnown(t *testing.T, long string, s sight, emoji string) {
	t.Helper()
	require.NoError(t, d.person(0).React(s.id, "love", emoji))
	text := s.text
	if strings.Contains(long, s.text) {
		text = long
	}
	eventually(t, "the reaction stands on its message", func(ctx context.Context) error {
		list, err := d.Desk().Conversation(ctx, d.conversations[0])
		if err != nil {
			return err
		}
		for _, m := range list {
			if m.Text == text && slices.ContainsFunc(m.Reactions, func(r message.Reaction) bool { return r.Emoji == emoji }) {
				return nil
			}
		}
		return fmt.Errorf("part %q is known by no id", s.text[:1])
	})
}
