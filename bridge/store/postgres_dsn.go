package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// The DSN comes in a file, with certificates beside it where the server wants
// them, as a mounted Secret has them:
//
//	dsn        postgres://user:password@host:5432/database?sslmode=verify-full, or host=… user=…
//	ca.crt     whom to trust (sslrootcert); with it sslmode is verify-full unless the DSN says otherwise
//	tls.crt    certificate and
//	tls.key    key of the client (sslcert, sslkey)
//
// It is looked at every dsnEvery. Other contents are tried out first, and must
// lead to the same store; then new connections are opened with it, and those
// that are open end after what they are doing, idle ones at once. What was
// refused is tried again after a while, less and less often: the role may have
// been mended (a search_path, a grant), and not the file.

const (
	dsnEvery = 2 * time.Second

	// dsnRetryMax is the longest pause between two tries of the same contents: whoever
	// mends a role looks for the effect about that long, and a connection a minute is
	// no load for a server.
	dsnRetryMax = time.Minute

	// connectTimeout bounds the way to each of the DSN's hosts, unless it says
	// so itself.
	connectTimeout = 3 * time.Second

	// warningDSN is shown while the DSN file holds something that cannot be used.
	warningDSN = "DSNNotUsable"
)

type pgxConn = pgx.Conn

// destination is where connections lead to. It never changes.
type destination struct {
	config     *pgx.ConnConfig
	sum        [sha256.Size]byte // of the files
	generation int64
}

// applicationName is what the server shows of our connections, unless the DSN
// has another one.
const applicationName = "bridgekeeper-store"

// dsnFile follows a DSN file.
type dsnFile struct {
	path    string
	current atomic.Pointer[destination]

	mu      sync.Mutex
	refused refusedDSN
	warning string
	now     func() time.Time
}

// refusedDSN is contents that were tried and could not be used.
type refusedDSN struct {
	sum   [sha256.Size]byte
	tries int
	again time.Time // not before
}

// next is the refusal after another try of contents.
func (r refusedDSN) next(sum [sha256.Size]byte, now time.Time) refusedDSN {
	if r.sum != sum {
		r = refusedDSN{sum: sum}
	}
	wait := min(dsnRetryMax, dsnEvery<<min(r.tries, 10)) // 2^10 × 2 s is far above the limit
	r.tries++
	r.again = now.Add(wait)
	return r
}

// openDSN reads the file for the first time.
func openDSN(path string) (*dsnFile, error) {
	f := &dsnFile{path: path, now: time.Now}
	t, err := f.read()
	if err != nil {
		return nil, err
	}
	t.generation = 1
	f.current.Store(t)
	return f, nil
}

func (f *dsnFile) generation() int64 { return f.current.Load().generation }

func (f *dsnFile) warnings() []document.Warning {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.warning == "" {
		return nil
	}
	return []document.Warning{{Reason: warningDSN, Message: f.warning}}
}

func (f *dsnFile) beside(name string) string { return filepath.Join(filepath.Dir(f.path), name) }

// read reads what the files say now. Errors name files, never what is in them.
func (f *dsnFile) read() (*destination, error) {
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL DSN: %w", err)
	}
	dsn := string(bytes.TrimSpace(raw))
	if dsn == "" {
		return nil, fmt.Errorf("PostgreSQL DSN: %s is empty; write postgres://user:password@host/database into it", f.path)
	}
	sum := sha256.New()
	sum.Write(raw)
	if _, err := pgx.ParseConfig(dsn); err != nil {
		return nil, fmt.Errorf("PostgreSQL DSN: %s holds neither postgres://user:password@host/database nor host=… user=… dbname=…", f.path)
	}
	dsn, err = f.certificates(dsn, sum.Write)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL DSN: the certificates beside %s cannot be used: ca.crt must hold certificates, tls.crt and tls.key belong together", f.path)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = applicationName
	}
	t := &destination{config: config}
	sum.Sum(t.sum[:0])
	return t, nil
}

// certificates adds what lies beside the file and the DSN does not speak of.
func (f *dsnFile) certificates(dsn string, saw func([]byte) (int, error)) (string, error) {
	params := []setting{{"sslrootcert", "ca.crt"}, {"sslcert", "tls.crt"}, {"sslkey", "tls.key"}}
	own := strings.Contains(dsn, "sslmode=")
	for _, p := range params {
		content, err := os.ReadFile(f.beside(p.value))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("PostgreSQL DSN: %w", err)
		}
		_, _ = saw(content)
		if strings.Contains(dsn, p.name+"=") {
			continue
		}
		dsn = withParam(dsn, p.name, f.beside(p.value))
		if p.name == "sslrootcert" && !own {
			dsn = withParam(dsn, "sslmode", "verify-full")
		}
	}
	return dsn, nil
}

// withParam adds a parameter to a DSN of either form.
func withParam(dsn, name, value string) string {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		separator := "?"
		if strings.Contains(dsn, "?") {
			separator = "&"
		}
		return dsn + separator + name + "=" + url.QueryEscape(value)
	}
	return dsn + " " + name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// prepare makes a new connection's session what the store wants, where the DSN
// says nothing else.
func (t *destination) prepare(settings []setting) func(context.Context, *pgx.Conn) error {
	var b strings.Builder
	for _, s := range settings {
		_, set := t.config.RuntimeParams[s.name]
		if !set && !strings.Contains(t.config.RuntimeParams["options"], s.name) {
			fmt.Fprintf(&b, "SET %s = '%s';", s.name, s.value)
		}
	}
	if !strings.Contains(b.String(), "synchronous_commit") {
		b.WriteString(durable)
	}
	statements := b.String()
	return func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statements)
		return err
	}
}

// look reads the file again and, when it says something else, tries that out.
// changed says that connections are opened with it from now on.
func (f *dsnFile) look(ctx context.Context, try func(context.Context, *destination) error) (changed bool) {
	f.mu.Lock()
	refused := f.refused
	f.mu.Unlock()
	current := f.current.Load()
	next, err := f.read()
	if err == nil {
		switch next.sum {
		case current.sum:
			f.warn("", refusedDSN{})
			return false
		case refused.sum:
			if f.now().Before(refused.again) {
				return false
			}
		}
		err = try(ctx, next)
	}
	if err != nil {
		var again refusedDSN
		if next != nil && !errors.Is(err, ErrUnavailable) { // what is away may come back at any moment
			again = refused.next(next.sum, f.now())
		}
		f.warn(fmt.Sprintf("the new DSN is not used, the one before stays in force: %v", err), again)
		return false
	}
	next.generation = current.generation + 1
	f.current.Store(next)
	f.warn("", refusedDSN{})
	return true
}

func (f *dsnFile) warn(message string, refused refusedDSN) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.warning, f.refused = message, refused
}

// watchDSN follows the file until ctx is done. changed is told after each
// change.
func (p *postgres) watchDSN(ctx context.Context, store string, changed func()) {
	for pause(ctx, dsnEvery, nil); ctx.Err() == nil; pause(ctx, dsnEvery, nil) {
		if p.dsn.look(ctx, func(ctx context.Context, t *destination) error { return p.tryOut(ctx, t, store) }) {
			p.log.InfoContext(ctx, "the PostgreSQL DSN changed; connections are opened anew")
			changed()
		}
	}
}

// closeIdle closes the connections that nobody uses. A pool looks whether one is
// out of date when it is taken, which in an idle store may be never.
func (p *postgres) closeIdle(db *database) {
	for pool, idle := range map[*sql.DB]int{db.reader: postgresReaders, db.writer: 1} {
		pool.SetMaxIdleConns(0)
		pool.SetMaxIdleConns(idle)
	}
}

// tryOut connects and asks whether it is the same store: a DSN that leads to
// another database would split the conversations in two.
func (p *postgres) tryOut(ctx context.Context, t *destination, store string) error {
	ctx, cancel := context.WithTimeout(ctx, postgresPatience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, t.config)
	if err != nil {
		return p.classify(err)
	}
	defer conn.Close(ctx)
	var found string
	if err := conn.QueryRow(ctx, `SELECT store FROM store_identity WHERE id = 1`).Scan(&found); err != nil {
		return fmt.Errorf("it does not lead to a store's database: %w", p.classify(err))
	}
	if found != store {
		return errors.New("it leads to the database of another store")
	}
	return nil
}
