//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// TestUpgrade: another version of the operator brings the stores to its own
// version first and the bridges after them, while customers go on writing, and
// Ready does not flap. The version before was installed by kustomize, this one
// comes with the Helm chart. It is not parallel: there is one operator for all.
func TestUpgrade(t *testing.T) {
	next := os.Getenv("E2E_IMAGE_NEXT")
	require.NotEmpty(t, next, "run the tests with: make e2e")
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	store := &v1alpha1.ConversationStore{ObjectMeta: s.meta("default")}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startup)
		defer cancel()
		assert.NoError(t, applyOperator(ctx, os.Getenv("E2E_IMAGE")))
	})
	written := keepWriting(t, b)
	start := time.Now()
	require.NoError(t, applyChart(t.Context(), next))

	bridgesWaited := false
	eventually(t, 3*time.Minute, "everything runs the next version", func(ctx context.Context) error {
		if err := s.condition(b.channel, v1alpha1.ConditionReady, metav1.ConditionTrue, "")(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("Ready flaps: %v", err)
		}
		stores, err := s.images(ctx, workload.StoreSelector("default"))
		if err != nil {
			return err
		}
		bridges, err := s.images(ctx, workload.BridgeSelector("default"))
		if err != nil {
			return err
		}
		if bridges[next] > 0 && !bridgesWaited {
			bridgesWaited = true
			assert.Equal(t, map[string]int{next: 1}, stores, "a bridge came before its store")
		}
		if len(stores) != 1 || len(bridges) != 1 || stores[next] == 0 || bridges[next] == 0 {
			return fmt.Errorf("stores run %v, bridges %v", stores, bridges)
		}
		return nil
	})
	s.awaitCurrent(startup, store, s.bridge(), b.channel)
	measure("operator upgraded to every pod upgraded", time.Since(start))

	want := written()
	b.awaitMessage(want[len(want)-1], startup)
	all, err := s.desk.Messages(t.Context(), b.key(), message.Inbound)
	require.NoError(t, err)
	var got []string
	for _, m := range all {
		got = append(got, m.Text)
	}
	assert.Equal(t, want, got, "each once, in order")
}

// keepWriting lets a customer write until the returned function is called,
// which tells what was written. The desk is silent: a store of one pod that is
// replaced answers nobody for a moment.
func keepWriting(t *testing.T, b *bot) (stop func() []string) {
	t.Helper()
	customer := b.customer("Ana")
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	done := make(chan []string, 1)
	go func() {
		var written []string
		next := time.NewTicker(rollingPause)
		defer next.Stop()
		for ctx.Err() == nil {
			m := text("Rolling")
			if err := customer.Write(context.WithoutCancel(ctx), m); err != nil {
				t.Error("the simulator takes no message:", err)
				break
			}
			written = append(written, m)
			select {
			case <-ctx.Done():
			case <-next.C:
			}
		}
		done <- written
	}()
	return func() []string {
		cancel()
		return <-done
	}
}

// images counts the pods of a workload by the image they run.
func (s *shop) images(ctx context.Context, labels map[string]string) (map[string]int, error) {
	pods, err := run.cluster.pods(ctx, s.namespace, labels)
	images := map[string]int{}
	for _, p := range pods {
		images[p.Spec.Containers[0].Image]++
	}
	return images, err
}
