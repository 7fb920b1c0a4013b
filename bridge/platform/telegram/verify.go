package telegram

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// secretHeader carries the secret_token of setWebhook with every update.
const secretHeader = "X-Telegram-Bot-Api-Secret-Token"

// previousSecret still verifies until its time is over.
type previousSecret struct {
	value string
	until time.Time
}

var secretForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// webhookSecret is what credentials say, or derive: a channel needs no second
// secret then, and each rotation of the token rotates it too. Empty: malformed.
func webhookSecret(credentials map[string]string) string {
	if own := strings.TrimSpace(credentials[KeyWebhookSecret]); own != "" {
		if !secretForm.MatchString(own) {
			return ""
		}
		return own
	}
	token := strings.TrimSpace(credentials[KeyToken])
	if token == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("bridgekeeper/telegram/webhook-secret"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Verify implements platform.Platform. Telegram does not sign the body: whoever
// knows the secret is Telegram. Every secret is compared, so that the time it
// takes tells neither which one matched nor how much of it; hashing first hides
// the length as well.
func (p *Platform) Verify(ch platform.Channel, r platform.Request, now time.Time) bool {
	c := self(ch)
	values := r.Header.Values(secretHeader)
	if len(values) != 1 {
		return false // two headers: a proxy and the server might not read the same one
	}
	got := sha256.Sum256([]byte(values[0]))
	want := sha256.Sum256([]byte(c.secret))
	match := subtle.ConstantTimeCompare(got[:], want[:])
	for _, previous := range c.previous {
		want := sha256.Sum256([]byte(previous.value))
		equal := subtle.ConstantTimeCompare(got[:], want[:])
		if now.Before(previous.until) {
			match |= equal
		}
	}
	return match == 1
}
