package duty

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// block says that a task may not run now, and, where State is set, how its
// duty stands meanwhile.
type block struct {
	is   bool
	duty document.Duty
}

func (m *Manager) blockOf(k *task) block {
	t := k.target
	if t.channel.Kind == document.EntryTombstone {
		return m.blockTombstone(k)
	}
	if t.channel.Spec.Suspended {
		return block{is: true}
	}
	if k.obligation == status.Credentials {
		return block{}
	}
	if k.obligation == status.Webhook {
		if b := blockWebhook(k); b.is {
			return b
		}
	}
	// Without working credentials everything else fails the same way.
	return block{is: !t.tasks[status.Credentials].succeeded}
}

func blockWebhook(k *task) block {
	spec := k.target.channel.Spec
	switch {
	case spec.WebhookURL == "":
		return block{true, document.Duty{State: document.DutyFailed, Reason: status.ReasonNoPublicURL,
			Message: "the Bridge has no public URL; set its spec.publicURL, or let the Channel receive by polling"}}
	case !spec.RegisterWebhook && !k.succeeded:
		return block{true, document.Duty{State: document.DutyPending, Reason: status.ReasonNotAttempted,
			Message: "waits until every serving pod has loaded the channel"}}
	}
	return block{}
}

// blockTombstone: there may be nothing (left) to remove.
func (m *Manager) blockTombstone(k *task) block {
	ch := k.target.channel
	_, registrar := ch.Platform.(platform.Registrar)
	successor := m.Table.Snapshot().Channel(ch.Name)
	// A channel that was made again under the same name has the same URL: the
	// registration is its own now. The channels of an app have one URL all of
	// them; there it must be the same account too.
	taken := successor != nil && successor.Spec.WebhookURL == ch.Spec.WebhookURL && successor.Spec.Account == ch.Spec.Account
	if !registrar || ch.Spec.WebhookURL == "" || taken || k.succeeded {
		return block{true, document.Duty{State: document.DutyDone, Reason: status.ReasonDone}}
	}
	return block{}
}

// verdict is how a duty ended.
type verdict struct {
	duty        document.Duty
	retryAfter  time.Duration
	displayName string
	registered  string // the URL that is ours at the platform now
}

// do calls the platform. It runs on a worker and touches nothing of the Manager's.
func (m *Manager) do(ctx context.Context, ch *channels.Channel, o status.Obligation, registered string) (v verdict) {
	defer func() {
		if r := recover(); r != nil {
			m.Metrics.Caught(m.Log, "duty", r, "entry", ch.Key(), "duty", string(o))
			v = verdict{duty: document.Duty{State: document.DutyRetrying, Reason: status.ReasonInternalError, Message: "internal error; see the log of the bridge"}}
		}
	}()
	switch {
	case ch.Kind == document.EntryTombstone:
		err := ch.Platform.(platform.Registrar).Unregister(ctx, ch.Loaded)
		return verdict{duty: status.Judge(ch, err), retryAfter: status.RetryAfter(err)}
	case o == status.Webhook:
		return register(ctx, ch, registered)
	case o == status.Profile:
		changed, err := ch.Platform.(platform.Profiler).SyncProfile(ctx, ch.Loaded)
		if len(changed) > 0 {
			m.Log.Info("profile brought in line", "entry", ch.Key(), "fields", changed)
		}
		return verdict{duty: status.Judge(ch, err), retryAfter: status.RetryAfter(err)}
	default:
		return probe(ctx, ch)
	}
}

func probe(ctx context.Context, ch *channels.Channel) verdict {
	got, err := ch.Platform.Probe(ctx, ch.Loaded)
	if err == nil && got.Account != ch.Spec.Account {
		return verdict{duty: document.Duty{State: document.DutyFailed, Reason: status.ReasonMisconfigured,
			Message: fmt.Sprintf("the credentials are of account %q, the Channel is for %q; put the right ones into the Secret", got.Account, ch.Spec.Account)}}
	}
	v := verdict{duty: status.Judge(ch, err), retryAfter: status.RetryAfter(err), displayName: got.DisplayName}
	if err == nil && !got.ExpiresAt.IsZero() && time.Until(got.ExpiresAt) < expiresSoon {
		v.duty.Message = fmt.Sprintf("the credentials end on %s; put new ones into the Secret before", got.ExpiresAt.UTC().Format(time.DateOnly))
	}
	return v
}

// expiresSoon is when it is said that credentials end, while they still work:
// two weeks outlast most people's absence.
const expiresSoon = 14 * 24 * time.Hour

func register(ctx context.Context, ch *channels.Channel, registered string) verdict {
	taken, err := ch.Platform.(platform.Registrar).Register(ctx, ch.Loaded, registered)
	if err != nil {
		v := verdict{duty: status.Judge(ch, err), retryAfter: status.RetryAfter(err)}
		if e, ok := errors.AsType[*platform.Error](err); ok && e.NotDelivered {
			v.registered = ch.Spec.WebhookURL // it is ours, though nothing arrives: another one there is somebody else's
		}
		return v
	}
	if taken != "" {
		return verdict{duty: document.Duty{State: document.DutyFailed, Reason: status.ReasonTakenOver,
			Message: fmt.Sprintf("somebody else registered a webhook at %s for this account; it is left alone. Remove it there: it is looked at again within the hour", hostOf(taken))}}
	}
	return verdict{duty: document.Duty{State: document.DutyDone, Reason: status.ReasonDone}, registered: ch.Spec.WebhookURL}
}

// hostOf shows where a foreign webhook is; the rest of its URL may be a secret.
func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return "another URL"
}
