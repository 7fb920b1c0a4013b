package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

const (
	socketName = "admin.sock"
	backupPath = "/backup"
	// summaryTrailer comes after the last byte of a whole backup, and only then.
	summaryTrailer = "Bridgekeeper-Backup"

	// maxSocketPath is the length of sun_path (unix(7): 108 bytes, 104 on BSDs)
	// without the final zero.
	maxSocketPath = 103

	// stallTimeout ends a backup whose reader has stopped reading: the snapshot
	// keeps the write-ahead log from shrinking meanwhile.
	stallTimeout = time.Minute

	readHeaderTimeout = 5 * time.Second
)

// Store is what this API needs of a store.
type Store interface {
	// BackupFolder is the data folder; empty when there is none.
	BackupFolder() string
	Backup(ctx context.Context, w io.Writer) (store.BackupSummary, error)
	// LastBackup is when the last whole one was begun; zero when there was none.
	LastBackup() time.Time
}

// Options of Serve. All may be zero.
type Options struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Serve answers on the socket in the store's data folder until ctx is done; a
// backup on its way is cut off then. A store without a data folder has no
// socket, and Serve just waits.
func Serve(ctx context.Context, st Store, o Options) error {
	dir := st.BackupFolder()
	if dir == "" {
		<-ctx.Done()
		return nil
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := listen(ctx, dir)
	if err != nil {
		return fmt.Errorf("socket for commands: %w", err)
	}
	h := &handler{store: st, log: o.Log, metrics: newMetrics(o.Registerer, st.LastBackup())}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+backupPath, h.backup)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: readHeaderTimeout, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nothing is left to fail
	defer stop()
	err = server.Serve(listener)
	h.running.Lock() // the last backup lets go of the store
	defer h.running.Unlock()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("socket for commands: %w", err)
}

// listen opens the socket. One that is there was left by a process that was
// killed: who calls this holds the folder's lock.
func listen(ctx context.Context, dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	address, done, err := socketAddress(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// socketAddress is the socket's path, or a short one for it: paths of sockets
// are bounded, those of data folders are not.
func socketAddress(dir string) (address string, done func(), err error) {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())), socketName), func() { _ = folder.Close() }, nil
}

type handler struct {
	store   Store
	log     *slog.Logger
	metrics *metrics
	running sync.Mutex
}

func (h *handler) backup(w http.ResponseWriter, r *http.Request) {
	if !h.running.TryLock() {
		http.Error(w, "another backup is on its way; wait for its end", http.StatusConflict)
		return
	}
	defer h.running.Unlock()
	began := time.Now()
	out := &stream{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/zstd")
	w.Header().Set("Trailer", summaryTrailer)
	summary, err := h.store.Backup(r.Context(), out)
	h.metrics.done(began, err)
	if err != nil {
		h.log.Error("a backup failed", "error", err, "bytes", out.written)
		if out.written == 0 {
			w.Header().Del("Trailer")
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		panic(http.ErrAbortHandler) // the one way to tell that the body is not whole
	}
	said, err := json.Marshal(summary)
	if err != nil {
		panic(err) // numbers and a time
	}
	w.Header().Set(summaryTrailer, string(said))
	h.log.Info("a backup was made", "seconds", time.Since(began).Seconds(), "bytes", out.written,
		"databaseBytes", summary.DatabaseBytes, "media", summary.Media, "missingMedia", summary.MissingMedia, "damagedMedia", summary.DamagedMedia)
}

// stream gives every write its time, however long the whole takes.
type stream struct {
	w       io.Writer
	control *http.ResponseController
	written int64
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.control.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	s.written += int64(n)
	return n, err
}

type metrics struct {
	backups *prometheus.CounterVec
	last    prometheus.Gauge
	seconds prometheus.Gauge
}

// newMetrics begins with what an earlier process has told of the last backup:
// who waits for the next one must not forget it because a pod was restarted.
func newMetrics(reg prometheus.Registerer, last time.Time) *metrics {
	m := &metrics{
		backups: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_backups_total", Help: "Backups, by outcome."}, []string{"outcome"}),
		last:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "bridgekeeper_store_backup_timestamp_seconds", Help: "When the last whole backup was begun; 0: there was none."}),
		seconds: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bridgekeeper_store_backup_seconds", Help: "How long the last whole backup of this process took; 0: it has made none."}),
	}
	if reg != nil {
		reg.MustRegister(m.backups, m.last, m.seconds)
	}
	if !last.IsZero() {
		m.last.Set(float64(last.UnixMilli()) / 1000)
	}
	return m
}

func (m *metrics) done(began time.Time, err error) {
	if err != nil {
		m.backups.WithLabelValues("failed").Inc()
		return
	}
	m.backups.WithLabelValues("made").Inc()
	m.last.Set(float64(began.UnixMilli()) / 1000)
	m.seconds.Set(time.Since(began).Seconds())
}
