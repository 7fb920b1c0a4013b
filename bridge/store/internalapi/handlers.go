package internalapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// malformedError is a request that is not what wire says.
type malformedError struct{ reason string }

func (e *malformedError) Error() string { return e.reason }

// jsonCall decodes a body, calls the engine and encodes the answer. Unknown
// fields are ignored: during an upgrade the bridge may be of another version.
func jsonCall[Request, Answer any](call func(ctx context.Context, bridge string, req Request) (Answer, error)) handler {
	return func(w http.ResponseWriter, r *http.Request, bridge string) error {
		var req Request
		if err := decode(w, r, &req); err != nil {
			return err
		}
		answer, err := call(r.Context(), bridge, req)
		if err != nil {
			return err
		}
		encoded, err := encode(answer)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
		_, _ = w.Write(encoded) // fails only when the caller has left
		return nil
	}
}

func encode(answer any) ([]byte, error) {
	if p, able := answer.(wire.Plain); able {
		return p.Encode()
	}
	return json.Marshal(answer)
}

// decode reads a body to its end and then takes it apart, which costs half of
// what a json.Decoder does: that one grows its buffer as it goes.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	limitReading(w, bodyTimeout)
	var body bytes.Buffer
	if n := r.ContentLength; n > 0 {
		body.Grow(int(min(n, maxGrow)) + bytes.MinRead) // room to find the end in, too
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxJSON))
	if err == nil {
		limitReading(w, 0) // a deadline that outlives the body would end the request
		if p, able := into.(wire.PlainReader); able && p.ReadPlain(body.Bytes()) {
			return nil
		}
		err = json.Unmarshal(body.Bytes(), into)
	}
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return &malformedError{reason: "body: " + describe(body.Bytes(), err)}
}

// describe leaves out what encoding/json quotes of the content.
func describe(body []byte, err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("field %s must be a %s", kind.Field, kind.Type)
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "cannot be read"
	}
	var value json.RawMessage
	switch err := json.NewDecoder(bytes.NewReader(body)).Decode(&value); {
	case err == nil:
		return "more than one JSON value"
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON at byte %d", syntax.Offset)
	}
	return "ends too early"
}

// limitReading bounds how long the body may take; 0 takes the bound away.
func limitReading(w http.ResponseWriter, d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // unsupported only in tests without a connection
}

func (a *API) lease(ctx context.Context, bridge string, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	return longPoll(a, ctx, &req.Wait, func(ctx context.Context) (wire.LeaseResponse, error) {
		return a.engine.Lease(ctx, bridge, req)
	})
}

func (a *API) leaseMedia(ctx context.Context, bridge string, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	return longPoll(a, ctx, &req.Wait, func(ctx context.Context) (wire.MediaLeaseResponse, error) {
		return a.engine.LeaseMedia(ctx, bridge, req)
	})
}

// longPoll bounds the wait and ends it, with nothing found, when the process
// is about to stop.
func longPoll[Answer any](a *API, ctx context.Context, wait *time.Duration, call func(context.Context) (Answer, error)) (Answer, error) {
	*wait = min(max(*wait, 0), maxWait)
	if a.draining.Err() != nil {
		*wait = 0
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(a.draining, cancel)
	defer stop()
	if *wait == 0 {
		stop() // nothing to wait for, so nothing to cut short
	}
	answer, err := call(ctx)
	if err != nil && a.draining.Err() != nil && errors.Is(err, context.Canceled) {
		var nothing Answer
		return nothing, nil
	}
	return answer, err
}

func (a *API) putMedia(w http.ResponseWriter, r *http.Request, bridge string) error {
	lease, err := strconv.ParseInt(r.Header.Get(wire.HeaderLease), 10, 64)
	if err != nil {
		return &malformedError{reason: "header " + wire.HeaderLease + ": must be the number of the media's lease"}
	}
	if r.ContentLength > MaxMedia {
		return &http.MaxBytesError{Limit: MaxMedia}
	}
	limitReading(w, mediaTimeout)
	// The answer comes after the body: a server's write timeout counts from the start of the request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(mediaTimeout)) // as limitReading
	mimeType, name := wire.MediaHeaders(r.Header)
	meta := store.MediaMeta{MimeType: mimeType, Name: name, Size: r.ContentLength}
	body := bodyReader{http.MaxBytesReader(w, r.Body, MaxMedia)}
	if err := a.engine.PutMedia(r.Context(), bridge, r.PathValue("id"), lease, meta, body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// bodyReader tells a bridge that broke off from a store that failed.
type bodyReader struct{ r io.Reader }

func (b bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &tooLarge) {
		err = &malformedError{reason: "body: ends too early"}
	}
	return n, err
}

func (a *API) reportMedia(w http.ResponseWriter, r *http.Request, bridge string) error {
	var report wire.MediaReport
	if err := decode(w, r, &report); err != nil {
		return err
	}
	if err := a.engine.ReportMedia(r.Context(), bridge, r.PathValue("id"), report); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) getMedia(w http.ResponseWriter, r *http.Request, bridge string) error {
	meta, body, err := a.engine.OpenMediaForBridge(r.Context(), bridge, r.PathValue("id"))
	if err != nil {
		return err
	}
	defer body.Close()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(mediaTimeout)) // as limitReading
	wire.SetMediaHeaders(w.Header(), meta.MimeType, meta.Name, meta.Size)
	if _, err := io.Copy(w, body); err != nil {
		// The status is out: only a broken stream tells the caller that bytes are missing.
		panic(http.ErrAbortHandler)
	}
	return nil
}
