package controllers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// A platform that is down blocks a deletion for five minutes and no longer,
// and then somebody is told.
func TestADeletedChannelIsLetGoAfterFiveMinutes(t *testing.T) {
	deleted := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	ch := telegramChannel("shop", "main", "1")
	ch.Finalizers, ch.DeletionTimestamp = []string{v1alpha1.FinalizerDuties}, &deleted
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	entry, err := document.NewEntry(document.EntryTombstone, "shop/main", 2, document.Tombstone{})
	require.NoError(t, err)
	result := &compile.ChannelResult{Entry: &entry, WebhookURL: "https://hooks.example.com/webhooks/shop/main"}

	now := deleted.Time
	recorder := events.NewFakeRecorder(10)
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(ch).WithStatusSubresource(ch).Build()
	r := &channelReconciler{shared: &shared{
		client: c, pods: newPodStatuses(), events: &eventSink{recorder: recorder}, compiler: &compiler{}, now: func() time.Time { return now },
	}}
	current := &compiled{Result: &compile.Result{}}
	live := &v1alpha1.Channel{}

	now = deleted.Add(removalPatience - time.Second)
	require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(ch), live))
	again, err := r.finalize(t.Context(), live, current, result)
	require.NoError(t, err)
	require.Equal(t, time.Second, again.RequeueAfter)
	require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(ch), live))
	require.NotEmpty(t, live.Finalizers)
	for len(recorder.Events) > 0 {
		require.NotContains(t, <-recorder.Events, v1alpha1.EventWebhookLeftRegistered)
	}

	now = deleted.Add(removalPatience)
	_, err = r.finalize(t.Context(), live, current, result)
	require.NoError(t, err)
	require.True(t, apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(ch), live)))
	require.Contains(t, <-recorder.Events, v1alpha1.EventWebhookLeftRegistered)
}

// A Channel is gone only once nothing can be queued on it any more: every
// serving pod of its store has loaded that it goes.
func TestADeletedChannelWaitsForItsStore(t *testing.T) {
	name := client.ObjectKey{Namespace: "shop", Name: "main"}
	st := owner{document.KindStore, client.ObjectKey{Namespace: "shop", Name: "default"}}
	entry, err := document.NewEntry(document.EntryChannel, name.String(), 2, document.StoreChannel{Deleting: true})
	require.NoError(t, err)
	doc := &document.Document{Kind: document.KindStore, Name: st.name.String(), Settings: []byte("{}"), Entries: []document.Entry{entry}}
	_, err = document.Encode(doc, 1)
	require.NoError(t, err)
	pods := newPodStatuses()
	r := &channelReconciler{shared: &shared{pods: pods}}
	current := &compiled{documents: map[owner]*document.Document{st: doc}}
	result := &compile.ChannelResult{Store: st.name}

	require.True(t, r.storeTold(name, current, result), "a store without pods learns it from its document")
	pods.keep(st, map[string]bool{"a": true, "b": true, "c": false})
	pods.merge(st, "a", document.Status{Hash: doc.Hash, Shards: doc.Shards})
	require.False(t, r.storeTold(name, current, result), "pod b has not said anything")
	pods.merge(st, "b", document.Status{Hash: "before", Shards: []string{"before"}})
	require.False(t, r.storeTold(name, current, result), "pod b runs the document before")
	pods.merge(st, "b", document.Status{Hash: doc.Hash, Shards: doc.Shards})
	require.True(t, r.storeTold(name, current, result), "pod c does not serve")
	require.True(t, r.storeTold(name, current, &compile.ChannelResult{}), "no store ever had it")
}
