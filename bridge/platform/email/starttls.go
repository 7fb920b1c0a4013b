package email

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

var errNoStartTLS = errors.New("no STARTTLS")

// startTLS begins a submission in plain and goes on encrypted. go-smtp can do it
// too, but says that it is "localhost" then, which servers that check the name
// refuse (reject_non_fqdn_helo_hostname) before anybody can log in.
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config, name string) (*smtp.Client, error) {
	if err := conn.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return nil, err
	}
	// No more is read than was asked for: what comes behind the answer to
	// STARTTLS in plain is somebody else's (CVE-2021-38371 and its kin).
	plain := textproto.NewConn(conn)
	if _, _, err := plain.ReadResponse(220); err != nil {
		return nil, asSMTPError(err)
	}
	said, err := command(plain, 250, "EHLO "+name)
	if err != nil {
		return nil, err
	}
	if !offersStartTLS(said) {
		return nil, errNoStartTLS
	}
	if _, err := command(plain, 220, "STARTTLS"); err != nil {
		return nil, err
	}
	if plain.R.Buffered() > 0 {
		return nil, errors.New("the server speaks in plain after STARTTLS")
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	// A server does not greet again; the client waits for it.
	return smtp.NewClient(&greeted{Conn: secured, rest: strings.NewReader("220 " + name + "\r\n")}), conn.SetDeadline(time.Time{})
}

func command(c *textproto.Conn, want int, line string) (string, error) {
	if err := c.PrintfLine("%s", line); err != nil {
		return "", err
	}
	_, said, err := c.ReadResponse(want)
	return said, asSMTPError(err)
}

// asSMTPError is a refusal as go-smtp tells of it.
func asSMTPError(err error) error {
	var said *textproto.Error
	if !errors.As(err, &said) {
		return err
	}
	return &smtp.SMTPError{Code: said.Code, Message: said.Msg}
}

func offersStartTLS(said string) bool {
	for line := range strings.SplitSeq(said, "\n") {
		if strings.EqualFold(strings.TrimSpace(line), "STARTTLS") {
			return true
		}
	}
	return false
}

// greeted is a connection on which a greeting is read before what comes.
type greeted struct {
	net.Conn
	rest *strings.Reader
}

// Read implements io.Reader.
func (g *greeted) Read(b []byte) (int, error) {
	n, err := g.rest.Read(b)
	if err == io.EOF {
		return g.Conn.Read(b)
	}
	return n, err
}
