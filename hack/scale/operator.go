package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/ports"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
)

// operator is the shipped binary as a process.
type operator struct {
	binary, kubeconfig, log string

	metrics, health string
	cmd             *exec.Cmd
	exited          chan struct{}
}

// start runs it and returns when its /readyz says so.
func (o *operator) start(ctx context.Context) error {
	for _, into := range []*string{&o.metrics, &o.health} {
		port, err := ports.Free(ctx)
		if err != nil {
			return err
		}
		*into = net.JoinHostPort("127.0.0.1", port)
	}
	log, err := os.OpenFile(filepath.Clean(o.log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(o.binary, "manager", "--image", "bridgekeeper:scale", "--namespace", operatorNamespace, //nolint:gosec,noctx // our own binary, which ends by a signal
		"--metrics-bind-address", o.metrics, "--health-probe-bind-address", o.health)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+o.kubeconfig, "POD_NAME=")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	o.cmd, o.exited = cmd, exited
	return o.until(ctx, "the operator gets ready", func() (bool, error) {
		resp, err := get(ctx, "http://"+o.health+"/readyz")
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

func (o *operator) stop() {
	if o.cmd == nil {
		return
	}
	_ = o.cmd.Process.Signal(syscall.SIGTERM)
	<-o.exited
	o.cmd = nil
}

// until asks for something every 50 ms.
func (o *operator) until(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-o.exited:
			return fmt.Errorf("the operator ended; its log is %s", o.log)
		case <-ctx.Done():
			return fmt.Errorf("until %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// memory is what it has resident, now and at most so far, in MiB.
func (o *operator) memory() (now, peak float64, err error) {
	usage, err := processes.UsageOf(o.cmd.Process.Pid)
	return float64(usage.RSS) / (1 << 20), float64(usage.PeakRSS) / (1 << 20), err
}

// sums are the sums of a metric by the value of one of its labels.
type sums map[string]float64

func (s sums) total() (total float64) {
	for _, n := range s {
		total += n
	}
	return total
}

func (s sums) minus(before sums) sums {
	left := sums{}
	for key, n := range s {
		if n != before[key] {
			left[key] = n - before[key]
		}
	}
	return left
}

func (s sums) String() string {
	var words []string
	for key, n := range s {
		words = append(words, fmt.Sprintf("%s %.0f", key, n))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// sum adds a metric of the operator up, by one of its labels.
func (o *operator) sum(ctx context.Context, metric, label string) (sums, error) {
	resp, err := get(ctx, "http://"+o.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := sums{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), metric+"{")
		if !ok {
			continue
		}
		end := strings.LastIndex(rest, "} ")
		_, after, found := strings.Cut(rest, label+`="`)
		if end < 0 || !found {
			continue
		}
		key, _, _ := strings.Cut(after, `"`)
		n, err := strconv.ParseFloat(rest[end+2:], 64)
		if err != nil {
			return nil, err
		}
		all[key] += n
	}
	return all, lines.Err()
}

// requests that it has made to the API server, by method.
func (o *operator) requests(ctx context.Context) (sums, error) {
	return o.sum(ctx, "rest_client_requests_total", "method")
}

// idle waits until nothing waits to be reconciled and nothing was reconciled for
// as long as the compiler gathers changes, several times over.
func (o *operator) idle(ctx context.Context) (since time.Time, err error) {
	const quiet = 2 * time.Second
	var last float64
	err = o.until(ctx, "the operator has nothing to do", func() (bool, error) {
		depth, err := o.sum(ctx, "workqueue_depth", "name")
		if err != nil {
			return false, err
		}
		done, err := o.sum(ctx, "controller_runtime_reconcile_total", "controller")
		if err != nil {
			return false, err
		}
		if n := done.total(); n != last || depth.total() > 0 || since.IsZero() {
			last, since = n, time.Now()
		}
		return time.Since(since) > quiet, nil
	})
	return since, err
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp == nil {
		err = errors.New("no answer")
	}
	return resp, err
}
