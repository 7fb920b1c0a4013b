package compile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// drawSnapshot makes few names collide often, so that claims, references
// across namespaces, recreated and deleted channels all happen.
func drawSnapshot(t *rapid.T) *Snapshot {
	namespace := rapid.SampledFrom([]string{"a", "b", "c"})
	name := rapid.SampledFrom([]string{"default", "x", "y"})
	bot := rapid.SampledFrom([]string{"1", "2", "3"})
	allow := rapid.SampledFrom([]*v1alpha1.AllowedNamespaces{
		nil, {From: v1alpha1.FromAll}, {From: v1alpha1.FromSame}, selectNamespaces(map[string]string{"team": "desk"}),
	})
	ref := rapid.Custom(func(t *rapid.T) *v1alpha1.ObjectReference {
		if rapid.Bool().Draw(t, "default ref") {
			return nil
		}
		return &v1alpha1.ObjectReference{Name: name.Draw(t, "ref name"), Namespace: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "ref ns")}
	})
	s := &Snapshot{Namespaces: map[string]map[string]string{"b": {"team": "desk"}}}
	seen := map[string]bool{}
	fresh := func(kind, ns, n string) bool {
		k := kind + ns + n
		defer func() { seen[k] = true }()
		return !seen[k]
	}
	for range rapid.IntRange(0, 4).Draw(t, "stores") {
		if o := newStore(namespace.Draw(t, "ns"), name.Draw(t, "name")); fresh("s", o.Namespace, o.Name) {
			o.Spec.AllowedBridges = allow.Draw(t, "allow")
			s.Stores = append(s.Stores, o)
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "bridges") {
		if o := newBridge(namespace.Draw(t, "ns"), name.Draw(t, "name")); fresh("b", o.Namespace, o.Name) {
			o.Spec.AllowedChannels, o.Spec.StoreRef = allow.Draw(t, "allow"), ref.Draw(t, "store")
			if rapid.Bool().Draw(t, "no URL") {
				o.Spec.PublicURL = ""
			}
			s.Bridges = append(s.Bridges, o)
		}
	}
	for range rapid.IntRange(0, 8).Draw(t, "channels") {
		o := newChannel(namespace.Draw(t, "ns"), name.Draw(t, "name"), bot.Draw(t, "bot"))
		if !fresh("c", o.Namespace, o.Name) {
			continue
		}
		o.Spec.BridgeRef = ref.Draw(t, "bridge")
		o.CreationTimestamp = metav1.NewTime(start.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "age")) * time.Hour))
		if rapid.IntRange(0, 3).Draw(t, "campaigns of all") == 0 {
			o.Spec.AllowedCampaigns = []v1alpha1.AllowedCampaigns{{Namespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}}}
		}
		if rapid.Bool().Draw(t, "accepted") {
			o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue}}
		}
		if rapid.IntRange(0, 4).Draw(t, "deleting") == 0 {
			remove(o)
		}
		s.Channels = append(s.Channels, o)
		fill := rapid.SampledFrom([]rune{'a', 'b', 'c'}).Draw(t, "secret value")
		secret := newSecret(o.Namespace, o.Name, token(o.Spec.Telegram.BotID, fill)+o.Namespace+o.Name)
		if rapid.IntRange(0, 5).Draw(t, "unlabelled") == 0 {
			secret.Labels = nil
		}
		s.Secrets = append(s.Secrets, secret)
	}
	drawRouting(t, s, fresh, namespace, ref)
	drawCampaigns(t, s, fresh, namespace, ref)
	return s
}

// drawRouting adds routing's resources, of which many names lead nowhere.
func drawRouting(t *rapid.T, s *Snapshot, fresh func(kind, ns, n string) bool, namespace *rapid.Generator[string], ref *rapid.Generator[*v1alpha1.ObjectReference]) {
	name := rapid.SampledFrom([]string{"x", "y"})
	for range rapid.IntRange(0, 2).Draw(t, "schedules") {
		if o := newSchedule(namespace.Draw(t, "ns"), name.Draw(t, "name")); fresh("h", o.Namespace, o.Name) {
			if rapid.IntRange(0, 3).Draw(t, "invalid") == 0 {
				o.Spec.Weekly = nil
			}
			s.Schedules = append(s.Schedules, o)
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "queues") {
		if o := newQueue(namespace.Draw(t, "ns"), name.Draw(t, "name")); fresh("q", o.Namespace, o.Name) {
			o.Spec.StoreRef, o.Spec.Suspend = ref.Draw(t, "store"), rapid.IntRange(0, 5).Draw(t, "suspended") == 0
			if rapid.Bool().Draw(t, "schedule") {
				o.Spec.ScheduleRef = &v1alpha1.LocalReference{Name: name.Draw(t, "schedule name")}
			}
			s.AgentQueues = append(s.AgentQueues, o)
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "bots") {
		if o := newBot(namespace.Draw(t, "ns"), name.Draw(t, "name")); fresh("o", o.Namespace, o.Name) {
			o.Spec.StoreRef = ref.Draw(t, "store")
			s.Bots = append(s.Bots, o)
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "policies") {
		o := newPolicy(namespace.Draw(t, "ns"), name.Draw(t, "name"), int32(rapid.IntRange(0, 1).Draw(t, "priority")))
		if !fresh("p", o.Namespace, o.Name) {
			continue
		}
		o.Spec.Rules = []v1alpha1.RoutingRule{rule("r", step("s", toQueue(name.Draw(t, "queue")), backend(v1alpha1.BackendBot, name.Draw(t, "bot"))))}
		o.Spec.DefaultRoute.BackendRefs[0].Name = name.Draw(t, "default")
		o.Spec.ParentRefs = nil
		if r := ref.Draw(t, "parent"); r != nil {
			o.Spec.ParentRefs = []v1alpha1.ObjectReference{*r}
		}
		if rapid.Bool().Draw(t, "selector") {
			o.Spec.ChannelSelector = &v1alpha1.LabelSelector{}
		}
		s.Policies = append(s.Policies, o)
	}
}

// What a Channel's policies name is in its store's document, or the Channel is
// not routed by it: a store never decides by what it does not have. And no
// policy is attached that the Channel does not let in.
func TestAttachedPoliciesAreWholeAndPermitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		r := Compile(s, testOptions(), start)
		for store, st := range r.Stores {
			for _, e := range st.Document.Entries {
				if e.Kind != document.EntryChannel {
					continue
				}
				var ch document.StoreChannel
				require.NoError(t, json.Unmarshal(e.Spec, &ch))
				require.True(t, slices.IsSortedFunc(ch.Policies, func(a, b string) int {
					return byPriority(t, st.Document, a, b)
				}), "%v", ch.Policies)
				for _, policy := range ch.Policies {
					entry, there := st.Document.Find(document.EntryRoutingPolicy, policy)
					require.True(t, there, "%s of %s is in the document of %s", policy, e.Name, store)
					require.Equal(t, parseKey(e.Name).Namespace, parseKey(policy).Namespace, "nobody here lets others in")
					spec := decodeSpec[routing.Policy](&entry)
					def, there := st.Document.Find(document.EntryAgentQueue, spec.DefaultRoute.BackendRefs[0].Name)
					require.True(t, there, "its default route works")
					if queue := decodeSpec[routing.QueueSpec](&def); queue.Schedule != "" {
						_, known := st.Document.Find(document.EntrySchedule, queue.Schedule)
						state := r.Schedules[parseKey(queue.Schedule)]
						require.Equal(t, state != nil && (state.Schedule != nil || known), known, "the Schedules that are used are there")
					}
				}
			}
		}
	})
}

func byPriority(t require.TestingT, doc *document.Document, a, b string) int {
	priority := func(name string) int {
		e, found := doc.Find(document.EntryRoutingPolicy, name)
		require.True(t, found)
		return decodeSpec[routing.Policy](&e).Priority
	}
	return cmp.Or(priority(b)-priority(a), strings.Compare(a, b))
}

// drawWorld is a snapshot with the documents of an earlier one before it.
func drawWorld(t *rapid.T) *Snapshot {
	earlier := Compile(drawSnapshot(t), testOptions(), start)
	s := drawSnapshot(t)
	s.PreviousBridges, s.PreviousStores = map[Key]*document.Document{}, map[Key]*document.Document{}
	for k, b := range earlier.Bridges {
		if b.Document != nil {
			s.PreviousBridges[k] = reread(t, b.Document)
		}
	}
	for k, st := range earlier.Stores {
		if st.Document != nil {
			s.PreviousStores[k] = reread(t, st.Document)
		}
	}
	return s
}

func TestOrderOfListsIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		want := mustJSON(flat(Compile(s, testOptions(), start)))
		shuffled := *s
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) //nolint:gosec // a shuffle
		shuffled.Stores, shuffled.Bridges = slices.Clone(s.Stores), slices.Clone(s.Bridges)
		shuffled.Channels, shuffled.Secrets = slices.Clone(s.Channels), slices.Clone(s.Secrets)
		shuffled.AgentQueues, shuffled.Policies = slices.Clone(s.AgentQueues), slices.Clone(s.Policies)
		slices.Reverse(shuffled.AgentQueues)
		slices.Reverse(shuffled.Policies)
		shuffled.Campaigns = slices.Clone(s.Campaigns)
		slices.Reverse(shuffled.Campaigns)
		rng.Shuffle(len(s.Stores), func(i, j int) {
			shuffled.Stores[i], shuffled.Stores[j] = shuffled.Stores[j], shuffled.Stores[i]
		})
		rng.Shuffle(len(s.Bridges), func(i, j int) {
			shuffled.Bridges[i], shuffled.Bridges[j] = shuffled.Bridges[j], shuffled.Bridges[i]
		})
		rng.Shuffle(len(s.Channels), func(i, j int) {
			shuffled.Channels[i], shuffled.Channels[j] = shuffled.Channels[j], shuffled.Channels[i]
		})
		rng.Shuffle(len(s.Secrets), func(i, j int) {
			shuffled.Secrets[i], shuffled.Secrets[j] = shuffled.Secrets[j], shuffled.Secrets[i]
		})
		require.JSONEq(t, string(want), string(mustJSON(flat(Compile(&shuffled, testOptions(), start)))))
	})
}

// flat gives JSON the keys that it takes.
func flat(r *Result) map[string]any {
	out := map[string]any{"defaults": r.CreateDefaults, "next": r.NextChange}
	for k, v := range r.Stores {
		out["store "+k.String()] = v
	}
	for k, v := range r.Bridges {
		out["bridge "+k.String()] = v
	}
	for k, v := range r.Channels {
		out["channel "+k.String()] = v
	}
	for k, v := range r.Schedules {
		out["schedule "+k.String()] = v
	}
	for k, v := range r.AgentQueues {
		out["queue "+k.String()] = v
	}
	for k, v := range r.Bots {
		out["bot "+k.String()] = v
	}
	for k, v := range r.Policies {
		out["policy "+k.String()] = v
	}
	for k, v := range r.Campaigns {
		out["campaign "+k.String()] = v
	}
	return out
}

func TestCompileDoesNotChangeItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		before := mustJSON([]any{s.Stores, s.Bridges, s.Channels, s.Secrets, s.Schedules, s.AgentQueues, s.Bots, s.Policies, s.Campaigns})
		Compile(s, testOptions(), start)
		require.JSONEq(t, string(before), string(mustJSON([]any{s.Stores, s.Bridges, s.Channels, s.Secrets, s.Schedules, s.AgentQueues, s.Bots, s.Policies, s.Campaigns})))
	})
}

func TestAnAccountIsServedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Compile(drawWorld(t), testOptions(), start)
		inBridges, inStores := map[string]string{}, map[string]string{}
		for k, b := range r.Bridges {
			if b.Document == nil {
				continue
			}
			for _, e := range b.Document.Entries {
				var ch struct{ Platform, Account string }
				require.NoError(t, json.Unmarshal(e.Spec, &ch))
				account := ch.Platform + ch.Account
				require.Empty(t, inBridges[account], "%s is in %s already", e.Key(), inBridges[account])
				inBridges[account] = k.String() + " " + e.Key()
			}
		}
		for k, st := range r.Stores {
			for _, e := range st.Document.Entries {
				var ch document.StoreChannel
				if e.Kind != document.EntryChannel || json.Unmarshal(e.Spec, &ch) != nil || ch.Deleting {
					continue
				}
				account := ch.Platform + ch.Account
				require.Empty(t, inStores[account])
				inStores[account] = k.String() + " " + e.Key()
			}
		}
	})
}

func TestCredentialsStayOnTheirBridge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		r := Compile(s, testOptions(), start)
		for k, b := range r.Bridges {
			if b.Document == nil {
				continue
			}
			for _, e := range b.Document.Entries {
				ns, name, _ := strings.Cut(e.Name, "/")
				require.Equal(t, k, r.Channels[key(ns, name)].Bridge)
				require.NotContains(t, otherSecrets(s, key(ns, name), string(e.Spec)), true)
			}
		}
		for _, st := range r.Stores {
			for _, e := range st.Document.Entries {
				require.NotContains(t, string(e.Spec), ":aaa", "no credential is in a store's document")
			}
		}
	})
}

// otherSecrets says, for every Secret of another channel, whether its value is in text.
func otherSecrets(s *Snapshot, own Key, text string) []bool {
	var found []bool
	for _, secret := range s.Secrets {
		if keyOf(secret) != own {
			found = append(found, strings.Contains(text, `"`+string(secret.Data["token"])+`"`))
		}
	}
	return found
}

func TestRecompilingSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		first := Compile(s, testOptions(), start)
		for k, b := range first.Bridges {
			if b.Document != nil {
				s.PreviousBridges[k] = reread(t, b.Document)
			}
		}
		for k, st := range first.Stores {
			s.PreviousStores[k] = reread(t, st.Document)
		}
		second := Compile(s, testOptions(), start.Add(time.Minute))
		for k, b := range second.Bridges {
			if b.Document != nil {
				require.False(t, Changed(b.Document, s.PreviousBridges[k]), "bridge %s does not settle", k)
			}
		}
		for k, st := range second.Stores {
			require.False(t, Changed(st.Document, s.PreviousStores[k]), "store %s does not settle", k)
		}
	})
}

// many is a bridge with n channels, written and registered.
func many(tb testing.TB, n int) *Snapshot {
	s := &Snapshot{
		Stores:  []*v1alpha1.ConversationStore{newStore("shop", "default")},
		Bridges: []*v1alpha1.Bridge{newBridge("shop", "default")},
	}
	for i := range n {
		name, bot := fmt.Sprintf("bot-%05d", i), fmt.Sprint(1_000_000+i)
		ch := newChannel("shop", name, bot)
		ch.Spec.Telegram.Profile = &v1alpha1.TelegramProfile{Commands: []v1alpha1.TelegramCommand{
			{Command: "help", Description: "What this bot can do"}, {Command: "order", Description: "Where your order is"},
		}}
		s.Channels = append(s.Channels, ch)
		s.Secrets = append(s.Secrets, newSecret("shop", name, token(bot, 'a')))
	}
	opts := testOptions()
	opts.RegisterAtOnce = true // as they stand once every pod has confirmed them
	r := Compile(s, opts, start)
	s.PreviousBridges = map[Key]*document.Document{shopDefault: reread(tb.(require.TestingT), r.Bridges[shopDefault].Document)} //nolint:forcetypeassert // it is one
	s.PreviousStores = map[Key]*document.Document{shopDefault: reread(tb.(require.TestingT), r.Stores[shopDefault].Document)}   //nolint:forcetypeassert // it is one
	return s
}

func TestOneChangeTouchesOneShard(t *testing.T) {
	s := many(t, 10_000)
	before := s.PreviousBridges[shopDefault]
	require.Greater(t, len(before.Shards), 4)
	s.Channels[4711].Spec.Suspend, s.Channels[4711].Generation = true, 2
	r := Compile(s, testOptions(), start)
	doc := r.Bridges[shopDefault].Document
	require.True(t, Changed(doc, before))
	files, f := Encode(doc, before)
	require.Nil(t, f)
	was, err := document.Encode(before, len(before.Shards))
	require.NoError(t, err)
	var touched []int
	for i := range files {
		if string(files[i]) != string(was[i]) {
			touched = append(touched, i)
		}
	}
	home := document.ShardOf("Channel/shop/bot-04711", len(files))
	require.Equal(t, slices.Compact([]int{0, home}), touched)
}

func BenchmarkCompile10000(b *testing.B) {
	s := many(b, 10_000)
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			Compile(s, testOptions(), start)
		}
	})
	b.Run("first", func(b *testing.B) {
		first := *s
		first.PreviousBridges, first.PreviousStores = nil, nil
		for b.Loop() {
			Compile(&first, testOptions(), start)
		}
	})
	b.Run("routed", func(b *testing.B) {
		// Twenty policies with an expression in each of eight rules, on all Channels.
		routed := *s
		routed.AgentQueues = []*v1alpha1.AgentQueue{newQueue("shop", "general")}
		for i := range 20 {
			p := newPolicy("shop", fmt.Sprintf("p%d", i), int32(i)) //nolint:gosec // small
			p.Spec.ParentRefs, p.Spec.ChannelSelector = nil, &v1alpha1.LabelSelector{}
			for j := range 8 {
				r := rule(fmt.Sprintf("r%d", j), step("s", toQueue("general")))
				r.Matches = []v1alpha1.RoutingMatch{{Expression: fmt.Sprintf(`contact.attributes.?tier.orValue("") == "%d-%d"`, i, j)}}
				p.Spec.Rules = append(p.Spec.Rules, r)
			}
			routed.Policies = append(routed.Policies, p)
		}
		opts := testOptions()
		opts.Programs = &Programs{}
		for b.Loop() {
			Compile(&routed, opts, start)
		}
	})
	b.Run("changed", func(b *testing.B) {
		doc := Compile(s, testOptions(), start).Bridges[shopDefault].Document
		for b.Loop() {
			Changed(doc, s.PreviousBridges[shopDefault])
		}
	})
	b.Run("encode", func(b *testing.B) {
		doc := Compile(s, testOptions(), start).Bridges[shopDefault].Document
		for b.Loop() {
			Encode(doc, s.PreviousBridges[shopDefault])
		}
	})
}
