package testpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/ports"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds initdb, a start and a stop on a busy machine.
const startTimeout = 60 * time.Second

// Options of a server.
type Options struct {
	// Fsync makes commits wait for the disk, as in production. Without it tests
	// are faster, and what a crash of the machine would do cannot be seen anyway.
	Fsync bool
	// Settings are more lines of postgresql.conf, as "name = value".
	Settings []string
}

// Server is a running PostgreSQL. All methods may be called concurrently, apart
// from Start, Stop, Restart and Close among each other.
type Server struct {
	bin, dir string
	port     int
	account  *account // nil: runs as this process's user
	opts     Options

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	log    lockedBuffer

	databases atomic.Int64
}

// account is the user that the server runs as: it refuses root.
type account struct{ uid, gid uint32 }

// Start makes a database cluster in a temporary folder and starts it. Close
// must follow. The error is ErrMissing where there are no programs.
func Start(opts Options) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, opts: opts}
	if os.Geteuid() == 0 {
		if s.account, err = unprivileged(); err != nil {
			return nil, err
		}
	}
	// Not t.TempDir: a Unix socket's path has at most 107 bytes.
	if s.dir, err = os.MkdirTemp("", "testpg-"); err != nil {
		return nil, err
	}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

func unprivileged() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses root, and there is neither a user postgres nor nobody")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initialise() error {
	if s.account != nil {
		if err := os.Chown(s.dir, int(s.account.uid), int(s.account.gid)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := s.command(ctx, "initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := ports.Free(context.Background())
	if err != nil {
		return err
	}
	if s.port, err = strconv.Atoi(port); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer conf.Close()
	fmt.Fprintf(conf, "\nlisten_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = '%s'\nmax_connections = 200\nshared_buffers = 64MB\nfsync = %t\nfull_page_writes = %t\n",
		s.port, s.dir, s.opts.Fsync, s.opts.Fsync)
	for _, line := range s.opts.Settings {
		fmt.Fprintln(conf, line)
	}
	return conf.Close()
}

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	// Its own group: an interrupt of the tests must not reach it before Close does.
	// And it ends with the process that started it, however that one ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if s.account != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.account.uid, Gid: s.account.gid}
	}
	return cmd
}

// Run starts the server (again) and waits until it answers.
func (s *Server) Run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := s.command(context.Background(), "postgres", "-D", s.data())
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := startOnItsThread(cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(exited)
	}()
	s.cmd, s.exited = cmd, exited
	deadline := time.After(startTimeout)
	for {
		if s.answers() {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("PostgreSQL did not start:\n%s", s.log.String())
		case <-deadline:
			return fmt.Errorf("PostgreSQL did not answer within %s:\n%s", startTimeout, s.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startOnItsThread starts a process from a thread that lives as long as this
// one: the signal at a parent's death is at that of the thread.
func startOnItsThread(cmd *exec.Cmd) error {
	result := make(chan error)
	starts <- func() { result <- cmd.Start() }
	return <-result
}

var starts = func() chan func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the process
		for f := range c {
			f()
		}
	}()
	return c
}()

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// Pid is the server's process.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// Stop ends the server and waits for it: SIGTERM waits for clients (smart),
// SIGINT disconnects them (fast), SIGQUIT leaves a recovery to the next start
// (immediate).
func (s *Server) Stop(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	select {
	case <-s.exited:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(startTimeout):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("PostgreSQL did not stop within %s", startTimeout)
	}
}

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	return errors.Join(s.Stop(syscall.SIGQUIT), os.RemoveAll(s.dir))
}

// Log is what the server wrote.
func (s *Server) Log() string { return s.log.String() }

// DSN of a database, over TCP, as the superuser.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// SocketDSN of a database, over the Unix socket.
func (s *Server) SocketDSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", s.dir, s.port, database)
}

// Exec runs statements in a database, as the superuser.
func (s *Server) Exec(ctx context.Context, database, statements string) error {
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statements)
	return err
}

// Create makes a database, a copy of template ("" for an empty one), and
// returns its name.
func (s *Server) Create(ctx context.Context, template string) (string, error) {
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	if template == "" {
		template = "template0"
	}
	return name, s.Exec(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
}

// Drop removes a database, ending what is connected to it.
func (s *Server) Drop(ctx context.Context, database string) error {
	return s.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)")
}

// Database makes a database for a test, which is dropped with it. A server that
// does not run by then is left alone.
func (s *Server) Database(t testing.TB, template string) string {
	t.Helper()
	name, err := s.Create(context.Background(), template)
	if err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		if s.answers() {
			_ = s.Drop(context.Background(), name)
		}
	})
	return name
}

// Skip skips a test for want of a server, loudly; with CI=true it fails it.
func Skip(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("the tests on PostgreSQL must run in CI: %v", err)
	}
	t.Skipf("SKIPPED, NOT TESTED on PostgreSQL: %v", err)
}

// lockedBuffer is a buffer that a process writes and tests read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
