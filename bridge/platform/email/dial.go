package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// commandTimeout bounds what is small: to connect, to log in, to look.
const commandTimeout = 30 * time.Second

// dial connects to a server through the guarded dialer, with TLS where it
// begins at once.
func (c *channel) dial(ctx context.Context, s Server) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, "tcp", s.address())
	if err != nil {
		return nil, dialError(s.Host, err)
	}
	if s.TLS != TLSImplicit {
		return conn, nil
	}
	secured := tls.Client(conn, c.tlsFor(s))
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, dialError(s.Host, err)
	}
	return secured, nil
}

func (c *channel) tlsFor(s Server) *tls.Config {
	config := c.tls.Clone()
	config.ServerName = s.Host
	return config
}

// dialError classes a failure to get through to a server.
func dialError(host string, err error) *platform.Error {
	e := &platform.Error{Class: wire.ErrRetryable, Reason: fmt.Sprintf("no connection to %s: %v", host, err), Err: err}
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var notTLS tls.RecordHeaderError
	switch {
	case errors.Is(err, platform.ErrForbiddenAddress):
		e.Class = wire.ErrMisconfigured
		e.Reason = fmt.Sprintf("%s is in an address range that this Bridge does not reach; a Bridge with egress.allowPrivateHosts does, private ranges only", host)
	case errors.As(err, &unknown):
		e.Class = wire.ErrMisconfigured
		e.Reason = fmt.Sprintf("%s shows a certificate of an unknown authority; put that authority's certificate into email.caBundle", host)
	case errors.As(err, &wrongName), errors.As(err, &invalid):
		e.Class = wire.ErrMisconfigured
		e.Reason = fmt.Sprintf("%s shows a certificate that is not valid for it: %v", host, err)
	case errors.As(err, &notTLS):
		e.Class = wire.ErrMisconfigured
		e.Reason = fmt.Sprintf("%s does not speak TLS from the first byte on this port; set tls to StartTLS, or correct the port", host)
	case errors.Is(err, context.DeadlineExceeded):
		e.Reason = fmt.Sprintf("no answer from %s in time", host)
	}
	return e
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "the token server"
	}
	return u.Hostname()
}

// redact takes the channel's secrets out of an error, which is a *platform.Error.
func (c *channel) redact(err error) error {
	var e *platform.Error
	if errors.As(err, &e) {
		return platform.RedactError(e, c.secrets...)
	}
	return err
}

// maxReason bounds a server's words in an error, in bytes.
const maxReason = 300

func clip(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return validUTF8(s[:maxReason]) + "…"
}
