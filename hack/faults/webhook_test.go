//go:build faults

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/traffic"
)

// post sends a signed webhook and returns the status.
func post(t *testing.T, w *processes.World, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.WebhookURL("/webhooks/apps/messenger/"+app), bytes.NewBufferString(body))
	require.NoError(t, err)
	req.Header.Set("X-Hub-Signature-256", traffic.Sign(appSecret, []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	if !assert.NoError(t, err) {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// deliver repeats a webhook, as a platform does, until it is taken: where the machine
// is slow, a request may last longer than a bridge holds it.
func deliver(t *testing.T, w *processes.World, body string) {
	t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.WebhookURL("/webhooks/apps/messenger/"+app), bytes.NewBufferString(body))
		if !assert.NoError(t, err) {
			return
		}
		req.Header.Set("X-Hub-Signature-256", traffic.Sign(appSecret, []byte(body)))
		status := 0
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			status = resp.StatusCode
		}
		switch {
		case status == http.StatusOK:
			return
		case status != 0 && status/100 != 5, time.Now().After(end):
			t.Errorf("a webhook is answered with %d", status)
			return
		}
	}
}

// text is one element of messaging[].
func text(contact int, id, text string) string { return textAt(contact, id, text, 1790000000000) }

// textAt is one at a time of the platform's, in milliseconds.
func textAt(contact int, id, text string, at int64) string {
	return fmt.Sprintf(`{"sender":{"id":"%d"},"recipient":{"id":"%s"},"timestamp":%d,"message":{"mid":"%s","text":"%s"}}`, contact, page, at, id, text)
}

func entry(account string, elements ...string) string {
	return fmt.Sprintf(`{"id":"%s","time":1790000000000,"messaging":[%s]}`, account, strings.Join(elements, ","))
}

func webhook(entries ...string) string {
	return `{"object":"page","entry":[` + strings.Join(entries, ",") + `]}`
}

// stored are the external ids of the channel's inbound messages.
func stored(t *testing.T, w *processes.World) (ids []string) {
	t.Helper()
	return storedIn(t, w, channel)
}

func storedIn(t *testing.T, w *processes.World, channel string) (ids []string) {
	t.Helper()
	list, err := w.Desk().Messages(t.Context(), channel, message.Inbound)
	require.NoError(t, err)
	for _, m := range list {
		ids = append(ids, m.ExternalID)
	}
	return ids
}

// TestOneWebhookFiftyTimesAtOnce: platforms repeat while the first answer is
// still on its way, and each repeat meets another pod.
func TestOneWebhookFiftyTimesAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		body := webhook(entry(page, text(1, "m_a", "one"), text(1, "m_b", "two")))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { deliver(t, w, body) })
		}
		wg.Wait()
		assert.Equal(t, []string{"m_a", "m_b"}, stored(t, w))
		conversations, err := w.Desk().Conversations(t.Context(), channel)
		require.NoError(t, err)
		assert.Len(t, conversations, 1, "and one conversation, however many met")
	})
}

// TestBadElementAmongGoodOnes: the good ones are stored, and the platform is
// told 200, or it would send the whole batch for ever.
func TestBadElementAmongGoodOnes(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		bad := []string{
			`{"sender":{"id":"1"},"recipient":{"id":"` + page + `"},"timestamp":"never","message":{"mid":"m_bad","text":7}}`,
			`{"message":{}}`, `{}`, `"nonsense"`, `{"sender":{"id":"1"},"recipient":{"id":"` + page + `"},"timestamp":1,"from the future":{"a":1}}`,
		}
		elements := []string{text(1, "m_1", "one")}
		for i, element := range bad {
			elements = append(elements, element, text(1, fmt.Sprintf("m_%d", i+2), "next"))
		}
		body := webhook(entry(page, elements...), entry("404", text(9, "m_nobody", "for a page that is not here")), entry(page, text(2, "m_9", "last")))
		deliver(t, w, body)
		got := stored(t, w)
		for _, id := range []string{"m_1", "m_2", "m_3", "m_4", "m_5", "m_6", "m_9"} {
			assert.Contains(t, got, id)
		}
		assert.NotContains(t, got, "m_nobody")
	})
}

// TestFiveMessagesInOneEntry: a well-known gateway keeps one of them.
func TestFiveMessagesInOneEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		deliver(t, w, webhook(entry(page,
			text(1, "m_1", "1"), text(2, "m_2", "2"), text(1, "m_3", "3"), text(3, "m_4", "4"), text(1, "m_5", "5"))))
		assert.Equal(t, []string{"m_1", "m_2", "m_3", "m_4", "m_5"}, stored(t, w))
	})
}

// TestAContactsOrderOverSeveralConnections: a platform has several requests of one
// contact under way at the same time, which meet different pods, and repeats those
// that were not answered, so that they arrive in any order. Its conversation shows
// them in the order in which they were written.
func TestAContactsOrderOverSeveralConnections(t *testing.T) {
	const contacts, each, connections = 12, 60, 3
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		began := time.Now().Add(-time.Hour).UnixMilli()
		var taken atomic.Int64
		var wg sync.WaitGroup
		for contact := range contacts {
			for c := range connections {
				wg.Go(func() {
					for n := c; n < each && !t.Failed(); n += connections {
						deliver(t, w, webhook(entry(page, textAt(contact, fmt.Sprintf("m_%d_%d", contact, n), fmt.Sprintf("message %02d", n), began+int64(n)))))
						taken.Add(1)
					}
				})
			}
		}
		for i, p := range []*processes.Process{w.Bridges[0], w.Stores[0]} {
			eventually(t, "load", func(context.Context) error {
				if taken.Load() < int64((i+1)*contacts*each/4) {
					return errors.New("not yet")
				}
				return nil
			})
			p.Kill()
			again(t, p)
		}
		wg.Wait()
		conversations, err := w.Desk().Conversations(t.Context(), channel)
		require.NoError(t, err)
		require.Len(t, conversations, contacts)
		var want []string
		for n := range each {
			want = append(want, fmt.Sprintf("message %02d", n))
		}
		for _, c := range conversations {
			list, err := w.Desk().Conversation(t.Context(), c.ID)
			require.NoError(t, err)
			var got []string
			for _, m := range list {
				got = append(got, m.Text)
			}
			require.Equal(t, want, got, "contact %s", c.Contact.ExternalID)
		}
	})
}
