package duty

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// target is an entry that this replica holds, with its duties.
type target struct {
	channel *channels.Channel
	tasks   map[status.Obligation]*task
	// registered is the webhook URL that we set last; empty: none in this process's time.
	registered string
	// refused: sends are refused because of the credentials.
	refused bool
}

// task is one duty of a target. Only the Manager's goroutine touches it.
type task struct {
	target     *target
	obligation status.Obligation
	// input is what the duty depends on: as long as it stays, so does the result.
	input     fingerprint
	succeeded bool // with this input
	failures  int  // in a row
	due       time.Time
	index     int // in the queue; -1: not queued
	running   bool
	again     bool               // to be run once more when the run on the way has ended
	cancel    context.CancelFunc // of the run on the way
}

// stop ends the run on the way, if there is one; its result still comes.
func (k *task) stop() {
	if k.cancel != nil {
		k.cancel()
	}
}

// fingerprint tells inputs apart.
type fingerprint [sha256.Size]byte

// inputOf is the fingerprint of what a duty of a channel depends on. That
// registration may start (RegisterWebhook) is not part of it: a webhook that is
// registered stays so while a new generation makes its way to all pods.
func inputOf(ch *channels.Channel, o status.Obligation) fingerprint {
	v := struct {
		Platform, Account, Endpoint, URL string
		Kind                             document.EntryKind
		Credentials                      map[string]string
		Config                           json.RawMessage
	}{
		Platform: ch.Spec.Platform, Account: ch.Spec.Account, Endpoint: ch.Endpoint(),
		Kind: ch.Kind, Credentials: ch.Spec.Credentials,
	}
	switch o {
	case status.Webhook:
		v.URL, v.Config = ch.Spec.WebhookURL, ch.Spec.Config
	case status.Profile:
		v.Config = ch.Spec.Config
	}
	data, _ := json.Marshal(v) // strings and valid JSON: it cannot fail
	return sha256.Sum256(data)
}

// obligationsOf lists the duties of an entry.
func obligationsOf(ch *channels.Channel) []status.Obligation {
	_, registrar := ch.Platform.(platform.Registrar)
	if ch.Kind == document.EntryTombstone {
		return []status.Obligation{status.Webhook}
	}
	list := []status.Obligation{status.Credentials}
	if registrar && ch.Spec.Receive == document.ReceiveWebhook {
		list = append(list, status.Webhook)
	}
	if _, ok := ch.Platform.(platform.Profiler); ok {
		list = append(list, status.Profile)
	}
	return list
}

// queue is a heap of tasks, the earliest due first.
type queue []*task

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	t := x.(*task)
	t.index = len(*q)
	*q = append(*q, t)
}

func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}
