package controllers

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// owner is the Bridge or ConversationStore whose pods answer /status.
type owner struct {
	kind document.Kind
	name types.NamespacedName
}

// podStatuses keeps the last answers of all pods. Safe for concurrent use.
type podStatuses struct {
	mu     sync.RWMutex
	owners map[owner]*ownedPods
}

type ownedPods struct {
	pods  map[string]*podEntry
	fleet *fleet.Fleet // of the serving ones; made anew when anything changed
	// translated is that fleet in the terms of a document that is written in
	// several major versions.
	translated translation
}

type translation struct {
	doc       *document.Document
	of, fleet *fleet.Fleet
}

type podEntry struct {
	fleet.Pod
	// serving: Ready and not on its way out, so traffic reaches it. A serving
	// pod that never answered counts as one that has loaded nothing.
	serving  bool
	answered bool
}

func newPodStatuses() *podStatuses {
	return &podStatuses{owners: map[owner]*ownedPods{}}
}

// change tells what an answer, or a pod that came or went, changed.
type change struct {
	// owner: hash, health, or which pods there are.
	owner bool
	// entries whose row or exception changed, by key.
	entries []string
	// shards whose content a pod has taken over; all of them when allShards.
	shards    []int
	allShards bool
}

func (c change) any() bool {
	return c.owner || c.allShards || len(c.entries) > 0 || len(c.shards) > 0
}

// keep records which pods an owner has and which of them serve.
func (p *podStatuses) keep(o owner, serving map[string]bool) change {
	p.mu.Lock()
	defer p.mu.Unlock()
	owned := p.owners[o]
	if owned == nil {
		owned = &ownedPods{pods: map[string]*podEntry{}}
		p.owners[o] = owned
	}
	var c change
	for name := range owned.pods {
		if _, ok := serving[name]; !ok {
			delete(owned.pods, name)
			c.owner, c.allShards = true, true
		}
	}
	for name, s := range serving {
		if pod := owned.pods[name]; pod == nil {
			owned.pods[name] = &podEntry{Pod: fleet.Pod{Name: name}, serving: s}
			c.owner, c.allShards = true, true
		} else if pod.serving != s {
			pod.serving = s
			c.owner, c.allShards = true, true
		}
	}
	if c.any() {
		owned.refresh()
	}
	return c
}

// query is what to ask a pod for to get what is new.
func (p *podStatuses) query(o owner, pod string) (instance string, after int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if e := p.entry(o, pod); e != nil {
		return e.Query()
	}
	return "", 0
}

// merge takes an answer in and tells what it changed.
func (p *podStatuses) merge(o owner, pod string, answer document.Status) change {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entry(o, pod)
	if e == nil {
		return change{} // gone meanwhile
	}
	old := e.Pod
	e.Pod = old.Merge(answer)
	c := change{
		owner: !e.answered || !slices.Equal(answer.EntryKinds, old.Status.EntryKinds) || !slices.Equal(answer.SchemaVersions, old.Status.SchemaVersions) || answer.Hash != old.Status.Hash || answer.Generation != old.Status.Generation ||
			answer.Store.OK != old.Status.Store.OK || answer.Store.Message != old.Status.Store.Message ||
			answer.DocumentError != old.Status.DocumentError || !slices.Equal(answer.Store.Warnings, old.Status.Store.Warnings),
		entries: slices.Concat(changedEntries(old.Status.Exceptions, answer.Exceptions, entryOfException), changedEntries(old.Status.Troubles, answer.Troubles, entryOfTrouble),
			changedEntries(surveyRows(old.Status.Surveys), surveyRows(answer.Surveys), func(r surveyRow) string { return r.entry })),
	}
	e.answered = true
	c.shards, c.allShards = changedShards(old.Status.Shards, answer.Shards)
	c.entries = append(c.entries, changedRows(old.Rows, e.Rows, answer)...)
	if c.any() {
		p.owners[o].refresh()
	}
	return c
}

func (p *podStatuses) entry(o owner, pod string) *podEntry {
	if owned := p.owners[o]; owned != nil {
		return owned.pods[pod]
	}
	return nil
}

func (o *ownedPods) refresh() {
	pods := make([]fleet.Pod, 0, len(o.pods))
	for _, e := range o.pods {
		if e.serving {
			pods = append(pods, e.Pod)
		}
	}
	slices.SortFunc(pods, func(a, b fleet.Pod) int { return cmp.Compare(a.Name, b.Name) })
	o.fleet = fleet.New(pods)
}

// fleet is what the serving pods of an owner said, in the terms of doc; nil when
// there are none.
func (p *podStatuses) fleet(o owner, doc *document.Document) *fleet.Fleet {
	p.mu.RLock()
	owned := p.owners[o]
	if owned == nil || doc == nil || len(doc.Editions) == 0 {
		defer p.mu.RUnlock()
		if owned == nil {
			return nil
		}
		return owned.fleet
	}
	p.mu.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := owned.translated; t.doc != doc || t.of != owned.fleet {
		owned.translated = translation{doc: doc, of: owned.fleet, fleet: owned.fleet.Translate(doc)}
	}
	return owned.translated.fleet
}

// majors are the major versions that each running pod of an owner speaks; none
// of a pod that has not answered yet.
func (p *podStatuses) majors(o owner) [][]int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	owned := p.owners[o]
	if owned == nil {
		return nil
	}
	out := make([][]int, 0, len(owned.pods))
	for _, e := range owned.pods {
		out = append(out, e.Status.SchemaVersions)
	}
	return out
}

// forget drops an owner that is gone.
func (p *podStatuses) forget(o owner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.owners, o)
}

// lagging lists the pods, serving or not, that do not run the document.
func (p *podStatuses) lagging(o owner, doc *document.Document) []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	owned := p.owners[o]
	if owned == nil {
		return nil
	}
	var out []string
	for name, e := range owned.pods {
		if !doc.Confirms(e.Status.Hash) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// unsettled says whether a serving pod has not answered yet, or some entry's
// duties have no holder or no first result, so that the answers are worth
// asking for often.
func (p *podStatuses) unsettled(o owner, doc *document.Document) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	owned := p.owners[o]
	if owned == nil {
		return true
	}
	settled := map[string]bool{}
	for _, e := range owned.pods {
		if e.serving && !e.answered {
			return true
		}
		for key, r := range e.Rows {
			if r.Held && !pendingDuty(r.Credentials) && !pendingDuty(r.Webhook) && !pendingDuty(r.Profile) {
				settled[key] = true
			}
		}
	}
	if o.kind == document.KindStore {
		return false // stores have no duties
	}
	for _, e := range doc.Entries {
		if !settled[e.Key()] {
			return true
		}
	}
	return false
}

func pendingDuty(d *document.Duty) bool { return d != nil && d.State == document.DutyPending }

func changedShards(before, after []string) (changed []int, all bool) {
	if len(before) != len(after) {
		return nil, true // spread anew
	}
	for i := range after {
		if before[i] != after[i] {
			changed = append(changed, i)
		}
	}
	return changed, false
}

func changedRows(before, after map[string]document.ChannelStatus, answer document.Status) []string {
	var out []string
	for _, row := range answer.Channels {
		out = append(out, row.Entry)
	}
	if answer.Full {
		for key := range before {
			if _, ok := after[key]; !ok {
				out = append(out, key)
			}
		}
	}
	return out
}

// changedEntries are the entries (by key) of what is there now and was not
// before, of what is another now, and of what is gone.
func changedEntries[T comparable](before, after []T, entry func(T) string) []string {
	was := map[string]T{}
	for _, x := range before {
		was[entry(x)] = x
	}
	var out []string
	for _, x := range after {
		key := entry(x)
		if old, ok := was[key]; !ok || old != x {
			out = append(out, key)
		}
		delete(was, key)
	}
	return slices.AppendSeq(out, maps.Keys(was))
}

func entryOfException(e document.Exception) string { return e.Entry }

func entryOfTrouble(t document.Trouble) string { return t.Entry }

// surveyRow is a document.SurveyStatus that can be compared.
type surveyRow struct{ entry, hash, summary string }

func surveyRows(list []document.SurveyStatus) []surveyRow {
	rows := make([]surveyRow, len(list))
	for i, s := range list {
		rows[i] = surveyRow{s.Entry, s.Hash, string(s.Summary)}
	}
	return rows
}
