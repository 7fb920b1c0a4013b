package storeclient

import (
	"context"
	"io"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Errors of a Store, for errors.Is.
var (
	// ErrUnavailable: the store cannot be reached or cannot commit. Nothing was
	// committed as far as anybody knows; every request may be repeated.
	ErrUnavailable = store.ErrUnavailable
	// ErrForbidden: the channel is not this Bridge's.
	ErrForbidden = store.ErrForbidden
	// ErrConflict: a lease is over.
	ErrConflict = store.ErrConflict
	// ErrNotFound: there is no such thing, or it is not this Bridge's.
	ErrNotFound = store.ErrNotFound
)

// Store is the internal API as one Bridge sees it. All methods may be called
// concurrently, obey ctx, and do not retry what failed: the caller knows how
// long a platform waits.
type Store interface {
	// Ingest commits everything before it returns.
	Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error)
	Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error)
	// Lease waits up to req.Wait for something to do.
	Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error)
	Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error)
	// LeaseMedia waits up to req.Wait for something to do.
	LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error)
	// PutMedia hands over the bytes of a leased media; ErrConflict when the lease is over.
	PutMedia(ctx context.Context, id string, lease int64, meta store.MediaMeta, body io.Reader) error
	ReportMedia(ctx context.Context, id string, report wire.MediaReport) error
	// OpenMedia opens an outbound attachment; the caller closes it.
	OpenMedia(ctx context.Context, id string) (store.MediaMeta, io.ReadCloser, error)
}

// Direct is a Store within the process: the engine, called as this Bridge
// ("namespace/name").
func Direct(engine store.Internal, bridge string) Store {
	return direct{engine: engine, bridge: bridge}
}

type direct struct {
	engine store.Internal
	bridge string
}

func (d direct) Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error) {
	return d.engine.Ingest(ctx, d.bridge, req)
}

func (d direct) Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error) {
	return d.engine.Session(ctx, d.bridge, req)
}

func (d direct) Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	return d.engine.Lease(ctx, d.bridge, req)
}

func (d direct) Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error) {
	return d.engine.Report(ctx, d.bridge, req)
}

func (d direct) LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	return d.engine.LeaseMedia(ctx, d.bridge, req)
}

func (d direct) PutMedia(ctx context.Context, id string, lease int64, meta store.MediaMeta, body io.Reader) error {
	return d.engine.PutMedia(ctx, d.bridge, id, lease, meta, body)
}

func (d direct) ReportMedia(ctx context.Context, id string, report wire.MediaReport) error {
	return d.engine.ReportMedia(ctx, d.bridge, id, report)
}

func (d direct) OpenMedia(ctx context.Context, id string) (store.MediaMeta, io.ReadCloser, error) {
	return d.engine.OpenMediaForBridge(ctx, d.bridge, id)
}
