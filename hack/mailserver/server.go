package mailserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/ports"
)

// ErrMissing means that the servers are not installed, or cannot run here.
var ErrMissing = errors.New("the mail servers Dovecot and Postfix are not installed or cannot run; on Debian, as root: apt-get install dovecot-imapd postfix")

const (
	dovecotBinary = "/usr/sbin/dovecot"
	doveadmBinary = "/usr/bin/doveadm"
	postfixBinary = "/usr/sbin/postfix"
	// masterBinary is Postfix itself; the command above would start it in a session
	// of its own, out of our hands.
	masterBinary = "/usr/lib/postfix/sbin/master"
	// mailUser owns mailboxes: anybody but root, whom both servers refuse.
	mailUser = 65534
)

// Find says whether the servers can run here.
func Find() error {
	for _, binary := range []string{dovecotBinary, doveadmBinary, postfixBinary, masterBinary} {
		if _, err := os.Stat(binary); err != nil || os.Geteuid() != 0 {
			return ErrMissing
		}
	}
	return nil
}

// Domains whose mail the servers keep.
const (
	ShopDomain     = "shop.test"
	CustomerDomain = "customer.test"
)

// Gone is an address that is taken by the server and comes back as a bounce.
const Gone = "gone@" + CustomerDomain

// Options of the servers.
type Options struct {
	// Users by address, with their passwords.
	Users map[string]string
	// Capability replaces what Dovecot says it can do after the login, in order to
	// play a server that can do less; empty: everything.
	Capability string
}

// Servers are one Dovecot and one Postfix. Its methods may be called concurrently,
// but for those that start and stop them.
type Servers struct {
	Options
	// IMAP, IMAPS, Submission (STARTTLS) and Submissions (TLS) are ports of 127.0.0.1.
	IMAP, IMAPS, Submission, Submissions int
	// CA is the certificate, in PEM, of the authority behind the servers' own.
	CA string

	dir               string
	dovecot, postfix  *exec.Cmd
	dovecotX, postfiX chan struct{}
	tokens            *httptest.Server
	mu                sync.Mutex
	valid             map[string]string // OAuth 2 token → address
}

// Start runs the servers and returns when they take connections.
func Start(ctx context.Context, o Options) (*Servers, error) {
	if err := Find(); err != nil {
		return nil, err
	}
	s := &Servers{Options: o, valid: map[string]string{}}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Servers) start(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "bridgekeeper-mail"); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // the servers' users go through it
		return err
	}
	s.tokens = httptest.NewServer(http.HandlerFunc(s.introspect))
	for _, port := range []*int{&s.IMAP, &s.IMAPS, &s.Submission, &s.Submissions} {
		free, err := ports.Free(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(free, port); err != nil {
			return err
		}
	}
	if s.CA, err = s.certificates(); err != nil {
		return err
	}
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.StartIMAP(ctx); err != nil {
		return err
	}
	return s.startSMTP(ctx)
}

// introspect is the OAuth 2 server that Dovecot asks about a token (RFC 7662).
func (s *Servers) introspect(w http.ResponseWriter, r *http.Request) {
	token := r.FormValue("token")
	s.mu.Lock()
	address, ok := s.valid[token]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		_, _ = fmt.Fprint(w, `{"active":false}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{"active":true,"email":%q,"scope":"mail"}`, address)
}

// Grant makes an OAuth 2 access token valid for an address; an empty address
// makes it invalid.
func (s *Servers) Grant(token, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.valid[token] = address; address == "" {
		delete(s.valid, token)
	}
}

// StartIMAP runs Dovecot, on the same ports as before.
func (s *Servers) StartIMAP(ctx context.Context) error {
	var err error
	if s.dovecot, s.dovecotX, err = s.run(dovecotBinary, "-F", "-c", filepath.Join(s.dir, "dovecot.conf")); err != nil {
		return err
	}
	return s.ready(ctx, s.dovecotX, s.IMAP, s.IMAPS)
}

// StopIMAP ends Dovecot with all its connections.
func (s *Servers) StopIMAP() { stop(s.dovecot, s.dovecotX) }

func (s *Servers) startSMTP(ctx context.Context) error {
	config := filepath.Join(s.dir, "postfix")
	check := exec.CommandContext(ctx, postfixBinary, "-c", config, "check") // it makes the queue's folders
	if out, err := check.CombinedOutput(); err != nil {
		return fmt.Errorf("postfix check: %w: %s", err, bytes.TrimSpace(out))
	}
	var err error
	if s.postfix, s.postfiX, err = s.run(masterBinary, "-c", config, "-d"); err != nil {
		return err
	}
	return s.ready(ctx, s.postfiX, s.Submission, s.Submissions)
}

// run starts a child in a group of its own, which goes with us.
func (s *Servers) run(binary string, args ...string) (*exec.Cmd, chan struct{}, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd := exec.Command(binary, args...) //nolint:gosec,noctx // Debian's own binaries; they end by Close
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	// What the command postfix tells its children about their log.
	cmd.Env = append(os.Environ(), "POSTLOG_SERVICE=postlog", "POSTLOG_HOSTNAME=mail")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", binary, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return cmd, exited, nil
}

// ready waits until the ports take connections.
func (s *Servers) ready(ctx context.Context, exited <-chan struct{}, list ...int) error {
	dialer := net.Dialer{Timeout: time.Second}
	for len(list) > 0 {
		conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", list[0]))
		if err == nil {
			_ = conn.Close()
			list = list[1:]
			continue
		}
		select {
		case <-exited:
			return fmt.Errorf("a mail server ended at its start: %s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ctx.Err(), s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func stop(cmd *exec.Cmd, exited <-chan struct{}) {
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(10 * time.Second): // it hangs: it and its children
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	}
}

// Close ends the servers and removes everything.
func (s *Servers) Close() {
	stop(s.postfix, s.postfiX)
	stop(s.dovecot, s.dovecotX)
	if s.tokens != nil {
		s.tokens.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// Log is the end of what the servers say.
func (s *Servers) Log() string {
	var lines []string
	for _, name := range []string{"log", "dovecot.log", "postfix.log"} {
		data, _ := os.ReadFile(filepath.Join(s.dir, name))
		all := strings.Split(strings.TrimSpace(string(data)), "\n")
		lines = append(lines, all[max(0, len(all)-20):]...)
	}
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == "" }), "\n")
}

// maildir of a user.
func (s *Servers) maildir(address string) string {
	return filepath.Join(s.dir, "mail", address, "Maildir")
}

// Renumber makes Dovecot forget the numbers of a user's mails: it gives new
// ones, and another UIDVALIDITY, as a restored or moved mailbox has them.
func (s *Servers) Renumber(ctx context.Context, address string) error {
	s.StopIMAP()
	files, err := filepath.Glob(filepath.Join(s.maildir(address), "dovecot*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			return err
		}
	}
	// The new UIDVALIDITY is the time in seconds: it must be another second.
	time.Sleep(1100 * time.Millisecond)
	return s.StartIMAP(ctx)
}

// Expunge removes all of a user's mails.
func (s *Servers) Expunge(ctx context.Context, address string) error {
	return s.doveadm(ctx, "expunge", "-u", address, "mailbox", "INBOX", "all")
}

// Kick ends a user's IMAP connections.
func (s *Servers) Kick(ctx context.Context, address string) error {
	return s.doveadm(ctx, "kick", address)
}

// Save puts a mail into a user's mailbox, as it is.
func (s *Servers) Save(ctx context.Context, address string, mail []byte) error {
	return s.doveadmWith(ctx, mail, "save", "-u", address)
}

// Fill puts many mails into a user's mailbox at once, past the servers, as a move
// from another one does. They arrived at the time given; read ones are marked so.
func (s *Servers) Fill(address string, n int, arrived time.Time, read bool, mail func(i int) []byte) error {
	box := s.maildir(address)
	flags := ""
	if read {
		flags = "S"
	}
	for _, dir := range []string{filepath.Dir(box), box, filepath.Join(box, "cur"), filepath.Join(box, "new"), filepath.Join(box, "tmp")} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Chown(dir, mailUser, mailUser); err != nil {
			return err
		}
	}
	for i := range n {
		path := filepath.Join(box, "cur", fmt.Sprintf("%d.M%06dP1.moved:2,%s", arrived.Unix(), i, flags))
		if err := os.WriteFile(path, mail(i), 0o600); err != nil {
			return err
		}
		if err := errors.Join(os.Chown(path, mailUser, mailUser), os.Chtimes(path, arrived, arrived)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Servers) doveadm(ctx context.Context, args ...string) error {
	return s.doveadmWith(ctx, nil, args...)
}

func (s *Servers) doveadmWith(ctx context.Context, input []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, doveadmBinary, append([]string{"-c", filepath.Join(s.dir, "dovecot.conf")}, args...)...) //nolint:gosec // Debian's own binary
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("doveadm %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}
