package storeclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// requestTimeout bounds a request whose caller set no deadline. A commit
	// takes milliseconds; ten seconds is a store in serious trouble.
	requestTimeout = 10 * time.Second
	// waitSlack is added to a long poll's wait: the way there and back, and a
	// store that is slow to answer.
	waitSlack = 10 * time.Second
	// mediaTimeout bounds a transfer whose caller set no deadline: 256 MiB at 1 MB/s.
	mediaTimeout = 5 * time.Minute
	// maxAnswer bounds an answer: a lease of a hundred long messages is well below 1 MiB.
	maxAnswer = 16 << 20
	// maxGrow bounds what is set aside for an answer before it is there.
	maxGrow = 1 << 20
)

// Client is a Store over the internal API. Its methods may be called
// concurrently.
type Client struct {
	base     atomic.Pointer[url.URL]
	messages *pool
	media    *pool
	health   healthTracker
}

var _ Store = (*Client)(nil)

// New makes a client that shows the certificate of files. It can be used once
// SetURL was called; until then every request is ErrUnavailable.
func New(files *tlsfiles.Files) *Client {
	c := &Client{messages: newPool(files), media: newPool(files)}
	c.health.begin("the store has not been called yet", time.Now())
	return c
}

// SetURL sets the base URL of the store's internal API
// (document.BridgeSettings.StoreURL); requests under way finish where they are.
func (c *Client) SetURL(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("storeURL %q: must be https://host:port", base)
	}
	c.base.Store(u)
	return nil
}

// Close drops connections that are idle.
func (c *Client) Close() {
	c.messages.close()
	c.media.close()
}

// Health is how the last request went: OK unless it was ErrUnavailable.
func (c *Client) Health() document.Health { return c.health.get() }

// Ingest implements Store.
func (c *Client) Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error) {
	return call[wire.IngestResponse](ctx, c, wire.PathIngest, req, requestTimeout)
}

// Session implements Store.
func (c *Client) Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error) {
	return call[wire.SessionResponse](ctx, c, wire.PathSession, req, requestTimeout)
}

// Lease implements Store.
func (c *Client) Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	return call[wire.LeaseResponse](ctx, c, wire.PathLease, req, req.Wait+waitSlack)
}

// Report implements Store.
func (c *Client) Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error) {
	return call[wire.ReportResponse](ctx, c, wire.PathReport, req, requestTimeout)
}

// LeaseMedia implements Store.
func (c *Client) LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	return call[wire.MediaLeaseResponse](ctx, c, wire.PathMediaLease, req, req.Wait+waitSlack)
}

// ReportMedia implements Store.
func (c *Client) ReportMedia(ctx context.Context, id string, report wire.MediaReport) error {
	_, err := call[struct{}](ctx, c, mediaPath(id)+"/report", report, requestTimeout)
	return err
}

// PutMedia implements Store.
func (c *Client) PutMedia(ctx context.Context, id string, lease int64, meta store.MediaMeta, body io.Reader) error {
	ctx, cancel := withDeadline(ctx, mediaTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodPut, mediaPath(id), io.NopCloser(body))
	if err != nil {
		return err
	}
	wire.SetMediaHeaders(req.Header, meta.MimeType, meta.Name, 0)
	req.Header.Set(wire.HeaderLease, strconv.FormatInt(lease, 10))
	req.ContentLength = -1
	if meta.Size > 0 {
		req.ContentLength = meta.Size
	}
	resp, err := c.do(c.media, req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// OpenMedia implements Store. The deadline of ctx, or five minutes, covers
// reading the body too.
func (c *Client) OpenMedia(ctx context.Context, id string) (store.MediaMeta, io.ReadCloser, error) {
	ctx, cancel := withDeadline(ctx, mediaTimeout)
	req, err := c.request(ctx, http.MethodGet, mediaPath(id), nil)
	if err != nil {
		cancel()
		return store.MediaMeta{}, nil, err
	}
	resp, err := c.do(c.media, req) //nolint:bodyclose // the caller closes it
	if err != nil {
		cancel()
		return store.MediaMeta{}, nil, err
	}
	mimeType, name := wire.MediaHeaders(resp.Header)
	meta := store.MediaMeta{MimeType: mimeType, Name: name, Size: resp.ContentLength}
	return meta, &cancelOnClose{ReadCloser: resp.Body, cancel: cancel}, nil
}

type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelOnClose) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func mediaPath(id string) string { return wire.PathMedia + url.PathEscape(id) }

func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// call does one JSON request.
func call[Answer any](ctx context.Context, c *Client, path string, body any, timeout time.Duration) (Answer, error) {
	var answer Answer
	encoded, err := encode(body)
	if err != nil {
		return answer, fmt.Errorf("store %s: %w", path, err)
	}
	ctx, cancel := withDeadline(ctx, timeout)
	defer cancel()
	resp, err := c.post(ctx, path, encoded)
	if errors.Is(err, errStaleCertificate) {
		// The store refused it unread, because our certificate was rotated out
		// between two requests on one connection. The next one shows the new one.
		resp, err = c.post(ctx, path, encoded)
	}
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return answer, nil
	}
	// A broken answer says nothing about what was committed: asking again is
	// safe (unique keys, leases), so it counts as unavailable.
	if err := decode(resp, &answer); err != nil {
		return answer, c.failed(resp.Request, fmt.Errorf("read the answer: %w", err))
	}
	return answer, nil
}

// decode reads an answer to its end and takes it apart, which costs half of what
// a json.Decoder does.
func decode(resp *http.Response, answer any) error {
	var body bytes.Buffer
	if n := resp.ContentLength; n > 0 {
		body.Grow(int(min(n, maxGrow)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return err
	}
	if p, able := answer.(wire.PlainReader); able && p.ReadPlain(body.Bytes()) {
		return nil
	}
	return json.Unmarshal(body.Bytes(), answer)
}

func encode(body any) ([]byte, error) {
	if p, able := body.(wire.Plain); able {
		return p.Encode()
	}
	return json.Marshal(body)
}

func (c *Client) post(ctx context.Context, path string, body []byte) (*http.Response, error) {
	req, err := c.request(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(c.messages, req)
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	base := c.base.Load()
	if base == nil {
		return nil, fmt.Errorf("%w: no document has told the store's URL yet", ErrUnavailable)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base.String(), "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	return req, nil
}

// do sends the request; on anything but success it closes the body and
// returns an error of the store.
func (c *Client) do(p *pool, req *http.Request) (*http.Response, error) {
	resp, err := p.client().Do(req)
	if err != nil {
		// The caller's own end says nothing about the store's health.
		if cause := context.Cause(req.Context()); errors.Is(cause, context.Canceled) {
			return nil, fmt.Errorf("store %s: %w", req.URL.Path, cause)
		}
		return nil, c.failed(req, err)
	}
	if resp.StatusCode < 300 {
		c.health.set(nil, time.Now())
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refused(req, resp)
}

// failed is the error of a request that got no answer.
func (c *Client) failed(req *http.Request, err error) error {
	var wrapped *url.Error // repeats method and URL
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	c.health.set(fmt.Errorf("the store cannot be reached: %w", err), time.Now())
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, req.URL.Path, err)
}

// refused turns a problem into an error of the store.
func (c *Client) refused(req *http.Request, resp *http.Response) error {
	var problem wire.Problem
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&problem) // without a detail the status says enough
	kind := errorOf(resp.StatusCode)
	err := fmt.Errorf("%w: store answered %d to %s: %s", kind, resp.StatusCode, req.URL.Path, problem.Detail)
	if errors.Is(kind, ErrUnavailable) {
		c.health.set(fmt.Errorf("the store answers %d: %s", resp.StatusCode, problem.Detail), time.Now())
	} else {
		c.health.set(nil, time.Now()) // it answers: it is there
	}
	return err
}

// ErrRejected means that the store understood the request and will never
// accept it (malformed, too large): repeating it is of no use.
var ErrRejected = errors.New("rejected")

// errStaleCertificate is an ErrUnavailable by 401.
var errStaleCertificate = fmt.Errorf("%w: certificate not accepted", ErrUnavailable)

func errorOf(status int) error {
	switch {
	case status == http.StatusUnauthorized:
		return errStaleCertificate
	case status == http.StatusForbidden:
		return ErrForbidden
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusConflict:
		return ErrConflict
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return ErrUnavailable
	}
	return ErrRejected
}
