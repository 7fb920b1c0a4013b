package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Names of the files in the folder, as kubernetes.io/tls Secrets have them.
const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
	caFile   = "ca.crt"
)

// checkInterval bounds how often the folder is looked at: three stats a second
// cost nothing, and a second is far below the minute that kubelet takes.
const checkInterval = time.Second

// Files are a certificate, its key and the CA bundle that peers are verified
// against. All methods may be called concurrently.
type Files struct {
	dir   string
	now   func() time.Time
	every time.Duration

	mu      sync.Mutex
	checked time.Time
	stamp   string // of current
	warned  string // the last stamp that could not be used: told once
	current *material
}

// material is one consistent state of the folder.
type material struct {
	version int64
	cert    tls.Certificate
	roots   *x509.CertPool
	server  *tls.Config
}

// Open reads the folder. An error names the file that is missing or wrong.
func Open(dir string) (*Files, error) {
	f := &Files{dir: dir, now: time.Now, every: checkInterval}
	stamp := f.readStamp()
	m, err := f.read()
	if err != nil {
		return nil, err
	}
	m.version = 1
	f.current, f.stamp, f.checked = m, stamp, f.now()
	return f, nil
}

// CheckEvery sets how often the folder is looked at, before it is used; tests
// have no second to wait.
func (f *Files) CheckEvery(d time.Duration) *Files {
	f.every = d
	return f
}

// Version grows with every change of the folder that was taken over.
func (f *Files) Version() int64 { return f.latest().version }

// latest looks at the folder when the last look is older than checkInterval.
func (f *Files) latest() *material {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.checked) < f.every {
		return f.current
	}
	f.checked = now
	stamp := f.readStamp()
	if stamp == f.stamp {
		return f.current
	}
	m, err := f.read()
	if err != nil || f.readStamp() != stamp {
		// Half-way through a swap: what we have stays, the next look decides.
		if err != nil && f.warned != stamp {
			f.warned = stamp
			slog.Warn("TLS files changed but cannot be used; the previous ones stay in force", "dir", f.dir, "error", err)
		}
		return f.current
	}
	m.version = f.current.version + 1
	f.current, f.stamp = m, stamp
	slog.Info("TLS files reloaded", "dir", f.dir, "notAfter", m.cert.Leaf.NotAfter)
	return m
}

// readStamp tells one state of the folder from another without reading it.
// Kubernetes swaps the symlink ..data; plain folders change times and sizes.
func (f *Files) readStamp() string {
	var b strings.Builder
	if target, err := os.Readlink(filepath.Join(f.dir, "..data")); err == nil {
		b.WriteString(target)
	}
	for _, name := range []string{certFile, keyFile, caFile} {
		if info, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
			fmt.Fprintf(&b, "|%s:%d:%d", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

func (f *Files) read() (*material, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(f.dir, certFile), filepath.Join(f.dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("TLS files in %s: %w", f.dir, err)
	}
	bundle, err := os.ReadFile(filepath.Join(f.dir, caFile))
	if err != nil {
		return nil, fmt.Errorf("TLS files in %s: %w", f.dir, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("TLS files in %s: %s holds no certificate", f.dir, caFile)
	}
	m := &material{cert: cert, roots: roots}
	m.server = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
		NextProtos:   []string{"h2", "http/1.1"},
		// A resumed session would skip the check against today's CA bundle.
		SessionTicketsDisabled: true,
	}
	return m, nil
}

// verify checks a peer's chain against the CA bundle in force.
func (m *material) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: m.roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err
}
