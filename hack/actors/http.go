package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxAnswer bounds an answer: a page of 200 messages of 64 KiB each.
const maxAnswer = 16 << 20

// StatusError is an answer that is not 2xx.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Body) }

// endpoint is a base URL that speaks JSON.
type endpoint struct {
	base   string
	header http.Header
	client *http.Client
}

func newEndpoint(base string, transport http.RoundTripper) endpoint {
	return endpoint{base: base, header: http.Header{}, client: &http.Client{Timeout: 2 * time.Minute, Transport: transport}}
}

// call sends in (nil: no body) and reads the answer into out (nil: dropped).
func (e endpoint) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, e.base+path, body)
	if err != nil {
		return err
	}
	for name, values := range e.header {
		req.Header[name] = values
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %w", method, path, &StatusError{Status: resp.StatusCode, Body: string(bytes.TrimSpace(raw))})
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}
