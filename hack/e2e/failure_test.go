//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
)

func isStatus(err error, code int) bool {
	var s *actors.StatusError
	return errors.As(err, &s) && s.Status == code
}

// TestWithoutOperator: messages flow both ways while the operator is gone, and a
// bridge pod that is deleted meanwhile, without notice, comes back and serves.
// Everything that customers and the desk write before, during and after it is
// counted. On PostgreSQL a store pod is deleted, too, while the other one goes on.
func TestWithoutOperator(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { withoutOperator(t, newShop(t), workload.BridgeSelector("default")) })
	t.Run("PostgreSQL", func(t *testing.T) {
		s, _ := newPostgresShop(t)
		withoutOperator(t, s, workload.BridgeSelector("default"), workload.StoreSelector("default"))
	})
}

// withoutOperator deletes a pod of each kind while there is no operator.
func withoutOperator(t *testing.T, s *shop, kinds ...map[string]string) {
	hook := s.newBot("telegram-hook", v1alpha1.ReceiveWebhook).open()
	poll := s.newBot("telegram-poll", v1alpha1.ReceivePolling).open()
	flows := []*traffic{startTraffic(hook), startTraffic(poll)}
	// more waits until messages come in on both.
	more := func() {
		for _, r := range flows {
			r.awaitMore(5 * rollingCustomers)
		}
	}
	scaleOperator(t, 0)
	t.Cleanup(func() { scaleOperator(t, 1) })
	more()
	for _, kind := range kinds {
		before, err := run.cluster.readyPods(t.Context(), s.namespace, kind)
		require.NoError(t, err)
		require.NotEmpty(t, before)
		old := &before[0]
		kill(t, old)
		eventually(t, startup, "another pod is ready", func(ctx context.Context) error {
			pods, err := run.cluster.readyPods(ctx, s.namespace, kind)
			if err == nil && (len(pods) != len(before) || slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.UID == old.UID })) {
				err = fmt.Errorf("%d of %d pods are ready", len(pods), len(before))
			}
			return err
		})
		more()
	}
	for _, r := range flows {
		r.stop()
	}
	for _, r := range flows {
		r.checkAfterKill()
	}
}

// scaleOperator is called during clean-up, too, where the test's own context is over.
func scaleOperator(t *testing.T, replicas int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startup)
	defer cancel()
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "bridgekeeper-manager"}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":`+strconv.Itoa(int(replicas))+`}}`))
	require.NoError(t, run.cluster.Patch(ctx, deployment, patch))
	if replicas > 0 {
		require.NoError(t, run.cluster.rollout(ctx, operatorNamespace, "deployment/bridgekeeper-manager"))
		return
	}
	out, err := run.cluster.kubectl(ctx, "", "-n", operatorNamespace, "wait", "pod", "-l", "app.kubernetes.io/component=manager", "--for=delete", "--timeout=180s")
	require.NoError(t, err, out)
}

func (s *shop) thePod(labels map[string]string) *corev1.Pod {
	s.t.Helper()
	pods, err := run.cluster.readyPods(s.t.Context(), s.namespace, labels)
	require.NoError(s.t, err)
	require.Len(s.t, pods, 1)
	return &pods[0]
}

// kill ends a pod without any farewell, as a lost node does.
func kill(t *testing.T, p *corev1.Pod) {
	t.Helper()
	require.NoError(t, run.cluster.Delete(t.Context(), p, &client.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
}

// TestStoreKilled: what was acknowledged is there when the store is back, and
// what customers wrote meanwhile arrives afterwards, once.
func TestStoreKilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	hook := s.newBot("telegram-hook", v1alpha1.ReceiveWebhook).open()
	poll := s.newBot("telegram-poll", v1alpha1.ReceivePolling).open()
	var want []string
	bots := []*bot{hook, poll}
	customers := []*actors.Customer{hook.customer("Ana"), poll.customer("Ben")}
	for i, b := range bots {
		for range 10 {
			m := text("Before")
			b.receives(customers[i], m)
			want = append(want, m)
		}
	}
	start := time.Now()
	kill(t, s.thePod(workload.StoreSelector("default")))
	for i := range bots {
		m := text("Meanwhile")
		require.NoError(t, customers[i].Write(t.Context(), m))
		want = append(want, m)
	}
	hook.awaitMessage(want[len(want)-2], startup)
	measure("store killed to message stored again", time.Since(start))
	poll.awaitMessage(want[len(want)-1], startup)

	var got []string
	for _, b := range bots {
		all, err := s.desk.Messages(t.Context(), b.key(), message.Inbound)
		require.NoError(t, err)
		for _, m := range all {
			got = append(got, m.Text)
		}
	}
	assert.ElementsMatch(t, want, got)
}

// TestPollerTakenOver: of two replicas one polls; when it dies the other one
// goes on within seconds, and nothing is lost or doubled.
func TestPollerTakenOver(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(b *v1alpha1.Bridge) { b.Spec.Replicas = ptr.To[int32](2) })
	b := s.newBot("telegram-poll", v1alpha1.ReceivePolling).open()
	customer := b.customer("Ana")
	want := []string{text("Before")}
	b.receives(customer, want[0])

	start := time.Now()
	kill(t, s.poller())
	want = append(want, text("Meanwhile"))
	require.NoError(t, customer.Write(t.Context(), want[1]))
	b.awaitMessage(want[1], soon)
	measure("poller killed to message stored again", time.Since(start))

	all, err := s.desk.Messages(t.Context(), b.key(), message.Inbound)
	require.NoError(t, err)
	var got []string
	for _, m := range all {
		got = append(got, m.Text)
	}
	assert.Equal(t, want, got)
}

var connections = regexp.MustCompile(`(?m)^bridgekeeper_bridge_connections (\d+)$`)

// poller is the bridge pod that polls; exactly one must.
func (s *shop) poller() *corev1.Pod {
	s.t.Helper()
	var found *corev1.Pod
	eventually(s.t, soon, "one pod polls", func(ctx context.Context) error {
		pods, err := run.cluster.readyPods(ctx, s.namespace, workload.BridgeSelector("default"))
		if err != nil {
			return err
		}
		found = nil
		for i := range pods {
			metrics, err := get(ctx, run.cluster.podTransport(s.namespace, pods[i].Name, workload.PortHealth), "/metrics")
			if err != nil {
				return err
			}
			m := connections.FindStringSubmatch(metrics)
			switch {
			case m == nil:
				return fmt.Errorf("pod %s has no metric of its pollers", pods[i].Name)
			case m[1] == "0":
			case found != nil:
				return errors.New("two pods poll")
			default:
				found = &pods[i]
			}
		}
		if found == nil {
			return errors.New("no pod polls")
		}
		return nil
	})
	return found
}
