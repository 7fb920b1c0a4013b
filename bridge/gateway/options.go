package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// DefaultDrain is how long webhooks are still taken after the process was
	// told to stop: until the change of endpoints has reached every proxy, which
	// takes a second or two in a healthy cluster.
	DefaultDrain = 5 * time.Second
	// DefaultGrace is how long what is on the way may take to finish. With
	// DefaultDrain it fits into Kubernetes' 30 s, with room for last words.
	DefaultGrace = 20 * time.Second
)

// Store is the internal API of the store as this bridge sees it;
// storeclient.Client and storeclient.Direct are ones. What it can beside is
// asked for by type assertion: SetURL(string) error, Health() document.Health.
type Store interface {
	Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error)
	Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error)
	Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error)
	Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error)
	LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error)
	PutMedia(ctx context.Context, id string, lease int64, meta store.MediaMeta, body io.Reader) error
	ReportMedia(ctx context.Context, id string, report wire.MediaReport) error
	OpenMedia(ctx context.Context, id string) (store.MediaMeta, io.ReadCloser, error)
}

// addressable is a store whose URL the document tells.
type addressable interface{ SetURL(base string) error }

// observable is a store that knows how it is reached.
type observable interface{ Health() document.Health }

// Options of a Gateway.
type Options struct {
	// Store is needed; everything else has a default.
	Store Store
	// StoreURL, when set, is used instead of the documents'.
	StoreURL string
	// Instance names this process; the host's name and a random part by default.
	Instance string
	// Version of this build, for /status.
	Version string
	// Platforms by name; all of this build by default.
	Platforms map[string]platform.Platform
	// Registry takes the metrics; one of its own by default.
	Registry *prometheus.Registry
	Log      *slog.Logger
	// SendWorkers send at one time; outbox.DefaultWorkers by default.
	SendWorkers int
	// DocumentError says why the newest files are not in force, for /status. May be nil.
	DocumentError func() string
	// Grace is how long what is on the way may take to finish at the end;
	// DefaultGrace by default.
	Grace time.Duration
}

func (o Options) withDefaults(instance string) (Options, error) {
	if o.Store == nil {
		return o, errors.New("gateway: Options.Store is missing")
	}
	if o.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "bridge"
		}
		o.Instance = host + "." + instance
	}
	if o.Platforms == nil {
		o.Platforms = all.ByName()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	return o, nil
}
