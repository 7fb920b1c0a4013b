package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// mailbox is a connection with the channel's mailbox open.
type mailbox struct {
	*imapclient.Client
	dog      *watchdog
	host     string
	patience time.Duration // with a server that owes an answer
	validity uint32
	next     uint32 // the UID that the next mail gets
	stop     func() bool
}

// openMailbox connects, logs in and opens the mailbox: read-only, unless mail is
// to be marked as seen. news is sent to, without waiting, when the server says
// that something has come; nil: nobody listens. The connection ends with ctx.
func (c *channel) openMailbox(ctx context.Context, news chan<- struct{}) (*mailbox, error) {
	conn, err := c.dial(ctx, c.config.IMAP.Server)
	if err != nil {
		return nil, c.redact(err)
	}
	dog := &watchdog{Conn: conn}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer dog.watch(c.patience)()
	m, err := c.logIn(dog, news)
	if err == nil {
		m.stop = stop
		err = m.open(c.config.IMAP)
	}
	if err != nil {
		stop()
		if m != nil {
			_ = m.Close()
		}
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, c.redact(dog.trouble(c.config.IMAP.Host, err))
	}
	return m, nil
}

func (c *channel) logIn(conn *watchdog, news chan<- struct{}) (*mailbox, error) {
	s := c.config.IMAP.Server
	options := &imapclient.Options{TLSConfig: c.tlsFor(s), UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages == nil {
				return
			}
			select {
			case news <- struct{}{}:
			default: // it is told already, or nobody listens
			}
		},
	}}
	var client *imapclient.Client
	if s.TLS == TLSStart {
		var err error
		if client, err = imapclient.NewStartTLS(conn, options); err != nil {
			return nil, err
		}
	} else {
		client = imapclient.New(conn, options)
	}
	m := &mailbox{Client: client, dog: conn, host: s.Host, patience: c.patience}
	if err := client.WaitGreeting(); err != nil {
		return m, err
	}
	caps := client.Caps()
	if c.tokens == nil && !caps.Has(imap.AuthCap(sasl.Plain)) && !caps.Has(imap.CapLoginDisabled) {
		return m, refusedLogin(s.Host, client.Login(c.config.username(), c.password).Wait())
	}
	mechanism, err := c.saslClient(s, func(name string) bool { return caps.Has(imap.AuthCap(name)) })
	if err != nil {
		return m, err
	}
	return m, refusedLogin(s.Host, client.Authenticate(mechanism))
}

// open selects the mailbox.
func (m *mailbox) open(config IMAP) error {
	data, err := m.Select(config.Mailbox, &imap.SelectOptions{ReadOnly: !config.MarkSeen}).Wait()
	var refused *imap.Error
	switch {
	case errors.As(err, &refused) && refused.Type == imap.StatusResponseTypeNo && passingRefusal(refused) == nil:
		return &platform.Error{Class: wire.ErrMisconfigured, Reason: fmt.Sprintf("%s does not open the mailbox %q: %s; correct email.imap.mailbox", m.host, config.Mailbox, clip(refused.Text))}
	case err != nil:
		return err
	case data.UIDValidity == 0 || data.UIDNext == 0:
		return &platform.Error{Class: wire.ErrMisconfigured, Reason: m.host + " keeps no lasting numbers of mails (no UIDVALIDITY or UIDNEXT), so none could be told from another"}
	}
	m.validity, m.next = data.UIDValidity, uint32(data.UIDNext)
	return nil
}

// watch is watchdog.watch of the connection.
func (m *mailbox) watch(limit time.Duration) (done func()) { return m.dog.watch(limit) }

// trouble classes what ended a connection.
func (m *mailbox) trouble(err error) error { return m.dog.trouble(m.host, err) }

func (w *watchdog) trouble(host string, err error) error {
	if err != nil && w.silent() {
		return &platform.Error{Class: wire.ErrRetryable, Reason: host + " does not answer any more", Err: err}
	}
	return imapError(host, err)
}

// idle begins an IDLE.
func (m *mailbox) idle() (*imapclient.IdleCommand, error) {
	defer m.watch(m.patience)()
	return m.Idle()
}

// end closes the connection. It does not wait for words of farewell: a server
// that is slow with them would hold a poller that is to stop.
func (m *mailbox) end() {
	m.stop()
	_ = m.Close()
}

// passingRefusal says that a refusal is about the moment and not about the credentials
// or the mailbox: by its response code (RFC 5530), or by the words of servers
// that give none or another one (Gmail: [ALERT] Too many simultaneous
// connections). nil: it is not.
func passingRefusal(refused *imap.Error) *platform.Error {
	switch refused.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeServerBug, imap.ResponseCodeOverQuota:
		return &platform.Error{Class: wire.ErrRetryable}
	case imap.ResponseCodeLimit:
		return &platform.Error{Class: wire.ErrRateLimited, Scope: wire.ScopeChannel}
	}
	switch {
	case limitWords.MatchString(refused.Text), imapLimitWords.MatchString(refused.Text):
		return &platform.Error{Class: wire.ErrRateLimited, Scope: wire.ScopeChannel, RetryAfter: ratePause}
	case imapPassingWords.MatchString(refused.Text):
		return &platform.Error{Class: wire.ErrRetryable}
	}
	return nil
}

var (
	imapLimitWords   = regexp.MustCompile(`(?i)\b(simultaneous (imap )?connections?|(command|bandwidth) limits?|(maximum|max) (number of )?connections|connection limit)\b`)
	imapPassingWords = regexp.MustCompile(`(?i)\b(try again (later|in )|please try again|temporar(y|ily)|server (is )?(busy|unavailable)|not connected)\b`)
)

// refusedLogin classes the answer to a login: a NO without a code is how most
// servers refuse a password.
func refusedLogin(host string, err error) error {
	var refused *imap.Error
	if !errors.As(err, &refused) || refused.Type == imap.StatusResponseTypeBye {
		return err
	}
	e := passingRefusal(refused)
	switch {
	case e != nil:
	case refused.Type == imap.StatusResponseTypeBad, refused.Code == imap.ResponseCodePrivacyRequired:
		e = &platform.Error{Class: wire.ErrMisconfigured}
	default:
		e = &platform.Error{Class: wire.ErrAuthInvalid}
	}
	e.Reason, e.Err = fmt.Sprintf("%s refuses the login: %s", host, clip(refused.Text)), err
	return e
}

// imapError classes what went wrong in a conversation with an IMAP server.
func imapError(host string, err error) error {
	var known *platform.Error
	var refused *imap.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &refused):
		e := passingRefusal(refused)
		if e == nil {
			e = &platform.Error{Class: wire.ErrRetryable}
		}
		e.Reason, e.Err = fmt.Sprintf("%s says: %s", host, clip(refused.Text)), err
		return e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &platform.Error{Class: wire.ErrRetryable, Reason: host + " closed the connection", Err: err}
	case strings.Contains(err.Error(), "in response"): // go-imap's own words
		return &platform.Error{Class: wire.ErrRetryable, Reason: fmt.Sprintf("%s says what cannot be read: %s", host, clip(err.Error())), Err: err}
	}
	return dialError(host, err)
}
