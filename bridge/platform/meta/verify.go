package meta

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// signatureHeader carries "sha256=" and the hex HMAC-SHA256 of the raw body,
// keyed by the app's secret.
const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="
)

// previousSecret still verifies until its time is over.
type previousSecret struct {
	value string
	until time.Time
}

func (p *Platform) loadCredentials(c *channel, spec document.Channel) error {
	value := func(key string) string { return strings.TrimSpace(spec.Credentials[key]) } // files and editors add line ends
	for _, key := range p.product.Capabilities.Secrets {
		if v := value(key.Name); v == "" {
			return &platform.FieldError{Field: "credentials", Message: fmt.Sprintf("the Secret has no key %q: %s", key.Name, key.Description)}
		} else if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return &platform.FieldError{Field: "credentials", Message: fmt.Sprintf("the key %q holds a line break or another control character", key.Name)}
		}
	}
	c.secret, c.token, c.verify = value(KeyAppSecret), value(p.product.TokenKey), []string{value(KeyVerifyToken)}
	c.secrets = []string{c.secret, c.token, c.verify[0], proof(c.token, c.secret), proof(c.appToken(), c.secret)}
	for _, previous := range spec.PreviousCredentials {
		if secret := strings.TrimSpace(previous.Values[KeyAppSecret]); secret != "" {
			c.previous = append(c.previous, previousSecret{value: secret, until: previous.Until})
		}
		if token := strings.TrimSpace(previous.Values[KeyVerifyToken]); token != "" {
			c.verify = append(c.verify, token)
		}
		for _, key := range p.product.Capabilities.Secrets {
			if v := strings.TrimSpace(previous.Values[key.Name]); v != "" {
				c.secrets = append(c.secrets, v)
			}
		}
	}
	slices.Sort(c.secrets)
	c.secrets = slices.Compact(c.secrets)
	c.group = c.verifyGroup()
	return nil
}

// verifyGroup tells apart what Verify depends on.
func (c *channel) verifyGroup() string {
	h := sha256.New()
	for _, s := range append([]previousSecret{{value: c.secret}}, c.previous...) {
		fmt.Fprintf(h, "%d:%s%d ", len(s.value), s.value, s.until.UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Verify implements platform.Platform. Meta signs the bytes as it sends them,
// with no time in it: what is repeated is known by its ids. Every secret is
// tried, so that the time it takes does not tell which one matched.
func (p *Platform) Verify(ch platform.Channel, r platform.Request, now time.Time) bool {
	c := self(ch)
	values := r.Header.Values(signatureHeader)
	if len(values) != 1 {
		return false // two headers: a proxy and the server might not read the same one
	}
	match := compare(values[0], c.secret, r.Body)
	for _, previous := range c.previous {
		equal := compare(values[0], previous.value, r.Body)
		if now.Before(previous.until) {
			match |= equal
		}
	}
	return match == 1
}

func compare(got, secret string, body []byte) int {
	return subtle.ConstantTimeCompare([]byte(got), []byte(Sign(secret, body)))
}

// Sign is the value of X-Hub-Signature-256 for a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

// proof is the appsecret_proof of a token: it shows that who uses the token
// knows the app's secret, so that a token which leaked alone is of no use at an
// app that requires it.
func proof(token, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

// maxChallenge bounds what is echoed; Meta sends a number.
const maxChallenge = 256

// Handshake implements platform.Handshaker: Meta calls with GET before it
// accepts a URL, and wants the challenge back from who knows the verify token.
func (p *Platform) Handshake(ch platform.Channel, r *http.Request) (status int, body []byte, handled bool) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || q.Get("hub.mode") == "" {
		return 0, nil, false
	}
	got, match := sha256.Sum256([]byte(q.Get("hub.verify_token"))), 0
	for _, token := range self(ch).verify {
		want := sha256.Sum256([]byte(token))
		match |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	challenge := q.Get("hub.challenge")
	if match != 1 || q.Get("hub.mode") != "subscribe" || challenge == "" || len(challenge) > maxChallenge {
		return http.StatusForbidden, []byte(http.StatusText(http.StatusForbidden) + "\n"), true
	}
	return http.StatusOK, []byte(challenge), true
}
