package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgekeeper/bridgekeeper/hack/ports"
)

// ErrMissing means that PostgreSQL is not installed.
var ErrMissing = errors.New("PostgreSQL's server is not installed; on Debian: apt-get install postgresql-15")

// Find returns the folder of the newest server binaries that Debian installed.
func Find() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(dirs) == 0 {
		return "", ErrMissing
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(dirs[len(dirs)-1]), nil
}

// Options of a Server.
type Options struct {
	// Fsync makes commits durable. Without it tests are faster and prove the
	// same but for a loss of power.
	Fsync bool
	// Address to listen on beside 127.0.0.1, and the network whose clients may
	// come there with a password; empty: none.
	Address, Network string
	// Settings are further ones, "name=value".
	Settings []string
	// Certificate and PrivateKey are PEM; with them clients may use TLS. With
	// ClientCA those that do must show a certificate of that authority.
	Certificate, PrivateKey, ClientCA []byte
	// Dir is where the server's own folder is made; empty: among the temporary
	// ones. The server's user must get there.
	Dir string
}

// Server is one PostgreSQL server. Its methods may be called concurrently, but
// for those that start and stop it.
type Server struct {
	dir, bin, port string
	address        string
	credential     *syscall.Credential
	settings       []string
	databases      atomic.Int64

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start makes a cluster and runs a server on it.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, settings: o.Settings, address: "127.0.0.1"}
	if o.Address != "" {
		s.address += "," + o.Address
	}
	if !o.Fsync {
		s.settings = append(s.settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	if err := s.prepare(ctx, o.Dir); err != nil {
		s.Close()
		return nil, err
	}
	if err := errors.Join(s.admit(o), s.secure(o)); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context, dir string) (err error) {
	if s.dir, err = os.MkdirTemp(dir, "bridgekeeper-postgres"); err != nil {
		return err
	}
	uid, gid, err := User()
	if err != nil {
		return err
	}
	if uid != os.Geteuid() {
		s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids are 32 bits
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	if s.port, err = ports.Free(ctx); err != nil {
		return err
	}
	initdb := s.command(ctx, "initdb", "--pgdata", s.data(), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// User is whom servers run as: ourselves, or, as they refuse to run as root,
// the user that Debian's package makes.
func User() (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return os.Geteuid(), os.Getegid(), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, fmt.Errorf("servers do not run as root: %w", err)
	}
	uid, _ = strconv.Atoi(u.Uid) // the system's own numbers
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, nil
}

// admit says who may come how; the first line that fits a client counts. Before
// what initdb wrote, which trusts everybody on this machine, come those who use
// TLS, after it the clients of a network, with a password.
func (s *Server) admit(o Options) error {
	path := filepath.Join(s.data(), "pg_hba.conf")
	rules, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if o.ClientCA != nil {
		rules = append([]byte("hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n"), rules...)
	}
	if o.Network != "" {
		rules = fmt.Appendf(rules, "host all all %s scram-sha-256\n", o.Network)
	}
	return os.WriteFile(path, rules, 0o600) // it is there: owner and mode stay
}

// secure sets TLS up.
func (s *Server) secure(o Options) error {
	for _, file := range []struct {
		setting string
		content []byte
	}{{"ssl_cert_file", o.Certificate}, {"ssl_key_file", o.PrivateKey}, {"ssl_ca_file", o.ClientCA}} {
		if file.content == nil {
			continue
		}
		path := filepath.Join(s.dir, file.setting)
		if err := os.WriteFile(path, file.content, 0o600); err != nil {
			return err
		}
		if s.credential != nil {
			if err := os.Chown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
				return err
			}
		}
		s.settings = append(s.settings, file.setting+"="+path)
	}
	if o.Certificate != nil {
		s.settings = append(s.settings, "ssl=on")
	}
	return nil
}

// Port it listens on.
func (s *Server) Port() string { return s.port }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...) //nolint:gosec // Debian's own binaries
	cmd.Dir = s.dir
	// A group of its own: an interrupt of the tests must not reach it before Close does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	return cmd
}

// Start runs the server on its cluster, on the same port as before, and
// returns when it takes connections.
func (s *Server) Start(ctx context.Context) error {
	args := []string{"-D", s.data(), "-p", s.port, "-c", "listen_addresses=" + s.address, "-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "timezone=UTC"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command(context.WithoutCancel(ctx), "postgres", args...) // it ends by Stop, Kill or Close
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // it goes with us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	for {
		if s.command(ctx, "pg_isready", "-h", "127.0.0.1", "-p", s.port, "-q").Run() == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("postgres ended at its start: %s", s.Log())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop shuts the server down as an administrator does in a hurry (SIGINT,
// "fast": connections are ended, everything is written).
func (s *Server) Stop() { s.End(syscall.SIGINT) }

// Kill ends the server and its children as a lost machine does; the next Start
// recovers from the log.
func (s *Server) Kill() {
	s.End(syscall.SIGKILL)
	// Its children notice that it is gone only after a while, and no server
	// starts beside them.
	for left := s.orphans(); len(left) > 0; left = s.orphans() {
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond) // until the kernel has taken them away
	}
}

// orphans are the processes that work in this server's folder.
func (s *Server) orphans() (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if dir, err := os.Readlink(link); err == nil && dir == s.data() {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// Close stops it and removes everything.
func (s *Server) Close() {
	s.Stop()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// End signals the server and waits until it has ended: SIGTERM waits for
// clients ("smart"), SIGQUIT leaves a recovery to the next start ("immediate").
func (s *Server) End(signal syscall.Signal) {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(signal)
	<-exited
}

// Log is the end of the server's log.
func (s *Server) Log() string {
	data, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// DSN of a database of this server.
func (s *Server) DSN(database string) string {
	return "postgres://postgres@127.0.0.1:" + s.port + "/" + database + "?sslmode=disable"
}

// NewDatabase makes an empty database and returns its DSN.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	name, err := s.Create(ctx, "template1")
	return s.DSN(name), err
}

// Create makes a database, a copy of another one, and returns its name.
func (s *Server) Create(ctx context.Context, template string) (string, error) {
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	return name, s.Exec(ctx, s.DSN("postgres"), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template))
}

// PIDs of the server and its children.
func (s *Server) PIDs() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	parent := s.cmd.Process.Pid
	pids := []int{parent}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// After the name, which may hold anything: state, then the parent.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// Exec runs statements.
func (s *Server) Exec(ctx context.Context, dsn, statements string) error {
	_, err := s.Query(ctx, dsn, statements)
	return err
}

// Query runs statements and returns what the last one gives: columns divided
// by "|", rows by line ends.
func (s *Server) Query(ctx context.Context, dsn, statements string) (string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.PgConn().Exec(ctx, statements).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	var rows []string
	for _, row := range results[len(results)-1].Rows {
		rows = append(rows, string(bytes.Join(row, []byte("|"))))
	}
	return strings.Join(rows, "\n"), nil
}

// WithUser is the DSN with another user.
func WithUser(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	u.User = url.User(name)
	return u.String()
}
