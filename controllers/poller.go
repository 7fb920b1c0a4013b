package controllers

import (
	"context"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// nudgeAnnotation on a pod makes kubelet look at its volumes now. It holds the
// hash that is awaited and a counter.
const nudgeAnnotation = "bridgekeeper.dev/document"

const (
	// pollTick is how often it is looked who is due.
	pollTick = 100 * time.Millisecond
	// pollWorkers bounds concurrent requests to pods.
	pollWorkers = 16
	// nudgeFirst, nudgeMax: a kubelet that watches Secrets may mount the old
	// value when it is nudged before its watch has seen the new one; so once
	// early, again after 2 s, and then ever more rarely.
	nudgeFirst = 300 * time.Millisecond
	nudgeNext  = 2 * time.Second
	nudgeMax   = 64 * time.Second
)

// poller asks the pods of every Bridge and ConversationStore for their status:
// often while something is pending, rarely at rest.
type poller struct {
	client  client.Client
	fetcher StatusFetcher
	pods    *podStatuses
	current func() *compiled
	// changed is told what an answer changed.
	changed func(owner, change)
	now     func() time.Time

	mu     sync.Mutex
	states map[owner]*pollState
	slots  chan struct{}
}

type pollState struct {
	due     time.Time
	busy    bool
	hash    string    // awaited
	since   time.Time // hash has been awaited since
	nudges  int
	nudgeAt time.Time
}

func newPoller(c client.Client, f StatusFetcher, pods *podStatuses, current func() *compiled, now func() time.Time) *poller {
	return &poller{
		client: c, fetcher: f, pods: pods, current: current, now: now, changed: func(owner, change) {},
		states: map[owner]*pollState{}, slots: make(chan struct{}, pollWorkers),
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (p *poller) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (p *poller) Start(ctx context.Context) error {
	ticker := time.NewTicker(pollTick)
	defer ticker.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, o := range p.takeDue() {
			select {
			case p.slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			wg.Go(func() {
				defer func() { <-p.slots }()
				p.poll(ctx, o)
			})
		}
	}
}

// soon makes an owner due now: its pods changed, or its document did.
func (p *poller) soon(o owner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.states[o]; s != nil {
		s.due = time.Time{}
	}
}

// takeDue lists the owners to ask now and marks them busy.
func (p *poller) takeDue() []owner {
	c := p.current()
	if c == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var due []owner
	for o, doc := range c.documents {
		s := p.states[o]
		if s == nil {
			s = &pollState{}
			p.states[o] = s
		}
		if s.hash != doc.Hash {
			s.hash, s.since, s.nudges, s.nudgeAt, s.due = doc.Hash, now, 0, now.Add(nudgeFirst), time.Time{}
		}
		if !s.busy && !s.due.After(now) {
			s.busy = true
			due = append(due, o)
		}
	}
	for o := range p.states {
		if c.documents[o] == nil {
			delete(p.states, o)
			p.pods.forget(o)
		}
	}
	return due
}

func (p *poller) poll(ctx context.Context, o owner) {
	pods, err := p.list(ctx, o)
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot list pods", "kind", o.kind, "resource", o.name)
	} else {
		p.ask(ctx, o, pods)
		p.nudge(ctx, o, pods)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.states[o]; s != nil {
		s.busy = false
		s.due = p.now().Add(p.interval(o, s))
	}
}

// interval is short after a change and grows to a tenth of the time since: a
// pod that never comes up, or a platform that never answers, is not worth
// three requests a second for ever.
func (p *poller) interval(o owner, s *pollState) time.Duration {
	doc := p.current().document(o)
	if doc == nil || len(p.pods.lagging(o, doc)) == 0 && !p.pods.unsettled(o, doc) {
		return pollSlow
	}
	return min(pollSlow, max(pollFast, p.now().Sub(s.since)/10))
}

func (p *poller) list(ctx context.Context, o owner) ([]corev1.Pod, error) {
	selector := workload.BridgeSelector(o.name.Name)
	if o.kind == document.KindStore {
		selector = workload.StoreSelector(o.name.Name)
	}
	var pods corev1.PodList
	err := p.client.List(ctx, &pods, client.InNamespace(o.name.Namespace), client.MatchingLabels(selector))
	return pods.Items, err
}

func (p *poller) ask(ctx context.Context, o owner, pods []corev1.Pod) {
	serving := map[string]bool{}
	for i := range pods {
		if running(&pods[i]) {
			serving[pods[i].Name] = ready(&pods[i])
		}
	}
	if c := p.pods.keep(o, serving); c.any() {
		p.changed(o, c)
	}
	var wg sync.WaitGroup
	for i := range pods {
		pod := &pods[i]
		if _, ok := serving[pod.Name]; !ok {
			continue
		}
		wg.Go(func() { p.askPod(ctx, o, pod) })
	}
	wg.Wait()
}

func (p *poller) askPod(ctx context.Context, o owner, pod *corev1.Pod) {
	child := workload.BridgeChild(o.name.Name)
	if o.kind == document.KindStore {
		child = workload.StoreChild(o.name.Name)
	}
	instance, after := p.pods.query(o, pod.Name)
	address := PodAddress{Name: pod.Name, IP: pod.Status.PodIP, ServerName: workload.ServerName(o.name.Namespace, child)}
	status, err := p.fetcher.FetchStatus(ctx, address, instance, after)
	if err != nil {
		// A pod that starts, stops or is cut off. What it said last stands; the
		// workload's own state shows in the conditions.
		log.FromContext(ctx).V(1).Info("pod does not answer", "pod", types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, "reason", err.Error())
		return
	}
	if c := p.pods.merge(o, pod.Name, status); c.any() {
		p.changed(o, c)
	}
}

// nudge touches the pods that do not run the awaited document yet.
func (p *poller) nudge(ctx context.Context, o owner, pods []corev1.Pod) {
	doc := p.current().document(o)
	p.mu.Lock()
	s := p.states[o]
	if s == nil || doc == nil || p.now().Before(s.nudgeAt) {
		p.mu.Unlock()
		return
	}
	hash, n := s.hash, s.nudges
	s.nudges++
	s.nudgeAt = p.now().Add(min(nudgeMax, nudgeNext<<min(n, 10)))
	p.mu.Unlock()

	lagging := map[string]bool{}
	for _, name := range p.pods.lagging(o, doc) {
		lagging[name] = true
	}
	for i := range pods {
		if !lagging[pods[i].Name] {
			continue
		}
		patch := client.MergeFrom(pods[i].DeepCopy())
		if pods[i].Annotations == nil {
			pods[i].Annotations = map[string]string{}
		}
		pods[i].Annotations[nudgeAnnotation] = hash + "-" + strconv.Itoa(n)
		if err := p.client.Patch(ctx, &pods[i], patch, client.FieldOwner(FieldOwner)); client.IgnoreNotFound(err) != nil {
			log.FromContext(ctx).Error(err, "cannot touch pod", "pod", client.ObjectKeyFromObject(&pods[i]))
		}
	}
}

func running(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.PodIP != "" && pod.Status.Phase == corev1.PodRunning
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
