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
