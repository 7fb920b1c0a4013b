package email

import (
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Config is the email block of a Channel, as it stands in the document.
type Config struct {
	Address     string `json:"address"`
	DisplayName string `json:"displayName,omitempty"`
	IMAP        IMAP   `json:"imap"`
	SMTP        Server `json:"smtp"`
	// ReplyAddress is where answers are to go; empty: Address.
	ReplyAddress string `json:"replyAddress,omitempty"`
	// PlusAddressing puts a token into the reply address: shop+<token>@….
	PlusAddressing bool `json:"plusAddressing,omitempty"`
	// Subject of a mail that answers none with a subject.
	Subject  string `json:"subject,omitempty"`
	Auth     *Auth  `json:"auth,omitempty"`
	CABundle string `json:"caBundle,omitempty"` // PEM; empty: the system's
}

// Server is where one of the two protocols is spoken.
type Server struct {
	Host string  `json:"host"`
	Port int     `json:"port,omitempty"` // 0: the standard's for TLS
	TLS  TLSMode `json:"tls,omitempty"`
}

// IMAP is the server with the mailbox.
type IMAP struct {
	Server
	Mailbox  string `json:"mailbox,omitempty"` // empty: INBOX
	MarkSeen bool   `json:"markSeen,omitempty"`
}

// TLSMode is how a connection is encrypted.
type TLSMode string

const (
	TLSImplicit TLSMode = "Implicit" // from the first byte
	TLSStart    TLSMode = "StartTLS" // by a command, which must succeed
	TLSNone     TLSMode = "None"     // only where private hosts are allowed
)

// Auth is how to log in at both servers.
type Auth struct {
	Type     AuthType `json:"type,omitempty"`     // empty: Password
	Username string   `json:"username,omitempty"` // empty: the address
	OAuth2   *OAuth2  `json:"oauth2,omitempty"`
}

// AuthType is what is proved.
type AuthType string

const (
	AuthPassword AuthType = "Password"
	AuthOAuth2   AuthType = "OAuth2"
)

// OAuth2 says where access tokens come from.
type OAuth2 struct {
	TokenURL string   `json:"tokenURL"`
	ClientID string   `json:"clientID"`
	Scopes   []string `json:"scopes,omitempty"`
}

const (
	defaultMailbox = "INBOX"
	defaultSubject = "Your message"
)

func (c Config) oauth() bool { return c.Auth != nil && c.Auth.Type == AuthOAuth2 }

func (c Config) username() string {
	if c.Auth != nil && c.Auth.Username != "" {
		return c.Auth.Username
	}
	return c.Address
}

// withDefaults fills in what was left out: TLS from the first byte (RFC 8314
// section 3) on the ports that are registered for it.
func (c Config) withDefaults() Config {
	c.IMAP.Server = c.IMAP.withDefaults(993, 143)
	c.SMTP = c.SMTP.withDefaults(465, 587)
	if c.IMAP.Mailbox == "" {
		c.IMAP.Mailbox = defaultMailbox
	}
	if c.Subject == "" {
		c.Subject = defaultSubject
	}
	if c.ReplyAddress == "" {
		c.ReplyAddress = c.Address
	}
	return c
}

func (s Server) withDefaults(implicit, start int) Server {
	if s.TLS == "" {
		s.TLS = TLSImplicit
		if s.Port == start { // nobody speaks TLS from the first byte there
			s.TLS = TLSStart
		}
	}
	if s.Port == 0 {
		s.Port = start
		if s.TLS == TLSImplicit {
			s.Port = implicit
		}
	}
	return s
}

func (s Server) address() string { return s.Host + ":" + strconv.Itoa(s.Port) }

// hostForm is a name or an IPv4 address; what is in it is checked by the dialer.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// check repeats the schema's rules whose breach would show itself late and
// badly: documents are also made from files, without a schema.
func (c Config) check(account string, allowPrivate bool) error {
	if !isAddress(c.Address) {
		return &platform.FieldError{Field: "email.address", Message: "must be an address like support@shop.example"}
	}
	if !strings.EqualFold(c.Address, account) {
		return &platform.FieldError{Field: "email.address", Message: fmt.Sprintf("is %s, the channel's account is %s", c.Address, account)}
	}
	if c.ReplyAddress != "" && !isAddress(c.ReplyAddress) {
		return &platform.FieldError{Field: "email.replyAddress", Message: "must be an address like support@shop.example"}
	}
	if err := c.IMAP.check("email.imap", allowPrivate); err != nil {
		return err
	}
	if err := c.SMTP.check("email.smtp", allowPrivate); err != nil {
		return err
	}
	return c.checkAuth(allowPrivate)
}

func (s Server) check(field string, allowPrivate bool) error {
	switch {
	case !hostForm.MatchString(s.Host):
		return &platform.FieldError{Field: field + ".host", Message: "must be the server's name, like mail.shop.example"}
	case s.Port < 0 || s.Port > 65535:
		return &platform.FieldError{Field: field + ".port", Message: "must be between 1 and 65535"}
	case s.TLS != "" && s.TLS != TLSImplicit && s.TLS != TLSStart && s.TLS != TLSNone:
		return &platform.FieldError{Field: field + ".tls", Message: "must be Implicit, StartTLS or None"}
	case s.TLS == TLSNone && !allowPrivate:
		return &platform.FieldError{Field: field + ".tls", Message: "None would show the password to everybody on the way; use Implicit or StartTLS, or a Bridge with egress.allowPrivateHosts for a server within your own network"}
	}
	return nil
}

func (c Config) checkAuth(allowPrivate bool) error {
	switch a := c.Auth; {
	case a == nil:
		return nil
	case a.Type != "" && a.Type != AuthPassword && a.Type != AuthOAuth2:
		return &platform.FieldError{Field: "email.auth.type", Message: "must be Password or OAuth2"}
	case a.OAuth2 == nil:
		return nil
	case a.Type != AuthOAuth2:
		return &platform.FieldError{Field: "email.auth.oauth2", Message: "belongs to email.auth.type OAuth2"}
	case a.OAuth2.ClientID == "":
		return &platform.FieldError{Field: "email.auth.oauth2.clientID", Message: "is required"}
	default:
		u, err := url.Parse(a.OAuth2.TokenURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !allowPrivate) {
			return &platform.FieldError{Field: "email.auth.oauth2.tokenURL", Message: "must be an https URL"}
		}
		return nil
	}
}

// isAddress says whether s is an address and nothing else.
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !strings.ContainsAny(s, "\r\n")
}
