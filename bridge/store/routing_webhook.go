package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// endpoint is where a bot or a webhook is asked. Questions are signed as Standard
// Webhooks 1.0.0 has it: webhook-id, webhook-timestamp and webhook-signature, an
// HMAC-SHA256 of "id.timestamp.body" under each key that is valid.
type endpoint struct {
	url         string
	keys        []signingKey
	timeout     time.Duration
	includeText bool
}

// signingKey signs until its time is over; zero: for good.
type signingKey struct {
	key   []byte
	until time.Time
}

const (
	secretPrefix = "whsec_"
	// secretMin and secretMax are the bytes of a key, as Standard Webhooks has it.
	secretMin, secretMax = 24, 64

	// webhookTimeoutMax bounds one question: nobody waits for a bot for longer.
	webhookTimeoutMax = 30 * time.Second

	// answerMax bounds an answer: ten replies of 4 KiB with their buttons, and room.
	answerMax = 128 << 10

	// webhookConns bounds the connections to one host of each store.
	webhookConns = 64
)

func newEndpoint(name string, spec document.Webhook) (*endpoint, error) {
	u, err := url.Parse(spec.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, &FieldError{Field: "url", Message: "is not a URL that can be called; write https://host/path, without a user"}
	}
	hook := &endpoint{url: spec.URL, timeout: time.Duration(spec.Timeout), includeText: spec.IncludeText}
	if hook.timeout == 0 {
		hook.timeout = document.DefaultWebhookTimeout
	}
	if hook.timeout < 0 || hook.timeout > webhookTimeoutMax {
		return nil, &FieldError{Field: "timeout", Message: fmt.Sprintf("is %s; write 1s to %s", hook.timeout, webhookTimeoutMax)}
	}
	key, err := parseSecret(spec.Secret)
	if err != nil {
		return nil, &FieldError{Field: "secret", Message: fmt.Sprintf("the secret of %s %v", name, err)}
	}
	hook.keys = []signingKey{{key: key}}
	if p := spec.PreviousSecret; p != nil {
		if key, err = parseSecret(p.Value); err != nil {
			return nil, &FieldError{Field: "previousSecret.value", Message: fmt.Sprintf("the previous secret of %s %v", name, err)}
		}
		hook.keys = append(hook.keys, signingKey{key: key, until: p.Until})
	}
	return hook, nil
}

// parseSecret reads a secret; its errors never hold any of it.
func parseSecret(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return nil, errors.New("does not begin with " + secretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not base64 after " + secretPrefix)
	}
	if len(key) < secretMin || len(key) > secretMax {
		return nil, fmt.Errorf("has %d bytes; %d to %d belong there", len(key), secretMin, secretMax)
	}
	return key, nil
}

// sign is the signature header: one signature for each key that is valid.
func (e *endpoint) sign(id string, now time.Time, body []byte) string {
	var list []string
	for _, k := range e.keys {
		if !k.until.IsZero() && !now.Before(k.until) {
			continue
		}
		mac := hmac.New(sha256.New, k.key)
		fmt.Fprintf(mac, "%s.%d.", id, now.Unix())
		mac.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(list, " ")
}

// callError is why a question was not answered. Its text is ours: nothing that
// the other side said is in it.
type callError struct {
	text string
	// final: asking again would not help.
	final bool
	after time.Duration // that the other side asks to be left alone
}

func (e *callError) Error() string { return e.text }

// webhookClients are the clients that questions go out with, by whether private
// addresses may be reached.
type webhookClients struct {
	mu      sync.Mutex
	clients map[bool]*http.Client
}

func (c *webhookClients) get(allowPrivate bool) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients[allowPrivate] == nil {
		client := platform.NewClient(platform.GuardOptions{AllowPrivate: allowPrivate, Timeout: webhookTimeoutMax, MaxConnsPerHost: webhookConns})
		// A signed question goes where it was sent, and nowhere else.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if c.clients == nil {
			c.clients = map[bool]*http.Client{}
		}
		c.clients[allowPrivate] = client
	}
	return c.clients[allowPrivate]
}

// call asks a question and decodes the answer. id is the same for each attempt.
func (e *endpoint) call(ctx context.Context, client *http.Client, id string, now time.Time, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return &callError{text: "the question cannot be written: " + err.Error(), final: true}
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return &callError{text: "the URL cannot be called", final: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "bridgekeeper")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", e.sign(id, now, body))
	resp, err := client.Do(req)
	if err != nil {
		return &callError{text: callFailure(err), final: errors.Is(err, platform.ErrForbiddenAddress)}
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return statusError(resp)
	}
	return readAnswer(resp, answer)
}

func callFailure(err error) string {
	switch {
	case errors.Is(err, platform.ErrForbiddenAddress):
		return "its address is in a range that may not be reached; the ConversationStore can allow private ones"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within the timeout"
	}
	return "it cannot be reached"
}

func statusError(resp *http.Response) error {
	e := &callError{text: fmt.Sprintf("it answered with status %d", resp.StatusCode)}
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			e.after = time.Duration(seconds) * time.Second
		}
	default:
		e.final = true
	}
	return e
}

func readAnswer(resp *http.Response, answer any) error {
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &callError{text: "its answer is not application/json", final: true}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	switch {
	case err != nil:
		return &callError{text: "its answer broke off"}
	case len(body) > answerMax:
		return &callError{text: fmt.Sprintf("its answer is longer than %d bytes", answerMax), final: true}
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return &callError{text: "its answer is not the JSON that belongs there", final: true}
	}
	return nil
}
