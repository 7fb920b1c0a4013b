package fleet

import (
	"encoding/json"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Fleet is the serving pods of one Bridge or ConversationStore: those that are
// Ready endpoints. Make it with New; it is not changed afterwards and may be
// shared. A nil Fleet is one without pods.
type Fleet struct {
	pods []member
}

type member struct {
	Pod
	exceptions map[string]document.Exception
}

// New prepares the pods for questions about their entries.
func New(pods []Pod) *Fleet {
	f := &Fleet{pods: make([]member, 0, len(pods))}
	for _, p := range pods {
		m := member{Pod: p, exceptions: make(map[string]document.Exception, len(p.Status.Exceptions))}
		for _, e := range p.Status.Exceptions {
			m.exceptions[e.Entry] = e
		}
		f.pods = append(f.pods, m)
	}
	return f
}

// Translate is the fleet in the terms of doc: what pods say that run it in an
// older major version reads as if they ran the newest.
func (f *Fleet) Translate(doc *document.Document) *Fleet {
	if f == nil {
		return nil
	}
	pods := f.Pods()
	for i := range pods {
		pods[i].Status = doc.Translate(pods[i].Status)
		rows := make(map[string]document.ChannelStatus, len(pods[i].Rows))
		for key, r := range pods[i].Rows {
			rows[key] = doc.TranslateRow(r)
		}
		pods[i].Rows = rows
	}
	return New(pods)
}

// Size is how many pods serve.
func (f *Fleet) Size() int {
	if f == nil {
		return 0
	}
	return len(f.pods)
}

// Heard says whether every serving pod has answered at least once. One that has
// not (the operator has just started, or the pod) is not healthy nor in trouble:
// what was known before stands.
func (f *Fleet) Heard() bool {
	if f == nil {
		return false
	}
	for i := range f.pods {
		if !f.pods[i].Answered() {
			return false
		}
	}
	return len(f.pods) > 0
}

// Pods are the serving pods, for what concerns them as a whole (health, version).
func (f *Fleet) Pods() []Pod {
	if f == nil {
		return nil
	}
	pods := make([]Pod, len(f.pods))
	for i, m := range f.pods {
		pods[i] = m.Pod
	}
	return pods
}

// LoadedSettings says whether there is a serving pod and every one runs a
// document of at least this generation of its resource: the channels may be of
// another moment, the Bridge or store itself is in force.
func (f *Fleet) LoadedSettings(generation int64) bool {
	if f.Size() == 0 {
		return false
	}
	for i := range f.pods {
		if f.pods[i].Status.Hash == "" || f.pods[i].Status.Generation < generation {
			return false
		}
	}
	return true
}

// Loaded says whether there is a serving pod and every one runs the entry with
// this key as it stands in doc, which must have been encoded or decoded (its
// Shards are known).
func (f *Fleet) Loaded(doc *document.Document, key string) bool {
	if f.Size() == 0 || doc == nil || len(doc.Shards) == 0 {
		return false
	}
	for i := range f.pods {
		if !f.pods[i].confirms(doc, key) {
			return false
		}
		if _, refused := f.pods[i].exceptions[key]; refused {
			return false
		}
	}
	return true
}

// Acts says whether every serving pod acts on entries of a kind: one of an older
// version confirms what it does not know.
func (f *Fleet) Acts(kind document.EntryKind) bool {
	if f.Size() == 0 {
		return false
	}
	for i := range f.pods {
		if !slices.Contains(f.pods[i].Status.EntryKinds, kind) {
			return false
		}
	}
	return true
}

// Refusal is why the entry as it stands in doc is not in force anywhere: every
// serving pod confirmed the shard and refuses the entry. While only some do,
// versions are mixed (an upgrade goes on), and it is nil.
func (f *Fleet) Refusal(doc *document.Document, key string) *document.Exception {
	if f.Size() == 0 || doc == nil || len(doc.Shards) == 0 {
		return nil
	}
	var first *document.Exception
	for i := range f.pods {
		e, refused := f.pods[i].exceptions[key]
		if !refused || !f.pods[i].confirms(doc, key) {
			return nil
		}
		if first == nil {
			first = &e
		}
	}
	return first
}

// confirms says whether the pod runs the shard of doc in which key is.
func (m *member) confirms(doc *document.Document, key string) bool {
	if m.Status.Hash == doc.Hash && doc.Hash != "" {
		return true
	}
	i := document.ShardOf(key, len(doc.Shards))
	return len(m.Status.Shards) == len(doc.Shards) && m.Status.Shards[i] == doc.Shards[i]
}

// Row is what the holder of the channel's lease says of this entry, or nil when
// no serving pod holds it or the holder speaks of another hash.
func (f *Fleet) Row(key, hash string) *document.ChannelStatus {
	if f == nil {
		return nil
	}
	for i := range f.pods {
		if row, ok := f.pods[i].Rows[key]; ok && row.Held && row.Hash == hash {
			return &row
		}
	}
	return nil
}

// EntryTrouble is what a serving pod says of an entry that is in force and cannot
// do what it is for, in whatever version; nil when none does. The pods of a
// store look at one database, so the first one's word is enough.
func (f *Fleet) EntryTrouble(key string) *document.Trouble {
	if f == nil {
		return nil
	}
	for i := range f.pods {
		for j := range f.pods[i].Status.Troubles {
			if t := &f.pods[i].Status.Troubles[j]; t.Entry == key {
				return t
			}
		}
	}
	return nil
}

// Survey is what serving pods say of a campaign in force: of several the newest
// word, since they are not asked at one moment; nil when none says anything.
func (f *Fleet) Survey(key string) *survey.Summary {
	if f == nil {
		return nil
	}
	var newest *survey.Summary
	for i := range f.pods {
		for _, s := range f.pods[i].Status.Surveys {
			var said survey.Summary
			if s.Entry != key || len(s.Summary) == 0 || json.Unmarshal(s.Summary, &said) != nil {
				continue // or of another version
			}
			if newest == nil || said.UpdatedAt.After(newest.UpdatedAt) {
				newest = &said
			}
		}
	}
	return newest
}

// Trouble is the worst trouble with sending that any serving pod reports for an
// entry, in whatever version: every replica sends, not only the holder. nil
// when none does.
func (f *Fleet) Trouble(key string) *document.Duty {
	if f == nil {
		return nil
	}
	var worst *document.Duty
	for i := range f.pods {
		d := f.pods[i].Rows[key].Delivering
		if d == nil || d.State != document.DutyFailed && d.State != document.DutyRetrying {
			continue
		}
		if worst == nil || worst.State == document.DutyRetrying && d.State == document.DutyFailed {
			worst = d
		}
	}
	return worst
}
