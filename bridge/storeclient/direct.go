package storeclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Local is a Store within the process. Its methods may be called concurrently.
type Local struct {
	engine store.Internal
	bridge string
	health healthTracker
}

var _ Store = (*Local)(nil)

// Direct is the engine, called as this Bridge ("namespace/name").
func Direct(engine store.Internal, bridge string) *Local {
	l := &Local{engine: engine, bridge: bridge}
	l.health.set(nil, time.Now()) // who has an engine has opened it
	return l
}

// Health is how the last call that tells went, as Client.Health: OK unless it
// was ErrUnavailable.
func (l *Local) Health() document.Health { return l.health.get() }

// told notes what an error says of the store. The caller's own end, and what
// went wrong with a body on its way, say nothing.
func (l *Local) told(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, ErrUnavailable):
		l.health.set(err, time.Now())
	case err == nil, errors.Is(err, ErrForbidden), errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		l.health.set(nil, time.Now()) // it answers: it is there
	}
	return err
}

// Ingest implements Store.
func (l *Local) Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error) {
	answer, err := l.engine.Ingest(ctx, l.bridge, req)
	return answer, l.told(err)
}

// Session implements Store.
func (l *Local) Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error) {
	answer, err := l.engine.Session(ctx, l.bridge, req)
	return answer, l.told(err)
}

// Lease implements Store.
func (l *Local) Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	answer, err := l.engine.Lease(ctx, l.bridge, req)
	return answer, l.told(err)
}

// Report implements Store.
func (l *Local) Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error) {
	answer, err := l.engine.Report(ctx, l.bridge, req)
	return answer, l.told(err)
}

// LeaseMedia implements Store.
func (l *Local) LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	answer, err := l.engine.LeaseMedia(ctx, l.bridge, req)
	return answer, l.told(err)
}

// PutMedia implements Store.
func (l *Local) PutMedia(ctx context.Context, id string, lease int64, meta store.MediaMeta, body io.Reader) error {
	return l.told(l.engine.PutMedia(ctx, l.bridge, id, lease, meta, body))
}

// ReportMedia implements Store.
func (l *Local) ReportMedia(ctx context.Context, id string, report wire.MediaReport) error {
	return l.told(l.engine.ReportMedia(ctx, l.bridge, id, report))
}

// OpenMedia implements Store.
func (l *Local) OpenMedia(ctx context.Context, id string) (store.MediaMeta, io.ReadCloser, error) {
	meta, body, err := l.engine.OpenMediaForBridge(ctx, l.bridge, id)
	return meta, body, l.told(err)
}

// Absent stands for a store that is not there: every call is ErrUnavailable, so
// that platforms keep what they have. why is for people.
func Absent(why string) *Local {
	l := &Local{engine: absent{fmt.Errorf("%w: %s", ErrUnavailable, why)}}
	l.health.set(errors.New(why), time.Now())
	return l
}

type absent struct{ err error }

func (a absent) Ingest(context.Context, string, wire.IngestRequest) (r wire.IngestResponse, _ error) {
	return r, a.err
}

func (a absent) Session(context.Context, string, wire.SessionRequest) (r wire.SessionResponse, _ error) {
	return r, a.err
}

func (a absent) Lease(context.Context, string, wire.LeaseRequest) (r wire.LeaseResponse, _ error) {
	return r, a.err
}

func (a absent) Report(context.Context, string, wire.ReportRequest) (r wire.ReportResponse, _ error) {
	return r, a.err
}

func (a absent) LeaseMedia(context.Context, string, wire.MediaLeaseRequest) (r wire.MediaLeaseResponse, _ error) {
	return r, a.err
}

func (a absent) PutMedia(context.Context, string, string, int64, store.MediaMeta, io.Reader) error {
	return a.err
}

func (a absent) ReportMedia(context.Context, string, string, wire.MediaReport) error { return a.err }

func (a absent) OpenMediaForBridge(context.Context, string, string) (m store.MediaMeta, _ io.ReadCloser, _ error) {
	return m, nil, a.err
}
