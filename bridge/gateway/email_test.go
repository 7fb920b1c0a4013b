package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/email"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/hack/mailserver"
)

const (
	mailShop     = "support@" + mailserver.ShopDomain
	mailCustomer = "ana@" + mailserver.CustomerDomain
	mailPassword = "correct-horse-battery"
	mailChannel  = "shop/mail"
)

// mailWorld is Dovecot, Postfix and a store, with gateways between them.
type mailWorld struct {
	world
	*mailserver.Servers
}

func newMailWorld(t *testing.T) *mailWorld {
	servers, err := mailserver.Start(t.Context(), mailserver.Options{Users: map[string]string{mailShop: mailPassword, mailCustomer: mailPassword}})
	mailserver.Require(t, err)
	t.Cleanup(servers.Close)
	w := &mailWorld{world: world{t: t}, Servers: servers}
	caps := map[string]platform.Capabilities{email.Name: email.New().Capabilities()}
	w.store = openStore(t, store.Options{Parsers: map[string]store.Parser{email.Name: email.New().Parse}, Capabilities: caps})
	loadStore(t, w.store, entry(t, document.EntryChannel, mailChannel, document.StoreChannel{
		UID: "1", Platform: email.Name, Account: mailShop, Bridge: bridgeName, Receive: document.ReceivePolling, OutboundPerSecond: 100,
	}))
	return w
}

// spec is a channel for a mailbox of the servers.
func (w *mailWorld) spec(address string) document.Channel {
	host := func(port int) email.Server {
		return email.Server{Host: "127.0.0.1", Port: port, TLS: email.TLSImplicit}
	}
	config, err := json.Marshal(email.Config{Address: address, CABundle: w.CA, IMAP: email.IMAP{Server: host(w.IMAPS)}, SMTP: host(w.Submissions), PlusAddressing: true})
	require.NoError(w.t, err)
	return document.Channel{
		UID: "1", Platform: email.Name, Account: address, Receive: document.ReceivePolling, Config: config,
		Credentials: map[string]string{email.KeyPassword: mailPassword},
	}
}

// run starts a gateway that has the channel.
func (w *mailWorld) run() (g *gateway.Gateway, stop func()) {
	t := w.t
	g, err := gateway.New(gateway.Options{
		Store: storeclient.Direct(w.store, bridgeName), Version: "test", Log: testkit.Log(), Grace: 5 * time.Second,
		Platforms: map[string]platform.Platform{email.Name: &email.Platform{Backoff: 20 * time.Millisecond}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); g.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done; g.Wait() })
	t.Cleanup(stop)
	settings := document.BridgeSettings{StoreURL: "https://store:8443", PublicURL: "https://hooks.example.com", AllowPrivateHosts: true}
	require.Empty(t, g.Load(t.Context(), testkit.DocumentWith(t, settings, entry(t, document.EntryChannel, mailChannel, w.spec(mailShop)))))
	return g, stop
}

func (w *mailWorld) customerWrites(id, rest string) {
	mail := fmt.Sprintf("From: Ana <%s>\nTo: %s\nSubject: Parcel\nMessage-ID: <%s>\nMIME-Version: 1.0\n%s", mailCustomer, mailShop, id, rest)
	require.NoError(w.t, w.Save(w.t.Context(), mailShop, []byte(strings.ReplaceAll(mail, "\n", "\r\n"))))
}

func (w *mailWorld) stored() (texts []string, last message.Message) {
	page, err := w.store.Messages(w.t.Context(), store.Scope{All: true}, store.MessageQuery{Channel: mailChannel, Direction: message.Inbound, PageQuery: store.PageQuery{Limit: 200}})
	require.NoError(w.t, err)
	for _, m := range page.Items {
		texts, last = append(texts, m.Text), m
	}
	return texts, last
}

// inbox reads the customer's mailbox until it has n messages.
func (w *mailWorld) inbox(n int) []message.Message {
	t := w.t
	p := email.New()
	ch, err := p.Load(t.Context(), platform.LoadSpec{Name: "customer/mail", Spec: w.spec(mailCustomer), AllowPrivate: true})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []message.Message
	_ = p.Run(ctx, ch, "", func(_ context.Context, b platform.Batch) error {
		for _, e := range b.Events {
			got = append(got, *e.Message)
		}
		if len(got) >= n {
			cancel()
		}
		return nil
	}, func(err error) { assert.NoError(t, err) })
	require.Len(t, got, n)
	return got
}

// TestMailFromTheCustomerToTheDeskAndBack goes the whole way: a mail with a file
// comes in, a person answers, the customer's mailbox has the answer in its
// thread, and a mail to nobody comes back as failed.
func TestMailFromTheCustomerToTheDeskAndBack(t *testing.T) {
	w := newMailWorld(t)
	g, _ := w.run()
	w.customerWrites("q1@customer.test", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nWhere is it?\n-- \nAna\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: attachment; filename=order.txt\nContent-Transfer-Encoding: base64\n\nb3JkZXIgNDc=\n--b--\n")
	w.eventually("the mail is stored with its file", func() bool {
		_, m := w.stored()
		return len(m.Attachments) == 1 && m.Attachments[0].State == message.MediaStored
	})
	_, m := w.stored()
	require.Equal(t, "Where is it?", m.Text)
	require.Equal(t, &message.Mail{Subject: "Parcel", Original: "Where is it?\n-- \nAna"}, m.Mail)
	require.Equal(t, "order.txt", m.Attachments[0].Name)
	_, body, err := w.store.OpenMedia(t.Context(), store.Scope{All: true}, m.Attachments[0].MediaID)
	require.NoError(t, err)
	raw, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.Equal(t, "order 47", string(raw))
	w.eventually("the channel is well", func() bool {
		status := g.Status()
		return len(status.Exceptions) == 0
	})

	answer := w.reply(m.Conversation, store.SendRequest{Type: message.TypeText, Text: "On its way.", Attachments: []message.Attachment{{Kind: message.TypeFile, MediaID: m.Attachments[0].MediaID}}})
	w.eventually("the answer is sent", func() bool { return w.message(answer.ID).Status == message.StatusSent })
	got := w.inbox(1)[0]
	require.Equal(t, "On its way.", got.Text)
	require.Equal(t, "Re: Parcel", got.Mail.Subject)
	require.Equal(t, "q1@customer.test", got.ReplyTo)
	require.Equal(t, answer.ID+".0@"+mailserver.ShopDomain, got.ExternalID)
	require.Len(t, got.Attachments, 1)
	require.Equal(t, "order.txt", got.Attachments[0].Name)
	require.Contains(t, got.Contact.ExternalID, "support+")

	w.customerWrites("gone@customer.test", "Reply-To: "+mailserver.Gone+"\nContent-Type: text/plain\n\nAnswer elsewhere\n")
	w.eventually("the other mail", func() bool { texts, _ := w.stored(); return len(texts) == 2 })
	_, other := w.stored()
	lost := w.reply(other.Conversation, store.SendRequest{Type: message.TypeText, Text: "Hello?"})
	w.eventually("the bounce is a failed receipt", func() bool { return w.message(lost.ID).Status == message.StatusFailed })
	require.Equal(t, "5.1.1: the mailbox does not exist", w.message(lost.ID).Reason)
}

// TestAnotherReplicaTakesTheMailboxOver: two gateways, one of which has the
// mailbox. When it goes, the other goes on where the cursor is.
func TestAnotherReplicaTakesTheMailboxOver(t *testing.T) {
	w := newMailWorld(t)
	_, stopFirst := w.run()
	w.customerWrites("0@customer.test", "Content-Type: text/plain\n\n0\n")
	w.eventually("the first mail", func() bool { texts, _ := w.stored(); return len(texts) == 1 })
	_, stopSecond := w.run()
	want := []string{"0"}
	write := func(i int) {
		want = append(want, fmt.Sprint(i))
		w.customerWrites(fmt.Sprintf("%d@customer.test", i), fmt.Sprintf("Content-Type: text/plain\n\n%d\n", i))
	}
	for i := 1; i < 4; i++ {
		write(i)
	}
	stopFirst()
	for i := 4; i < 7; i++ {
		write(i)
	}
	w.eventually("all of them", func() bool { texts, _ := w.stored(); return len(texts) == len(want) })
	stopSecond()
	write(7)
	w.run()
	w.eventually("what came while nobody read", func() bool { texts, _ := w.stored(); return len(texts) == len(want) })
	texts, _ := w.stored()
	require.Equal(t, want, texts, "in order, and each once")
}
