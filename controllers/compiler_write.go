package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// output is one document to write and whose it is.
type output struct {
	owner
	child string
	ref   metav1.OwnerReference
	doc   *document.Document
}

// outputs lists the documents of a result. A suspended resource keeps the one
// it has, but for a Bridge with webhooks to remove: a deleted Channel must not
// go on receiving because somebody pauses its Bridge.
func outputs(s *compile.Snapshot, r *compile.Result) []output {
	var out []output
	for _, st := range s.Stores {
		key := client.ObjectKeyFromObject(st)
		o := output{owner: owner{document.KindStore, key}, child: workload.StoreChild(st.Name), ref: workload.StoreOwner(st)}
		if !st.Spec.Suspend {
			o.doc = r.Stores[key].Document
		}
		out = append(out, o)
	}
	for _, b := range s.Bridges {
		key := client.ObjectKeyFromObject(b)
		o := output{owner: owner{document.KindBridge, key}, child: workload.BridgeChild(b.Name), ref: workload.BridgeOwner(b)}
		if !b.Spec.Suspend || r.Bridges[key].Tombstones > 0 {
			o.doc = r.Bridges[key].Document
		}
		out = append(out, o)
	}
	return out
}

// writeDocuments writes what changed. One document that fails does not hold
// the others up.
func (c *compiler) writeDocuments(ctx context.Context, s *compile.Snapshot, next *compiled) error {
	var errs []error
	seen := map[owner]bool{}
	for _, o := range outputs(s, next.Result) {
		seen[o.owner] = true
		finding, err := c.writeDocument(ctx, o)
		if finding != nil {
			next.problems[o.owner] = finding
		}
		if err != nil {
			errs = append(errs, err)
		}
		if d := c.written[o.owner]; d != nil {
			next.documents[o.owner] = d
		}
	}
	for o := range c.written {
		if !seen[o] {
			delete(c.written, o) // its Secrets go with its owner
		}
	}
	return errors.Join(errs...)
}

func (c *compiler) writeDocument(ctx context.Context, o output) (*compile.Finding, error) {
	previous := c.written[o.owner]
	codecs := wantedCodecs(c.codecs, previous, c.pods.majors(o.owner))
	if o.doc == nil || !compile.Changed(o.doc, previous) && len(previous.Editions) == len(codecs)-1 && c.untouched(ctx, o, previous) {
		return nil, nil
	}
	files, finding := compile.EncodeAs(o.doc, previous, codecs)
	if finding != nil {
		return finding, nil
	}
	// Shard 0 names the hashes of the others: written last, a pod that reads in
	// between has a complete old document for longest.
	for i := len(o.doc.Shards) - 1; i >= 0; i-- {
		stopped, finding, err := c.writeShard(ctx, o, i, shardData(files, i))
		if stopped {
			c.forget(o)
			return finding, err
		}
	}
	c.written[o.owner] = o.doc
	return nil, nil
}

// writeShard writes shard n. stopped: it is not written, and the document ends
// here for now; without a finding or an error because its namespace goes.
func (c *compiler) writeShard(ctx context.Context, o output, n int, data map[string][]byte) (stopped bool, finding *compile.Finding, err error) {
	name := types.NamespacedName{Namespace: o.name.Namespace, Name: workload.DocumentSecret(o.child, n)}
	done, err := c.applier.apply(ctx, &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: name.Namespace, Name: name.Name,
			Labels:          workload.SecretLabels(map[string]string{workload.LabelDocument: string(o.kind)}),
			OwnerReferences: []metav1.OwnerReference{o.ref},
		},
		Data: data,
	})
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true, nil, nil // it goes, and its owner with it
	}
	if f := refusedChild(err); f != nil {
		return true, f, nil
	}
	if err != nil {
		return true, nil, fmt.Errorf("document of %s %s: %w", o.kind, o.name, err)
	}
	c.versions[name] = done.version
	return false, nil, nil
}

// forget drops the versions of a document whose write ended half-way: its
// Secrets are neither what was written before nor what was to be, even if the
// change is taken back, so they are all looked at again.
func (c *compiler) forget(o output) {
	for i := range o.doc.Shards {
		delete(c.versions, types.NamespacedName{Namespace: o.name.Namespace, Name: workload.DocumentSecret(o.child, i)})
	}
}

// shardData is what the Secret of shard n holds: the shard in every major
// version that is written.
func shardData(files map[int][][]byte, n int) map[string][]byte {
	data := make(map[string][]byte, len(files))
	for major, shards := range files {
		data[document.ShardKey(major)] = shards[n]
	}
	return data
}

// wantedCodecs are the major versions that a document is written in, the newest
// first: the older ones as well until all pods, and there are some, speak the
// newest. Once it is written alone, only a pod that says it does not speak it
// brings the others back: one that has just started has said nothing yet.
func wantedCodecs(codecs []document.Codec, previous *document.Document, pods [][]int) []document.Codec {
	if len(codecs) < 2 {
		return codecs
	}
	all := len(pods) > 0
	for _, majors := range pods {
		if len(majors) > 0 && !slices.Contains(majors, codecs[0].Major) {
			return codecs
		}
		all = all && len(majors) > 0
	}
	if all || previous != nil && len(previous.Editions) == 0 {
		return codecs[:1]
	}
	return codecs
}

// untouched says whether the Secrets are as this process wrote them.
func (c *compiler) untouched(ctx context.Context, o output, doc *document.Document) bool {
	for i := range doc.Shards {
		name := types.NamespacedName{Namespace: o.name.Namespace, Name: workload.DocumentSecret(o.child, i)}
		secret := &corev1.Secret{}
		// Only read: no copies of what may be a MiB each.
		if err := c.client.Get(ctx, name, secret, client.UnsafeDisableDeepCopy); err != nil || secret.ResourceVersion != c.versions[name] {
			return false
		}
	}
	return true
}
