//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const (
	// startup is how long pods may take until they serve; they take seconds.
	startup = 4 * time.Minute
	// soon is how long anything else may take that takes a moment; the rest is
	// for a machine with two cores that does something else.
	soon = 90 * time.Second
)

var numbers atomic.Int64

// number is different at each call, also between runs on one cluster.
func number() int64 { return numbers.Add(1) }

// secret is a random value of 32 characters that Telegram would take.
func secret() string { return rand.Text()[:26] + fmt.Sprintf("%06d", number()) }

// shop is a namespace with a store and a bridge.
type shop struct {
	t         *testing.T
	namespace string
	token     string // of REST
	desk      *actors.Desk
	rest      http.RoundTripper
}

// in is the same shop for a subtest.
func (s *shop) in(t *testing.T) *shop {
	sub := *s
	sub.t = t
	return &sub
}

// newNamespace makes a namespace that is removed when the test is over.
func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	name := fmt.Sprintf("e2e-%s-%d", run.id, number())
	all := map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}
	for k, v := range labels {
		all[k] = v
	}
	require.NoError(t, run.cluster.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all}}))
	t.Cleanup(func() { removeNamespace(t, name) })
	return name
}

// removeNamespace deletes the Channels first, as people do, and says so when a
// finalizer holds one of our kinds.
func removeNamespace(t *testing.T, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if t.Failed() {
		t.Log(run.cluster.dump(name))
	}
	start := time.Now()
	for _, kind := range []client.Object{&v1alpha1.Channel{}, &v1alpha1.Bridge{}, &v1alpha1.ConversationStore{}} {
		if err := run.cluster.DeleteAllOf(ctx, kind, client.InNamespace(name)); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	}
	if out, err := run.cluster.kubectl(ctx, "", "-n", name, "wait", "channels,bridges,conversationstores", "--all", "--for=delete", "--timeout=180s"); err != nil {
		t.Errorf("not deleted within 180 s: %s", out)
	}
	t.Logf("%6s  removed", time.Since(start).Round(time.Millisecond))
	if err := run.cluster.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Errorf("cleaning up: %v", err)
	}
}

// newShop makes a namespace with a store and a bridge and waits for both.
func newShop(t *testing.T, change ...func(*v1alpha1.Bridge)) *shop {
	t.Helper()
	return openShop(t).furnish(v1alpha1.ConversationStoreSpec{}, change...)
}

// furnish makes the shop's store and bridge and waits for both.
func (s *shop) furnish(spec v1alpha1.ConversationStoreSpec, change ...func(*v1alpha1.Bridge)) *shop {
	s.t.Helper()
	spec.API = &v1alpha1.StoreAPI{Tokens: []v1alpha1.APIToken{{
		Name: "desk", SecretRef: v1alpha1.SecretReference{Name: "desk"}, Namespaces: []string{s.namespace}, Access: v1alpha1.APIAccessAdmin,
	}}}
	store := &v1alpha1.ConversationStore{ObjectMeta: s.meta("default"), Spec: spec}
	bridge := &v1alpha1.Bridge{ObjectMeta: s.meta("default"), Spec: v1alpha1.BridgeSpec{
		PublicURL:         workload.BridgeServiceURL(s.namespace, "default"),
		PlatformEndpoints: []v1alpha1.PlatformEndpoint{{Platform: v1alpha1.PlatformTelegram, URL: endpoint()}},
	}}
	for _, c := range change {
		c(bridge)
	}
	s.create(store, bridge)
	s.awaitCurrent(startup, store, bridge)
	return s
}

// openShop makes the namespace and the token of REST alone.
func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, namespace: newNamespace(t, nil), token: secret() + secret()}
	s.keepSecret("desk", map[string]string{"token": s.token})
	s.rest = run.cluster.transport(s.namespace, workload.StoreSelector("default"), workload.PortREST)
	s.desk = s.deskWith(s.token)
	return s
}

// deskWith is a desk with another token.
func (s *shop) deskWith(token string) *actors.Desk {
	return actors.NewDesk("http://store", token, s.rest)
}

func (s *shop) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: s.namespace, Name: name}
}

func (s *shop) create(objects ...client.Object) {
	s.t.Helper()
	for _, o := range objects {
		require.NoError(s.t, run.cluster.Create(s.t.Context(), o))
	}
}

// awaitCurrent waits until kstatus calls all objects Current.
func (s *shop) awaitCurrent(within time.Duration, objects ...client.Object) {
	s.t.Helper()
	for _, o := range objects {
		eventually(s.t, within, "current", func(ctx context.Context) error { return run.cluster.current(ctx, o) })
	}
}

// keepSecret makes a Secret that Channels may use, or gives it these values.
func (s *shop) keepSecret(name string, values map[string]string) {
	s.t.Helper()
	m := s.meta(name)
	m.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"}
	o := &corev1.Secret{ObjectMeta: m, StringData: values}
	err := run.cluster.Create(s.t.Context(), o)
	if apierrors.IsAlreadyExists(err) {
		change(s.t, o, func(secret *corev1.Secret) { secret.Data, secret.StringData = nil, values })
		return
	}
	require.NoError(s.t, err)
}

// bot is an account at the platform and the Channel for it.
type bot struct {
	shop    *shop
	id      int64
	secret  string // of the token
	hook    string // of webhooks
	channel *v1alpha1.Channel
}

// newBot makes an account; the Channel is not created yet.
func (s *shop) newBot(name string, receive v1alpha1.ReceiveMode) *bot {
	s.t.Helper()
	b := &bot{shop: s, id: 8_000_000_000 + number(), secret: secret(), hook: secret()}
	b.channel = &v1alpha1.Channel{ObjectMeta: s.meta(name), Spec: v1alpha1.ChannelSpec{
		Platform:    v1alpha1.PlatformTelegram,
		Telegram:    &v1alpha1.TelegramChannel{BotID: fmt.Sprint(b.id), Receive: receive},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}},
	}}
	require.NoError(s.t, run.simulator.AddBot(s.t.Context(), telegram.BotSpec{ID: b.id, Secret: b.secret, Username: fmt.Sprintf("bot%d", b.id)}))
	return b
}

func (b *bot) token() string { return fmt.Sprintf("%d:%s", b.id, b.secret) }

// keepSecret writes the bot's credentials as they are now.
func (b *bot) keepSecret() {
	b.shop.t.Helper()
	b.shop.keepSecret(b.channel.Name, map[string]string{"token": b.token(), "webhookSecret": b.hook})
}

// open creates Secret and Channel and waits until it receives.
func (b *bot) open() *bot {
	b.shop.t.Helper()
	b.keepSecret()
	b.shop.create(b.channel)
	b.awaitReceiving()
	return b
}

// awaitReceiving waits until the Channel is Ready and the platform sends to it.
func (b *bot) awaitReceiving() {
	b.shop.t.Helper()
	b.shop.awaitCurrent(startup, b.channel)
	eventually(b.shop.t, soon, "receiving", func(ctx context.Context) error {
		state, err := run.simulator.Bot(ctx, b.id)
		if err == nil && state.Webhook.URL == "" && !state.Polling {
			err = fmt.Errorf("the platform neither has a webhook of bot %d nor is it polled", b.id)
		}
		return err
	})
}

// key is the Channel as REST names it.
func (b *bot) key() string { return b.channel.Namespace + "/" + b.channel.Name }

func (b *bot) customer(name string) *actors.Customer {
	b.shop.t.Helper()
	c, err := run.simulator.Customer(b.shop.t.Context(), b.id, telegram.User{ID: 100_000_000 + number(), FirstName: name})
	require.NoError(b.shop.t, err)
	return c
}

// text is a message that no other is like.
func text(prefix string) string { return fmt.Sprintf("%s %s-%d", prefix, run.id, number()) }

// receives lets a customer write and waits until REST has the message.
func (b *bot) receives(c *actors.Customer, text string) *message.Message {
	b.shop.t.Helper()
	require.NoError(b.shop.t, c.Write(b.shop.t.Context(), text))
	return b.awaitMessage(text, soon)
}

func (b *bot) awaitMessage(text string, within time.Duration) *message.Message {
	b.shop.t.Helper()
	var found *message.Message
	eventually(b.shop.t, within, "the message in REST", func(ctx context.Context) (err error) {
		if found, err = b.shop.desk.Find(ctx, b.key(), text); err == nil && found == nil {
			err = fmt.Errorf("%s has no message with the text that was sent", b.key())
		}
		return err
	})
	return found
}

// answers replies to a message and waits until the customer has seen n
// messages of the bot in all, the last of which is this one.
func (b *bot) answers(c *actors.Customer, to *message.Message, text string, n int) {
	t := b.shop.t
	t.Helper()
	_, err := b.shop.desk.Reply(t.Context(), to.Conversation, text, text)
	require.NoError(t, err)
	seen, err := c.Read(t.Context(), n, soon)
	require.NoError(t, err)
	require.Equal(t, text, seen[len(seen)-1])
}

// converse lets a customer write and be answered.
func (b *bot) converse(name string) *actors.Customer {
	b.shop.t.Helper()
	c := b.customer(name)
	received := b.receives(c, text("Hello from "+name))
	b.answers(c, received, text("Hello "+name), 1)
	return c
}

// condition checks one condition of an object that was just read.
func (s *shop) condition(obj client.Object, conditionType string, want metav1.ConditionStatus, reason string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := run.cluster.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		c := meta.FindStatusCondition(conditions(obj), conditionType)
		if c == nil || c.Status != want || (reason != "" && c.Reason != reason) {
			return fmt.Errorf("%s of %s is %+v, want %s %s", conditionType, obj.GetName(), c, want, reason)
		}
		return nil
	}
}

func conditions(obj client.Object) []metav1.Condition {
	return *obj.(interface{ GetConditions() *[]metav1.Condition }).GetConditions()
}

var residentMemory = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)

// noteMemory notes what the processes take at rest.
func (s *shop) noteMemory() {
	s.t.Helper()
	manager := map[string]string{workload.LabelComponent: "manager"}
	for _, p := range []struct {
		name, namespace string
		labels          map[string]string
		port            int
	}{
		{"operator", operatorNamespace, manager, 8082},
		{"bridge", s.namespace, workload.BridgeSelector(v1alpha1.DefaultName), workload.PortHealth},
		{"store", s.namespace, workload.StoreSelector(v1alpha1.DefaultName), workload.PortHealth},
	} {
		metrics, err := get(s.t.Context(), run.cluster.transport(p.namespace, p.labels, p.port), "/metrics")
		require.NoError(s.t, err)
		m := residentMemory.FindStringSubmatch(metrics)
		require.NotNil(s.t, m, "%s tells its memory", p.name)
		bytes, err := strconv.ParseFloat(m[1], 64)
		require.NoError(s.t, err)
		note(fmt.Sprintf("%-44s %8.1f MiB", "resident memory of the "+p.name, bytes/(1<<20)))
	}
}

// measures are the durations that the run took of something, by its name.
var (
	measuresMu sync.Mutex
	measures   = map[string][]time.Duration{}
	notes      []string
)

func note(line string) {
	measuresMu.Lock()
	defer measuresMu.Unlock()
	notes = append(notes, line)
}

func measure(name string, d time.Duration) {
	measuresMu.Lock()
	defer measuresMu.Unlock()
	measures[name] = append(measures[name], d)
}

// report prints the measures as a table.
func report(w io.Writer) {
	measuresMu.Lock()
	defer measuresMu.Unlock()
	names := make([]string, 0, len(measures))
	for name := range measures {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > 0 {
		fmt.Fprintf(w, "\n%-44s %4s %9s %9s %9s\n", "measured", "n", "p50", "p99", "max")
	}
	for _, name := range names {
		all := slices.Sorted(slices.Values(measures[name]))
		fmt.Fprintf(w, "%-44s %4d %9s %9s %9s\n", name, len(all), rank(all, 50), rank(all, 99), all[len(all)-1].Round(time.Millisecond))
	}
	for _, line := range notes {
		fmt.Fprintln(w, line)
	}
}

// rank is the nearest-rank percentile of sorted durations.
func rank(sorted []time.Duration, percent int) time.Duration {
	i := (len(sorted)*percent + 99) / 100
	return sorted[max(1, i)-1].Round(time.Millisecond)
}

// shorten keeps a text readable in a failure.
func shorten(s string) string {
	if s = strings.TrimSpace(s); len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// change reads an object, changes it and writes it, again when somebody else
// (the operator, with a finalizer or the status) was faster.
func change[T client.Object](t *testing.T, o T, what func(o T)) {
	t.Helper()
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := run.cluster.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		what(o)
		return run.cluster.Update(t.Context(), o)
	}))
}
