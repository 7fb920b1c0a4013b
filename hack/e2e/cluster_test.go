//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// cluster is the cluster under test.
type cluster struct {
	client.Client
	clientset *kubernetes.Clientset
	config    *rest.Config

	mu         sync.Mutex
	transports []*http.Transport
}

func connect() (*cluster, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w; run the tests with: make e2e", err)
	}
	config.QPS = -1 // a client-side limit would only blur what is measured
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c := &cluster{config: config}
	if c.clientset, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	c.Client, err = client.New(config, client.Options{Scheme: scheme})
	return c, err
}

func (c *cluster) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// kubectl runs kubectl and returns what it wrote.
func (c *cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("E2E_KUBECTL"), "kubectl"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// transport reaches a port of one of the ready pods with these labels, through
// the API server: it works on any cluster, and what a NetworkPolicy refuses to
// pods it does not refuse to the tests.
func (c *cluster) transport(namespace string, labels map[string]string, port int) http.RoundTripper {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			pods, err := c.readyPods(ctx, namespace, labels)
			if err != nil {
				return nil, err
			}
			if len(pods) == 0 {
				return nil, fmt.Errorf("no pod of %s %v is ready", namespace, labels)
			}
			return c.dial(namespace, pods[0].Name, port)
		},
		IdleConnTimeout: 20 * time.Second,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transports = append(c.transports, t)
	return t
}

// podTransport reaches a port of one pod.
func (c *cluster) podTransport(namespace, pod string, port int) *http.Transport {
	return &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c.dial(namespace, pod, port) },
		DisableKeepAlives: true,
	}
}

func (c *cluster) pods(ctx context.Context, namespace string, labels map[string]string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels(labels))
	return list.Items, err
}

func (c *cluster) readyPods(ctx context.Context, namespace string, labels map[string]string) ([]corev1.Pod, error) {
	pods, err := c.pods(ctx, namespace, labels)
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !ready(&p) }), err
}

func ready(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// dial opens one forwarded connection to a port of a pod.
func (c *cluster) dial(namespace, pod string, port int) (net.Conn, error) {
	url := c.clientset.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, c.config)
	if err != nil {
		return nil, err
	}
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("pod %s port %d: %w", pod, port, err)
	}
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	problems, err := connection.CreateStream(headers)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	_ = problems.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return &forwarded{Stream: data, connection: connection}, nil
}

// forwarded makes a net.Conn of a stream. It has no deadlines: callers bound
// their requests by context, which closes the connection.
type forwarded struct {
	httpstream.Stream
	connection httpstream.Connection
}

func (f *forwarded) Close() error                     { return errors.Join(f.Reset(), f.connection.Close()) }
func (*forwarded) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (*forwarded) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (*forwarded) SetDeadline(time.Time) error        { return nil }
func (*forwarded) SetReadDeadline(time.Time) error    { return nil }
func (*forwarded) SetWriteDeadline(t time.Time) error { return nil }

// get fetches a path over a transport.
func get(ctx context.Context, transport http.RoundTripper, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pod"+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(resp.Body, 16<<20))
	return b.String(), err
}

// eventually polls until check returns nil, and fails the test with its last
// error when that takes too long.
func eventually(t *testing.T, within time.Duration, what string, check func(context.Context) error) time.Duration {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		// A check that was cut off by the deadline tells less than the one before.
		if err := check(ctx); err == nil {
			took := time.Since(start)
			t.Logf("%6s  %s", took.Round(time.Millisecond), what)
			return took
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s: %v", within, what, last)
		case <-ticker.C:
		}
	}
}

// holds checks that something stays true for a while.
func holds(t *testing.T, during time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	end := time.NewTimer(during)
	defer end.Stop()
	for {
		if err := check(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-end.C:
			return
		case <-ticker.C:
		}
	}
}

// kstatus is what a GitOps tool makes of an object's status.
func (c *cluster) kstatus(ctx context.Context, obj client.Object) (*status.Result, error) {
	if err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
		return nil, err
	}
	gvk, err := c.GroupVersionKindFor(obj)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	return status.Compute(u)
}

// current checks that an object is as desired.
func (c *cluster) current(ctx context.Context, obj client.Object) error {
	return c.has(ctx, obj, status.CurrentStatus)
}

func (c *cluster) has(ctx context.Context, obj client.Object, want status.Status) error {
	result, err := c.kstatus(ctx, obj)
	if err != nil {
		return err
	}
	if result.Status != want {
		return fmt.Errorf("%T %s is %s, want %s: %s", obj, obj.GetName(), result.Status, want, result.Message)
	}
	return nil
}

// dump is what somebody looks at first when a test fails; bounded.
func (c *cluster) dump(namespace string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var b strings.Builder
	for _, args := range [][]string{
		{"-n", namespace, "get", "conversationstores,bridges,channels,routingpolicies,agentqueues,schedules,bots,pods,deployments,statefulsets,secrets", "-o", "wide"},
		{"-n", namespace, "get", "conversationstores,bridges,channels,routingpolicies,agentqueues,schedules,bots", "-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name}: {.status}{\"\\n\"}{end}"},
		{"-n", namespace, "get", "events", "--sort-by=.lastTimestamp"},
		{"-n", namespace, "logs", "--selector", "app.kubernetes.io/name", "--all-containers", "--prefix", "--tail=40", "--ignore-errors"},
		{"-n", operatorNamespace, "logs", "deployment/bridgekeeper-manager", "--tail=40"},
	} {
		out, err := c.kubectl(ctx, "", args...)
		if err != nil && out == "" {
			out = err.Error()
		}
		const most = 8 << 10 // of each: the end is what matters
		if len(out) > most {
			out = "…" + out[len(out)-most:]
		}
		fmt.Fprintf(&b, "--- kubectl %s\n%s\n", strings.Join(args, " "), out)
	}
	return b.String()
}
