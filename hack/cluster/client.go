package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// client asks the components how they are, as the cluster's administrator.
type client struct{ http *http.Client }

func newClient(cfg Config) (*client, error) {
	pair, err := tls.LoadX509KeyPair(cfg.pki("admin.crt"), cfg.pki("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(cfg.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &client{&http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{ // no proxy from the environment: everything is on this machine
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
			DisableKeepAlives: true,
		},
	}}, nil
}

func (c *client) get(ctx context.Context, target string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, firstLine(string(body)))
	}
	return body, err
}

func (c *client) ok(ctx context.Context, target string) error {
	_, err := c.get(ctx, target)
	return err
}

// nodeReady tells whether the node is there and the kubelet calls it ready.
func (c *client) nodeReady(ctx context.Context) error {
	body, err := c.get(ctx, apiURL("/api/v1/nodes/"+nodeName))
	if err != nil {
		return err
	}
	return parseNodeReady(body)
}

func parseNodeReady(body []byte) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		}
		if c.Type == "Ready" {
			return fmt.Errorf("the node is not ready: %s", c.Message)
		}
	}
	return fmt.Errorf("the node has no Ready condition yet")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// output runs a command and gives its standard output; what it printed on
// standard error becomes part of the error.
func output(ctx context.Context, name string, args ...string) (string, error) {
	return outputOf(exec.CommandContext(ctx, name, args...))
}

func outputOf(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// kubectl runs the cluster's kubectl as administrator.
func kubectl(ctx context.Context, cfg Config, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, cfg.binary("kubectl"), append([]string{"--kubeconfig", cfg.Kubeconfig}, args...)...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	return outputOf(cmd)
}
