package standalone

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// report prints for people what kubectl would show in a cluster.
type report struct {
	out     io.Writer
	data    string
	address string
	// told are the findings that were printed, by identity.
	told map[string]string
}

func newReport(out io.Writer, data, address string) *report {
	return &report{out: out, data: data, address: address, told: map[string]string{}}
}

func (p *report) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format+"\n", args...) // a closed terminal does not stop the service
}

// event is a line with the time in front.
func (p *report) event(format string, args ...any) {
	p.line(time.Now().Format(time.TimeOnly)+"  "+format, args...)
}

// summary is printed once everything serves.
func (p *report) summary(w *world, notices []string, version string, took time.Duration) {
	base := "http://" + p.address
	channels := "channels"
	if len(w.snapshot.Channels) == 1 {
		channels = "channel"
	}
	p.line("bridgekeeper %s serves %d %s after %s", version, len(w.snapshot.Channels), channels, took.Round(time.Millisecond))
	p.line("")
	p.line("  REST      %s/v1   description: %s/openapi.json   metrics: %s/metrics", base, base, base)
	for _, st := range slices.SortedFunc(slices.Values(w.snapshot.Stores), byName) {
		p.store(st, base)
	}
	for _, ch := range slices.SortedFunc(slices.Values(w.snapshot.Channels), byName) {
		p.channel(ch, w.result.Channels[client.ObjectKeyFromObject(ch)], base)
	}
	for _, o := range slices.SortedFunc(slices.Values(w.snapshot.Policies), byName) {
		p.policy(o, w.result.Policies[client.ObjectKeyFromObject(o)])
	}
	for _, o := range slices.SortedFunc(slices.Values(w.snapshot.Campaigns), byName) {
		p.campaign(o, w.result.Campaigns[client.ObjectKeyFromObject(o)], base)
	}
	for _, n := range notices {
		p.line("  Notice    %s", n)
	}
	p.line("")
	p.line("  Changed files are in force within a second. Ctrl-C ends it in good order.")
	p.line("")
}

func (p *report) store(st *v1alpha1.ConversationStore, base string) {
	key := client.ObjectKeyFromObject(st)
	where := "data: " + storeDir(p.data, key)
	if st.Spec.Postgres != nil {
		where = "PostgreSQL, by Secret " + st.Namespace + "/" + st.Spec.Postgres.DSNSecretRef.Name
	}
	p.line("  Store     %s   %s", key, where)
	for _, t := range st.Spec.API.Tokens {
		if t.Name != generatedTokenName || !strings.HasPrefix(t.SecretRef.Name, generatedTokenSecret) {
			p.line("            token %q (%s): key \"token\" of Secret %s/%s", t.Name, t.Access, st.Namespace, t.SecretRef.Name)
			continue
		}
		file := tokenFile(p.data, key)
		p.line("            no token in the manifests; one that may do all was drawn: %s", file)
		p.line("            curl -H \"Authorization: Bearer $(cat %s)\" %s/v1/conversations", file, base)
	}
}

func (p *report) channel(ch *v1alpha1.Channel, r *compile.ChannelResult, base string) {
	key := client.ObjectKeyFromObject(ch)
	line := fmt.Sprintf("  Channel   %s   %s %s   %s", key, ch.Spec.Platform, r.Account, r.Receive)
	switch {
	case !ch.DeletionTimestamp.IsZero():
		p.line("%s   not in the manifests any more: on its way out", line)
		return
	case r.Entry == nil:
		line += "   not served"
	case r.Receive == v1alpha1.ReceiveWebhook:
		line += "   " + base + "/webhooks/" + key.String()
	}
	if r.WebhookURL != "" && r.WebhookURL != base+"/webhooks/"+key.String() {
		line += "   public: " + r.WebhookURL
	}
	p.line("%s", line)
}

func (p *report) policy(o *v1alpha1.RoutingPolicy, r *compile.PolicyResult) {
	var routed []string
	for _, parent := range r.Parents {
		if parent.Entries != nil {
			routed = append(routed, parent.Channel.String())
		}
	}
	where := "routes no Channel"
	if len(routed) > 0 {
		where = "routes " + strings.Join(routed, ", ")
	}
	p.line("  Policy    %s   priority %d, %d rules, %s", client.ObjectKeyFromObject(o), o.Spec.Priority, len(o.Spec.Rules), where)
}

// findings prints what is wrong with each resource, when that changed.
func (p *report) findings(w *world) {
	now := map[string]string{}
	for _, st := range w.snapshot.Stores {
		now[identityOf(st)] = messages(st.Spec.Suspend, w.result.Stores[client.ObjectKeyFromObject(st)].Findings)
	}
	for _, b := range w.snapshot.Bridges {
		now[identityOf(b)] = messages(b.Spec.Suspend, w.result.Bridges[client.ObjectKeyFromObject(b)].Findings)
	}
	for _, ch := range w.snapshot.Channels {
		now[identityOf(ch)] = messages(false, w.result.Channels[client.ObjectKeyFromObject(ch)].Findings)
	}
	maps.Copy(now, routingFindings(w))
	for _, identity := range slices.Sorted(maps.Keys(now)) {
		switch text := now[identity]; text {
		case p.told[identity]:
		case "":
			p.event("%s  nothing is wrong with it any more", title(identity))
		default:
			p.event("%s  %s", title(identity), text)
		}
	}
	p.told = now
}

// messages are what a person should know of one resource. paused: reconciling
// of it is.
func messages(paused bool, findings []compile.Finding) string {
	var out []string
	if paused {
		out = append(out, v1alpha1.ReasonSuspended+": spec.suspend is set on it: what is in force stays, and nothing new is taken in")
	}
	for _, f := range findings {
		out = append(out, f.Reason+": "+f.Message)
	}
	return strings.Join(out, "; ")
}

// tell prints transitions of conditions, apart from those that repeat a
// finding, and keeps the conditions for the next compilation.
func (r *runner) tell(identity string, findings []compile.Finding, before, after []metav1.Condition) {
	kept := r.world.statuses[identity]
	kept.conditions = after
	r.world.statuses[identity] = kept
	known := map[string]bool{}
	for _, f := range findings {
		known[f.Reason] = true
	}
	for _, t := range conditions.Diff(before, after) {
		if known[t.Reason] {
			continue
		}
		sign := "ok "
		if t.Type == corev1.EventTypeWarning {
			sign = "!! "
		}
		what := t.Condition + " " + t.Reason
		if t.Condition == t.Reason {
			what = t.Condition
		}
		r.report.event("%s%s  %s: %s", sign, title(identity), what, t.Message)
	}
}

func (p *report) reloaded(before, after *compile.Result) {
	p.event("the manifests are in force: %d channels, %d before", len(after.Channels), len(before.Channels))
}

func (p *report) problem(what string, err error) {
	p.event("!! %s:\n%s", what, err)
}

func (p *report) gone(channel compile.Key, what string) {
	p.event("Channel %s  %s", channel, what)
}

// title turns "Channel/shop/bot" into "Channel shop/bot".
func title(identity string) string { return strings.Replace(identity, "/", " ", 1) }
