package controllers

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// snapshot lists everything that a compilation looks at, from the cache.
func (c *compiler) snapshot(ctx context.Context) (*compile.Snapshot, error) {
	var (
		stores     v1alpha1.ConversationStoreList
		bridges    v1alpha1.BridgeList
		channels   v1alpha1.ChannelList
		schedules  v1alpha1.ScheduleList
		queues     v1alpha1.AgentQueueList
		bots       v1alpha1.BotList
		policies   v1alpha1.RoutingPolicyList
		campaigns  v1alpha1.SurveyCampaignList
		secrets    corev1.SecretList
		namespaces corev1.NamespaceList
	)
	lists := []struct {
		list client.ObjectList
		opts []client.ListOption
	}{
		{&stores, nil}, {&bridges, nil}, {&channels, nil},
		{&schedules, nil}, {&queues, nil}, {&bots, nil}, {&policies, nil}, {&campaigns, nil},
		{&secrets, []client.ListOption{client.MatchingLabels{v1alpha1.CredentialsLabel: "true"}}},
	}
	for _, l := range lists {
		// What the cache holds is only read here: no copies of 10 000 objects.
		if err := c.client.List(ctx, l.list, append(l.opts, client.UnsafeDisableDeepCopy)...); err != nil {
			return nil, err
		}
	}
	if c.namespaces {
		if err := c.client.List(ctx, &namespaces, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
	}
	if !c.loaded {
		if err := c.loadWritten(ctx, stores.Items, bridges.Items); err != nil {
			return nil, err
		}
	}
	s := &compile.Snapshot{
		Stores: pointers(stores.Items), Bridges: pointers(bridges.Items), Channels: pointers(channels.Items), Secrets: pointers(secrets.Items),
		Schedules: pointers(schedules.Items), AgentQueues: pointers(queues.Items), Bots: pointers(bots.Items), Policies: pointers(policies.Items), Campaigns: pointers(campaigns.Items),
		Namespaces:      map[string]map[string]string{},
		PreviousBridges: map[compile.Key]*document.Document{}, PreviousStores: map[compile.Key]*document.Document{},
		Fleets: map[compile.Key]*fleet.Fleet{},
	}
	for i := range namespaces.Items {
		s.Namespaces[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	for o, doc := range c.written {
		if o.kind == document.KindStore {
			s.PreviousStores[o.name] = doc
		} else {
			s.PreviousBridges[o.name] = doc
		}
	}
	for _, b := range s.Bridges {
		key := client.ObjectKeyFromObject(b)
		o := owner{document.KindBridge, key}
		s.Fleets[key] = c.pods.fleet(o, c.written[o])
	}
	return s, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// loadWritten reads the documents that an earlier operator left, once.
func (c *compiler) loadWritten(ctx context.Context, stores []v1alpha1.ConversationStore, bridges []v1alpha1.Bridge) error {
	written := map[owner]*document.Document{}
	for i := range stores {
		if err := c.loadDocument(ctx, written, owner{document.KindStore, client.ObjectKeyFromObject(&stores[i])}, workload.StoreChild(stores[i].Name)); err != nil {
			return err
		}
	}
	for i := range bridges {
		if err := c.loadDocument(ctx, written, owner{document.KindBridge, client.ObjectKeyFromObject(&bridges[i])}, workload.BridgeChild(bridges[i].Name)); err != nil {
			return err
		}
	}
	c.written, c.loaded = written, true
	return nil
}

func (c *compiler) loadDocument(ctx context.Context, into map[owner]*document.Document, o owner, child string) error {
	secrets := make([]corev1.Secret, document.MaxShards)
	for i := range secrets {
		err := c.client.Get(ctx, types.NamespacedName{Namespace: o.name.Namespace, Name: workload.DocumentSecret(child, i)}, &secrets[i])
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	for _, codec := range c.codecs {
		files := make([][]byte, len(secrets))
		for i := range secrets {
			files[i] = secrets[i].Data[document.ShardKey(codec.Major)]
		}
		switch {
		case !slices.ContainsFunc(files, func(f []byte) bool { return f != nil }):
		case into[o] == nil:
			into[o] = readDocument(ctx, o, codec, files)
		default:
			// What its pods confirm is known when it is written again.
			into[o].Editions = append(into[o].Editions, document.Edition{Major: codec.Major})
		}
	}
	return nil
}

func readDocument(ctx context.Context, o owner, codec document.Codec, files [][]byte) *document.Document {
	doc, _, err := codec.Read(files)
	if err == nil {
		return doc
	}
	// Damaged by hand, or half written by an operator that was killed. What can
	// be read of it still knows which webhooks are registered and which
	// credentials were in force.
	log.FromContext(ctx).Info("the document that stands is read in part", "kind", o.kind, "resource", o.name, "reason", err.Error())
	return codec.Salvage(files)
}
