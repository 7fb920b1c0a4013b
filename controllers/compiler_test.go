package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// The compiler looks again when something changes that it looks at, and not for
// every status that the operator itself writes.
func TestWhatOfAChannelIsCompiled(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(ch *v1alpha1.Channel)
		want   bool
	}{
		"spec":      {func(ch *v1alpha1.Channel) { ch.Generation++ }, true},
		"finalizer": {func(ch *v1alpha1.Channel) { ch.Finalizers = append(ch.Finalizers, v1alpha1.FinalizerDuties) }, true},
		"somebody else's finalizer": {func(ch *v1alpha1.Channel) {
			ch.Finalizers = append(ch.Finalizers, "example.com/theirs")
		}, false},
		"webhook registered": {func(ch *v1alpha1.Channel) {
			apimeta.SetStatusCondition(&ch.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionWebhookRegistered, Status: metav1.ConditionTrue})
		}, true},
		"another condition": {func(ch *v1alpha1.Channel) {
			apimeta.SetStatusCondition(&ch.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue})
		}, false},
		"label":      {func(ch *v1alpha1.Channel) { ch.Labels = map[string]string{"team": "desk"} }, true}, // policies choose by it
		"annotation": {func(ch *v1alpha1.Channel) { ch.Annotations = map[string]string{"team": "desk"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := telegramChannel("shop", "main", "1")
			after := before.DeepCopy()
			tc.change(after)
			require.Equal(t, tc.want, channelChanged.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}))
		})
	}
}

// breaking is a client that cannot write one object.
type breaking struct {
	client.Client
	name string
	err  error
}

func (b *breaking) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	if named, ok := obj.(interface{ GetName() string }); ok && b.err != nil && named.GetName() == b.name {
		return b.err
	}
	return b.Client.Apply(ctx, obj, opts...)
}

// A document of several Secrets of which one was written and the next was not
// is made whole again, also when the change was taken back meanwhile.
func TestADocumentHalfWrittenIsMadeWhole(t *testing.T) {
	for name, refused := range map[string]error{
		"the API server goes away": errors.New("connection refused"),
		"a policy forbids it":      apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "edge", errors.New("quota")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(newNamespace(t), "edge")
			b.Spec.Suspend = true // the suite's own operator leaves it alone
			create(t, b)
			o := owner{document.KindBridge, client.ObjectKeyFromObject(b)}
			out := output{owner: o, child: workload.BridgeChild(b.Name), ref: workload.BridgeOwner(b)}
			k := &breaking{Client: k8s, name: workload.DocumentSecret(out.child, 0)}
			c := &compiler{
				client: k, applier: applier{client: k, live: k8s}, pods: newPodStatuses(), codecs: document.Codecs(),
				written:  map[owner]*document.Document{o: {Shards: make([]string, 2)}}, // it had two Secrets
				versions: map[types.NamespacedName]string{},
			}
			write := func(content string) (*compile.Finding, error) {
				out.doc = &document.Document{Kind: o.kind, Name: o.name.String(), Generation: 1, Settings: json.RawMessage("{}"), Entries: []document.Entry{inShard(t, 1, content)}}
				return c.writeDocument(t.Context(), out)
			}
			finding, err := write("before")
			require.NoError(t, err)
			require.Nil(t, finding)

			k.err = refused
			finding, err = write("after")
			require.True(t, finding != nil || err != nil)
			k.err = nil
			finding, err = write("before")
			require.NoError(t, err)
			require.Nil(t, finding)

			stands := map[owner]*document.Document{}
			require.NoError(t, c.loadDocument(t.Context(), stands, o, out.child))
			require.Equal(t, c.written[o].Hash, stands[o].Hash, "a pod that starts now finds Secrets that do not belong together")
			require.Equal(t, out.doc.Entries, stands[o].Entries)
		})
	}
}

// inShard makes an entry that lies in shard n of two.
func inShard(t *testing.T, n int, content string) document.Entry {
	for i := range 100 {
		e, err := document.NewEntry(document.EntryChannel, fmt.Sprintf("shop/c%d", i), 1, map[string]string{"content": content})
		require.NoError(t, err)
		if document.ShardOf(e.Key(), 2) == n {
			return e
		}
	}
	t.Fatal("no name falls into the shard")
	return document.Entry{}
}
