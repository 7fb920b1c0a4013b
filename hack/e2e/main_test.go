//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/actors"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const operatorNamespace = "bridgekeeper-system"

// run is what all tests share.
var run struct {
	id        string // in the names of this run's namespaces
	cluster   *cluster
	simulator *actors.Simulator
}

func simulatorNamespace() string { return "e2e-" + run.id + "-simulator" }

// endpoint is where bridges reach the simulated Bot API.
func endpoint() string { return "http://telegram." + simulatorNamespace() + ".svc:8081" }

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	run.id = fmt.Sprintf("%04x", rand.N(1<<16))
	var err error
	if run.cluster, err = connect(); err != nil {
		return 1, err
	}
	fresh, err := installOperator(ctx)
	if err != nil {
		return 1, err
	}
	if err := installSimulator(ctx); err != nil {
		return 1, err
	}
	code := m.Run()
	return code, errors.Join(writeReport(), cleanUp(fresh))
}

// writeReport writes what was measured to a file: go test shows what a package
// prints only when it fails.
func writeReport() error {
	file := os.Getenv("E2E_REPORT")
	if file == "" {
		return nil
	}
	var b bytes.Buffer
	report(&b)
	return os.WriteFile(file, b.Bytes(), 0o600)
}

// installOperator installs it by kustomize, as users do. fresh says that there
// was none before.
func installOperator(ctx context.Context) (fresh bool, err error) {
	image := os.Getenv("E2E_IMAGE")
	if image == "" {
		return false, fmt.Errorf("E2E_IMAGE is not set; run the tests with: make e2e")
	}
	_, missing := run.cluster.kubectl(ctx, "", "get", "namespace", operatorNamespace)
	return missing != nil, applyOperator(ctx, image)
}

// applyOperator applies config/default with this image, and waits for it.
func applyOperator(ctx context.Context, image string) error {
	patch := strings.ReplaceAll(`
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: bridgekeeper-manager, namespace: bridgekeeper-system}
      spec:
        template:
          spec:
            containers:
              - name: manager
                image: IMG
`, "IMG", image)
	if err := run.cluster.applyOverlay(ctx, "../../config/default", patch); err != nil {
		return err
	}
	return run.cluster.rollout(ctx, operatorNamespace, "deployment/bridgekeeper-manager")
}

// applyChart applies what helm makes of the chart with this image, over whatever
// there is, and waits for it.
func applyChart(ctx context.Context, image string) error {
	cmd := exec.CommandContext(ctx, "go", "run", "-C", "../helm", ".", "-image", image, "template")
	var failed bytes.Buffer
	cmd.Stderr = &failed
	manifests, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the chart: %w: %s", err, failed.Bytes())
	}
	if _, err := run.cluster.kubectl(ctx, string(manifests), "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	return run.cluster.rollout(ctx, operatorNamespace, "deployment/bridgekeeper-manager")
}

func installSimulator(ctx context.Context) error {
	image := os.Getenv("E2E_SIMULATOR_IMAGE")
	repository, tag, ok := cutLast(image, ":")
	if !ok {
		return fmt.Errorf("E2E_SIMULATOR_IMAGE %q: want a name with a tag; run the tests with: make e2e", image)
	}
	overlay := fmt.Sprintf(`
namespace: %s
images: [{name: ghcr.io/bridgekeeper/simulator, newName: %q, newTag: %q}]
patches:
  - target: {kind: Service}
    patch: |
      - {op: replace, path: /spec/type, value: ClusterIP}
      - {op: remove, path: /spec/ports/1/nodePort}
`, simulatorNamespace(), repository, tag)
	if err := run.cluster.applyOverlay(ctx, "../simulator/deploy", overlay); err != nil {
		return err
	}
	if err := run.cluster.rollout(ctx, simulatorNamespace(), "deployment/simulator"); err != nil {
		return err
	}
	transport := run.cluster.transport(simulatorNamespace(), map[string]string{"app.kubernetes.io/name": "simulator"}, 8082)
	run.simulator = actors.NewSimulator("http://simulator", transport)
	// Telegram's rate limits would only make the tests slow; those of the bridge
	// are tested where the limits are.
	return run.simulator.SetLimits(ctx, telegram.Limits{Off: true})
}

// cleanUp removes what the run made. The operator stays where it was before:
// somebody may be using it.
func cleanUp(fresh bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	run.cluster.close()
	args := []string{"delete", "namespace", simulatorNamespace(), "--wait=false"}
	if _, err := run.cluster.kubectl(ctx, "", args...); err != nil {
		return err
	}
	if !fresh {
		return nil
	}
	_, err := run.cluster.kubectl(ctx, "", "delete", "-k", "../../config/default", "--wait=false")
	return err
}

// applyOverlay applies a kustomization that changes another one, which is how
// users set their own image.
func (c *cluster) applyOverlay(ctx context.Context, base, change string) error {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	absolute, err := filepath.Abs(base)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(dir, absolute)
	if err != nil {
		return err
	}
	content := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [" + relative + "]" + change
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(content), 0o600); err != nil {
		return err
	}
	_, err = c.kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", dir)
	return err
}

func (c *cluster) rollout(ctx context.Context, namespace, what string) error {
	out, err := c.kubectl(ctx, "", "-n", namespace, "rollout", "status", what, "--timeout=90s")
	if err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, out, c.dump(namespace))
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
