//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
)

// TestBackupAndRestore does what the README says: a backup of a store that
// runs, into a new volume, and the Bridge moves to the store on it. The
// conversation goes on there.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceivePolling).open()
	customer := b.customer("Ana")
	before := b.receives(customer, text("Before the backup"))

	archive := filepath.Join(t.TempDir(), "shop.backup")
	out, err := os.Create(archive)
	require.NoError(t, err)
	pod := s.thePod(workload.StoreSelector("default"))
	require.NoError(t, s.stream(nil, out, "exec", pod.Name, "--", "/bridge", "store", "backup", "--out", "-"))
	require.NoError(t, out.Close())

	s.restore(archive)
	restored := &v1alpha1.ConversationStore{ObjectMeta: s.meta("restored"), Spec: v1alpha1.ConversationStoreSpec{
		API: &v1alpha1.StoreAPI{Tokens: []v1alpha1.APIToken{{
			Name: "desk", SecretRef: v1alpha1.SecretReference{Name: "desk"}, Namespaces: []string{s.namespace}, Access: v1alpha1.APIAccessAdmin,
		}}},
	}}
	s.create(restored)
	s.awaitCurrent(startup, restored)
	desk := actors.NewDesk("http://store", s.token, run.cluster.transport(s.namespace, workload.StoreSelector("restored"), workload.PortREST))
	all, err := desk.Messages(t.Context(), b.key(), message.Inbound)
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, before.ID, all[0].ID)
	assert.Equal(t, before.Text, all[0].Text)

	bridge := s.bridge()
	change(t, bridge, func(br *v1alpha1.Bridge) { br.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "restored"} })
	s.awaitCurrent(startup, bridge)
	b.awaitReceiving()
	after := text("After the restore")
	require.NoError(t, customer.Write(t.Context(), after))
	eventually(t, startup, "the conversation goes on in the restored store", func(ctx context.Context) error {
		m, err := desk.Find(ctx, b.key(), after)
		switch {
		case err != nil:
			return err
		case m == nil:
			return fmt.Errorf("it has no message of after the restore")
		case m.Conversation != before.Conversation:
			return fmt.Errorf("it is in conversation %s, the one before was %s", m.Conversation, before.Conversation)
		}
		return nil
	})
}

// restore fills a new volume, as config/restore says.
func (s *shop) restore(archive string) {
	t := s.t
	t.Helper()
	repository, tag, ok := cutLast(os.Getenv("E2E_IMAGE"), ":")
	require.True(t, ok, "E2E_IMAGE has a tag")
	require.NoError(t, run.cluster.applyOverlay(t.Context(), "../../config/restore", fmt.Sprintf(`
namespace: %s
images: [{name: bridgekeeper, newName: %s, newTag: %q}]
`, s.namespace, repository, tag)))
	pod := &corev1.Pod{ObjectMeta: s.meta("restore")}
	phase := func(want corev1.PodPhase) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := run.cluster.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
				return err
			}
			if pod.Status.Phase != want {
				return fmt.Errorf("pod restore is %s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
			}
			return nil
		}
	}
	eventually(t, startup, "the volume waits for the backup", phase(corev1.PodRunning))
	in, err := os.Open(archive)
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, s.stream(in, io.Discard, "attach", "-i", "restore"))
	eventually(t, startup, "the backup is restored", phase(corev1.PodSucceeded))
}

// stream runs kubectl in the shop's namespace between files.
func (s *shop) stream(in io.Reader, out io.Writer, args ...string) error {
	var told strings.Builder
	cmd := exec.CommandContext(s.t.Context(), cmp.Or(os.Getenv("E2E_KUBECTL"), "kubectl"), append([]string{"-n", s.namespace}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &told
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, told.String())
	}
	return nil
}
