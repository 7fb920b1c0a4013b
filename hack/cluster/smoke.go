package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	smokeNamespace = "bridgekeeper-smoke"
	smokeImage     = "bridgekeeper/smoke:1"
)

// smokeTest proves, on the running cluster, that what other tests rely on is
// there and real.
type smokeTest struct {
	cfg Config
	pod string // one of the two web pods
}

// errSkip marks a check that this machine cannot do.
var errSkip = errors.New("skipped")

func runSmoke(ctx context.Context, cfg Config, _ []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	if status := survey(ctx, cfg); !status.Up {
		printStatus(status)
		return errors.New("the cluster is not healthy: run `cluster up` first")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	t := &smokeTest{cfg: cfg}
	defer t.cleanUp(context.WithoutCancel(ctx))
	passed, failed, skipped := 0, 0, 0
	for _, check := range t.checks() {
		begin := time.Now()
		err := check.run(ctx)
		took := time.Since(begin).Round(10 * time.Millisecond)
		switch {
		case err == nil:
			passed++
			fmt.Printf("ok    %-60s %s\n", check.name, took)
		case errors.Is(err, errSkip):
			skipped++
			fmt.Printf("SKIP  %-60s %v\n", check.name, err)
		default:
			failed++
			fmt.Printf("FAIL  %-60s %s\n      %v\n", check.name, took, err)
		}
		if check.vital && err != nil {
			break
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 {
		return errQuiet
	}
	return nil
}

type smokeCheck struct {
	name  string
	run   func(context.Context) error
	vital bool // without it the others cannot pass
}

func (t *smokeTest) checks() []smokeCheck {
	return []smokeCheck{
		{"an image is built and imported", t.image, true},
		{"restricted pods run", t.pods, true},
		{"a pod that is not restricted is refused in such a namespace", t.unrestricted, false},
		{"kubectl logs", t.logs, false},
		{"kubectl exec", t.exec, false},
		{"kubectl port-forward", t.portForward, false},
		{"a pod reaches the API server with its token", t.api, false},
		{"RBAC refuses a pod what it may not do", t.rbac, false},
		{"DNS resolves Services and a pod of a StatefulSet", t.dns, false},
		{"a Service reaches both of its endpoints", t.endpoints, false},
		{"a NodePort answers on 127.0.0.1", t.nodePort, false},
		{"data on a claim survives its pod", t.volume, false},
		{"a NetworkPolicy is enforced", t.policy, false},
		{"a deleted claim's volume and data go", t.reclaim, false},
	}
}

func (t *smokeTest) kubectl(ctx context.Context, args ...string) (string, error) {
	return kubectl(ctx, t.cfg, "", append([]string{"--namespace", smokeNamespace}, args...)...)
}

// inPod runs a command of the smoke program in a pod.
func (t *smokeTest) inPod(ctx context.Context, pod string, args ...string) (string, error) {
	return t.kubectl(ctx, append([]string{"exec", pod, "--", "/program"}, args...)...)
}

// eventually repeats a check for a bounded time: most things in a cluster are
// true a moment later.
func eventually(ctx context.Context, limit time.Duration, check func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (t *smokeTest) image(ctx context.Context) error {
	program := filepath.Join(t.cfg.path("images"), "smokeapp")
	defer os.Remove(program)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, "./smokeapp")
	build.Dir = t.cfg.Source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if _, err := outputOf(build); err != nil {
		return err
	}
	return buildBinaryImage(ctx, t.cfg, smokeImage, program)
}

func (t *smokeTest) pods(ctx context.Context) error {
	t.cleanUp(ctx) // of an interrupted run
	manifest, err := render("smoke.yaml", map[string]string{"Namespace": smokeNamespace, "Image": smokeImage})
	if err != nil {
		return err
	}
	if _, err := kubectl(ctx, t.cfg, string(manifest), "apply", "-f", "-"); err != nil {
		return err
	}
	for _, workload := range []string{"deployment/web", "statefulset/data"} {
		if _, err := t.kubectl(ctx, "rollout", "status", workload, "--timeout=60s"); err != nil {
			events, _ := t.kubectl(ctx, "get", "pods,events")
			return fmt.Errorf("%w\n%s", err, events)
		}
	}
	names, err := t.kubectl(ctx, "get", "pods", "-l", "app=web", "-o", "name")
	t.pod = firstLine(names)
	return err
}

func (t *smokeTest) unrestricted(ctx context.Context) error {
	_, err := t.kubectl(ctx, "run", "bad", "--image="+smokeImage)
	if err == nil {
		return errors.New("it was admitted")
	}
	return expect(err.Error(), `violates PodSecurity "restricted`, nil)
}

func (t *smokeTest) logs(ctx context.Context) error {
	out, err := t.kubectl(ctx, "logs", t.pod)
	return expect(out, "listening on 8080", err)
}

func (t *smokeTest) exec(ctx context.Context) error {
	out, err := t.inPod(ctx, t.pod, "read", "/etc/hostname")
	return expect(strings.TrimSpace("pod/"+out), t.pod, err)
}

// expect wants a text to contain another.
func expect(got, want string, err error) error {
	if err == nil && !strings.Contains(got, want) {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}

func (t *smokeTest) portForward(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends kubectl
	forward := exec.CommandContext(ctx, t.cfg.binary("kubectl"), "--kubeconfig", t.cfg.Kubeconfig, "--namespace", smokeNamespace,
		"port-forward", "--address", "127.0.0.1", t.pod, ":8080")
	out, err := forward.StdoutPipe()
	if err != nil {
		return err
	}
	if err := forward.Start(); err != nil {
		return err
	}
	defer func() { cancel(); _ = forward.Wait() }()
	var where string
	if _, err := fmt.Fscanf(out, "Forwarding from %s ->", &where); err != nil {
		return fmt.Errorf("kubectl did not say where it listens: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	body, err := httpGet(ctx, "http://"+where)
	return expect("pod/"+body, t.pod, err)
}

func httpGet(ctx context.Context, target string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func (t *smokeTest) api(ctx context.Context) error {
	out, err := t.inPod(ctx, t.pod, "api", "/api/v1/namespaces/"+smokeNamespace+"/services/web")
	return expect(out, `"kind":"Service"`, err)
}

func (t *smokeTest) rbac(ctx context.Context) error {
	_, err := t.inPod(ctx, t.pod, "api", "/api/v1/namespaces/kube-system/secrets")
	if err == nil {
		return errors.New("the pod may read the Secrets of kube-system")
	}
	return expect(err.Error(), "403 Forbidden", nil)
}
