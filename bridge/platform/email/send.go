package email

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// submission is a connection to the server that takes mail, logged in.
type submission struct {
	*smtp.Client
	host string
	conn net.Conn
	// stop lets the connection live on after the context that it is bound to.
	stop  func() bool
	mails int         // taken so far
	leave *time.Timer // while it waits for the next mail
}

// bind makes the connection end with ctx.
func (s *submission) bind(ctx context.Context) {
	s.stop = context.AfterFunc(ctx, func() { _ = s.conn.Close() })
}

// openSubmission connects and logs in. The connection ends with ctx.
func (c *channel) openSubmission(ctx context.Context) (*submission, error) {
	s := c.config.SMTP
	conn, err := c.dial(ctx, s)
	if err != nil {
		return nil, c.redact(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	out, at, err := c.greet(ctx, conn)
	if err != nil {
		stop()
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, c.redact(smtpError(s.Host, at, err))
	}
	out.conn, out.stop = conn, stop
	return out, nil
}

func (c *channel) greet(ctx context.Context, conn net.Conn) (*submission, stage, error) {
	s := c.config.SMTP
	var client *smtp.Client
	if s.TLS == TLSStart {
		var err error
		if client, err = startTLS(ctx, conn, c.tlsFor(s), domainOf(c.account)); err != nil {
			if errors.Is(err, errNoStartTLS) {
				err = &platform.Error{Class: wire.ErrMisconfigured, Reason: s.Host + " offers no STARTTLS on this port; set email.smtp.tls to Implicit, or correct the port"}
			}
			return nil, stageHello, err
		}
	} else {
		client = smtp.NewClient(conn)
	}
	client.CommandTimeout, client.SubmissionTimeout = commandTimeout, submitTimeout
	if err := client.Hello(domainOf(c.account)); err != nil {
		return nil, stageHello, err
	}
	mechanism, err := c.saslClient(s, client.SupportsAuth)
	if err != nil {
		return nil, stageLogin, err
	}
	if err := client.Auth(mechanism); err != nil {
		return nil, stageLogin, err
	}
	return &submission{Client: client, host: s.Host}, stageLogin, nil
}

// end takes leave, as servers count those who do not, and closes the connection.
func (s *submission) end() {
	_ = s.Quit()
	s.drop()
}

// drop closes the connection: a mail that was not finished is not sent.
func (s *submission) drop() {
	s.stop()
	_ = s.Close()
}

const (
	// submitTimeout is how long a server may take to say that it has a mail: it
	// may look into the attachments first. RFC 5321 section 4.5.3.2.6 names ten
	// minutes; submission servers answer within seconds, and who waits longer is
	// likely to send twice.
	submitTimeout = 2 * time.Minute
	// sessionTimeout is for everything before and around the mail.
	sessionTimeout = time.Minute
	// slowestUpload is the line that a mail must get through in time: 2 Mbit/s.
	slowestUpload = 250_000
)

// SendTimeout implements platform.SendTimeouter.
func (p *Platform) SendTimeout(part wire.Part) time.Duration {
	size := int64(len(part.Text))
	for _, a := range part.Attachments {
		if size += a.Size; a.Size <= 0 {
			size += maxUpload // it is not told
		}
	}
	return sessionTimeout + submitTimeout + time.Duration(min(size, maxUpload))*137/100*time.Second/slowestUpload
}

// Send implements platform.Platform.
func (p *Platform) Send(ctx context.Context, ch platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
	c := self(ch)
	if out.Part.Action != "" {
		return platform.SendResult{}, &platform.Error{Class: wire.ErrContentRejected, Reason: "a mail that was sent cannot be changed"}
	}
	if !isAddress(out.To) {
		return platform.SendResult{}, &platform.Error{Class: wire.ErrRecipientGone, Reason: "the contact's address is no mail address"}
	}
	mail, err := c.compose(ctx, out)
	if err != nil {
		return platform.SendResult{}, c.redact(err)
	}
	defer mail.close()
	s, err := c.submission(ctx)
	if err != nil {
		return platform.SendResult{}, err
	}
	if err := s.submit(mail); err != nil {
		s.drop()
		return platform.SendResult{}, c.redact(err)
	}
	c.done(s)
	return platform.SendResult{ExternalIDs: []string{mail.id}}, nil
}

// submit hands one mail over.
func (s *submission) submit(o *outgoing) error {
	size := o.size()
	if limit, ok := s.MaxMessageSize(); ok && limit > 0 && size > int64(limit) {
		return &platform.Error{Class: wire.ErrContentRejected, Reason: fmt.Sprintf("%s takes mails of up to %d bytes, this one has about %d", s.host, limit, size)}
	}
	options := &smtp.MailOptions{Size: size, Return: smtp.DSNReturnHeaders, UTF8: !isASCII(o.out.To) || !isASCII(o.c.config.Address)}
	if options.UTF8 {
		if ok, _ := s.Extension("SMTPUTF8"); !ok {
			return &platform.Error{Class: wire.ErrContentRejected, Reason: s.host + " takes no addresses with letters beyond ASCII (no SMTPUTF8)"}
		}
	}
	if err := s.Mail(o.c.config.Address, options); err != nil {
		return smtpError(s.host, stageSender, err)
	}
	if err := s.Rcpt(o.out.To, s.recipientOptions()); err != nil {
		return smtpError(s.host, stageRecipient, err)
	}
	data, err := s.Data()
	if err != nil {
		return smtpError(s.host, stageContent, err)
	}
	if err := o.write(data); err != nil {
		return smtpError(s.host, stageContent, attachmentError(err))
	}
	err = smtpError(s.host, stageContent, data.Close())
	var e *platform.Error
	var refused *smtp.SMTPError
	if errors.As(err, &e) && !errors.As(err, &refused) {
		e.MaybeSent = true // the end of the mail may have been read
		e.Class = wire.ErrRetryable
	}
	return err
}

// recipientOptions ask for a report when the mail cannot be delivered, and for
// none when it is merely late.
func (s *submission) recipientOptions() *smtp.RcptOptions {
	if ok, _ := s.Extension("DSN"); !ok {
		return nil
	}
	return &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure}}
}

// attachmentError tells a broken attachment from a broken connection.
func attachmentError(err error) error {
	var known *platform.Error
	var network net.Error
	if errors.As(err, &known) || errors.As(err, &network) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return &platform.Error{Class: wire.ErrRetryable, Reason: "the mail broke off while it was written", Err: err}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
