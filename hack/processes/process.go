package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one bridge or store. Its addresses stay the same when it is
// started again. Safe for concurrent use, but for Start and Stop together.
type Process struct {
	Name string
	// Addresses of its listeners: public or REST, internal, health.
	Listen, Internal, Health string

	binary string
	args   []string
	env    []string
	log    string // file

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs it and returns when it is ready to serve, or ctx is done.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.WaitReady(ctx)
}

// Launch runs it and does not wait.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// The process ends by a signal of ours, never with a context.
	cmd := exec.Command(p.binary, p.args...) //nolint:gosec,noctx // the binary under test
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.env...)
	// It goes with us, whatever ends us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return nil
}

// WaitReady returns when /readyz says 200, or ctx is done, or the process ended.
func (p *Process) WaitReady(ctx context.Context) error {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	for {
		if p.probe(ctx) {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended at its start: %s", p.Name, p.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready: %w: %s", p.Name, ctx.Err(), p.LogTail())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *Process) probe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Health+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Kill ends it as a lost node does, and waits until it is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks it to end, as a kubelet does, and waits until it is gone.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

// Pause stops it from running (SIGSTOP): it is there and does nothing.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) end(s syscall.Signal) {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	if exited == nil {
		return
	}
	p.signal(s)
	<-exited
}

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err) // our own child: it cannot be refused
	}
}

// LogTail is the end of what it logged.
func (p *Process) LogTail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}

// Usage is what a process has used since its start.
type Usage struct {
	CPU     time.Duration
	RSS     int64 // bytes, now
	PeakRSS int64 // bytes, at most so far
}

// PID of the process that was started last.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// UsageOf reads /proc of a running process.
func UsageOf(pid int) (u Usage, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, err
	}
	// Fields after the name, which may hold spaces: utime and stime are the
	// 12th and 13th, in hundredths of a second (USER_HZ).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, err
		}
		ticks += n
	}
	u.CPU = time.Duration(ticks) * 10 * time.Millisecond
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, err
	}
	u.RSS, u.PeakRSS = kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
	return u, nil
}

func kilobytes(status []byte, key string) int64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
