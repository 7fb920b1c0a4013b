package meta

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// callTimeout is for one call of the Graph API; they take well under a
	// second as a rule.
	callTimeout = 25 * time.Second
	// maxAnswer bounds an answer: a list of an app's pages is the largest.
	maxAnswer = 4 << 20
)

// query are the parameters of a call. Tokens are never among them: URLs stand
// in the logs of every proxy.
type query = url.Values

// graphCall is one call of the Graph API.
type graphCall struct {
	method string
	path   string // below the version, without the leading slash
	query  query
	body   any // sent as JSON; nil: none
	asApp  bool
	// timeout instead of callTimeout; 0: none.
	timeout time.Duration
}

// appToken is the app's own access token, for what concerns the app.
func (c *channel) appToken() string { return c.App + "|" + c.secret }

// call does one call and decodes its answer into result, which may be nil. The
// error is an *platform.Error.
func (p *Platform) call(ctx context.Context, c *channel, g graphCall, result any) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(g.timeout, callTimeout))
	defer cancel()
	req, err := c.request(ctx, g)
	if err != nil {
		return err
	}
	if g.body != nil {
		body, err := json.Marshal(g.body)
		if err != nil {
			return &platform.Error{Class: wire.ErrContentRejected, Reason: "cannot be written as JSON", Err: err}
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	return p.do(c, req, result)
}

func (c *channel) request(ctx context.Context, g graphCall) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, g.method, c.base+"/"+g.path, nil)
	if err != nil { // the base URL was checked by Load
		return nil, &platform.Error{Class: wire.ErrMisconfigured, Reason: "the base URL of the Graph API is not a URL"}
	}
	token := c.token
	if g.asApp {
		token = c.appToken()
	}
	q := query{}
	for name, values := range g.query {
		q[name] = values
	}
	q.Set("appsecret_proof", proof(token, c.secret))
	req.URL.RawQuery = q.Encode()
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// do makes a request and takes the answer apart, unless Meta has told before
// that this app or account must wait.
func (p *Platform) do(c *channel, req *http.Request, result any) error {
	if wait := p.usage.wait(c, p.now()); wait > 0 {
		return &platform.Error{Class: wire.ErrRateLimited, Scope: wire.ScopeChannel, RetryAfter: wait,
			Reason: "the calls that Meta allows this app or account are used up for now"}
	}
	answer, err := platform.Do(c.client, req, maxAnswer)
	if err != nil {
		return c.redact(err)
	}
	p.usage.note(c, answer.Header, p.now())
	if answer.Status/100 != 2 {
		return c.redact(refusal(answer, p.now()))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, result); err != nil {
		return &platform.Error{Class: wire.ErrUnknown, Reason: "the answer of the Graph API cannot be read", MaybeSent: true}
	}
	return nil
}

// redact takes the channel's secrets out of an error.
func (c *channel) redact(err error) error {
	if e := asError(err); e != nil {
		return platform.RedactError(e, c.secrets...)
	}
	return err
}

// duty makes an error of a send into one of a duty: what the API does not
// accept there is not a message's content, but what the Channel says.
func duty(err error, doing string) error {
	e := asError(err)
	if e == nil {
		return err
	}
	if e.Class == wire.ErrContentRejected {
		e.Class = wire.ErrMisconfigured
	}
	e.Reason = fmt.Sprintf("%s: %s", doing, e.Reason)
	return e
}
