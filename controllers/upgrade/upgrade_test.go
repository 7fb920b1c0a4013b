package upgrade_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/upgrade"
)

const (
	former = "bridgekeeper:1"
	wanted = "bridgekeeper:2"
)

func named(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

func store(name, image string) upgrade.Workload {
	return upgrade.Workload{Key: upgrade.Key{Kind: upgrade.KindStore, Name: named(name)}, Image: image}
}

func bridge(name, image string) upgrade.Workload {
	return upgrade.Workload{Key: upgrade.Key{Kind: upgrade.KindBridge, Name: named(name)}, Image: image}
}

func rolling(w upgrade.Workload) upgrade.Workload   { w.Rolling = true; return w }
func failed(w upgrade.Workload) upgrade.Workload    { w.Rolling, w.Failed = true, true; return w }
func suspended(w upgrade.Workload) upgrade.Workload { w.Suspended = true; return w }

func TestDecide(t *testing.T) {
	me := bridge("me", former)
	done := store("main", wanted)
	tests := map[string]struct {
		me       upgrade.Workload
		others   []upgrade.Workload
		reason   string
		contains string
	}{
		"alone":                                 {me: me},
		"its store runs it":                     {me: me, others: []upgrade.Workload{done}},
		"its store does not":                    {me: me, others: []upgrade.Workload{store("main", former)}, reason: v1alpha1.ReasonWaitingForStore},
		"its store is on the way":               {me: me, others: []upgrade.Workload{rolling(done)}, reason: v1alpha1.ReasonWaitingForStore},
		"its store failed":                      {me: me, others: []upgrade.Workload{failed(done)}, reason: v1alpha1.ReasonWaitingForStore, contains: "see its conditions"},
		"its store is suspended":                {me: me, others: []upgrade.Workload{suspended(store("main", former))}, reason: v1alpha1.ReasonWaitingForStore, contains: "spec.suspend"},
		"another store does not":                {me: me, others: []upgrade.Workload{done, store("other", former)}},
		"one Bridge is on the way":              {me: me, others: []upgrade.Workload{done, rolling(bridge("a", wanted))}},
		"two are":                               {me: me, others: []upgrade.Workload{done, rolling(bridge("a", wanted)), rolling(bridge("b", wanted))}, reason: v1alpha1.ReasonWaitingForTurn},
		"two are, one is suspended":             {me: me, others: []upgrade.Workload{done, suspended(rolling(bridge("a", wanted))), rolling(bridge("b", wanted))}},
		"two stores are":                        {me: me, others: []upgrade.Workload{done, rolling(store("a", wanted)), rolling(store("b", wanted))}},
		"two are, to an image of before":        {me: me, others: []upgrade.Workload{done, rolling(bridge("a", "x")), rolling(bridge("b", "x"))}},
		"one failed":                            {me: me, others: []upgrade.Workload{done, failed(bridge("a", wanted))}, reason: v1alpha1.ReasonUpgradeHalted, contains: "RolloutFailed"},
		"another store failed":                  {me: me, others: []upgrade.Workload{done, failed(store("a", wanted))}, reason: v1alpha1.ReasonUpgradeHalted},
		"one failed and is suspended":           {me: me, others: []upgrade.Workload{done, suspended(failed(bridge("a", wanted)))}},
		"one failed with an image of before":    {me: me, others: []upgrade.Workload{done, failed(bridge("a", "x"))}},
		"on the way itself, after a failure":    {me: rolling(bridge("me", wanted)), others: []upgrade.Workload{done, failed(bridge("a", wanted))}},
		"failed itself":                         {me: failed(bridge("me", wanted)), others: []upgrade.Workload{done}},
		"new":                                   {me: bridge("me", ""), others: []upgrade.Workload{done, failed(bridge("a", wanted))}},
		"new, as its store is":                  {me: bridge("me", "")},
		"new, its store does not run it":        {me: bridge("me", ""), others: []upgrade.Workload{store("main", former)}, reason: v1alpha1.ReasonWaitingForStore, contains: "no pods"},
		"a store":                               {me: store("me", former)},
		"a store, another is on the way":        {me: store("me", former), others: []upgrade.Workload{rolling(store("a", wanted))}},
		"a store, two others are":               {me: store("me", former), others: []upgrade.Workload{rolling(store("a", wanted)), rolling(store("b", wanted))}, reason: v1alpha1.ReasonWaitingForTurn},
		"a store, a Bridge failed":              {me: store("me", former), others: []upgrade.Workload{failed(bridge("a", wanted))}, reason: v1alpha1.ReasonUpgradeHalted},
		"a store, its Bridges are of no moment": {me: store("me", former), others: []upgrade.Workload{rolling(bridge("a", wanted)), rolling(bridge("b", wanted))}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			all := append([]upgrade.Workload{tt.me}, tt.others...)
			got := upgrade.Decide(wanted, all, tt.me.Key, named("main"))
			require.Equal(t, tt.reason, got.Reason)
			require.Equal(t, tt.reason != "", got.Wait())
			require.Contains(t, got.Message, tt.contains)
			for _, o := range tt.others {
				require.NotContains(t, got.Message, `"`+o.Name.Name+`"`)
				require.NotContains(t, got.Message, o.Name.String())
			}
		})
	}
}

// A cluster is upgraded with workloads asking in any order and some failing:
// the promises hold at every step, and without failures all of it arrives.
func TestUpgradeOfACluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []upgrade.Workload
		uses := map[upgrade.Key]types.NamespacedName{}
		stores := rapid.IntRange(1, 4).Draw(t, "stores")
		for i := range stores {
			all = append(all, store(fmt.Sprint("s", i), former))
		}
		for i := range rapid.IntRange(0, 8).Draw(t, "bridges") {
			b := bridge(fmt.Sprint("b", i), former)
			uses[b.Key] = named(fmt.Sprint("s", rapid.IntRange(0, stores-1).Draw(t, "store")))
			all = append(all, b)
		}
		failing := rapid.IntRange(0, len(all)*3).Draw(t, "which fails") // mostly none
		for range 30 * len(all) {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "who")
			w := &all[i]
			switch {
			case w.Image != wanted:
				if !upgrade.Decide(wanted, all, w.Key, uses[w.Key]).Wait() {
					requireNoFailure(t, all)
					w.Image, w.Rolling = wanted, true
				}
			case w.Rolling && i == failing:
				w.Failed = true
			case w.Rolling:
				w.Rolling = false
			}
			requirePromises(t, all, uses)
		}
		if failing >= len(all) {
			// Whoever is left gets there, in whatever order they ask.
			for range 4 * len(all) {
				for i := range all {
					if !upgrade.Decide(wanted, all, all[i].Key, uses[all[i].Key]).Wait() {
						all[i].Image, all[i].Rolling = wanted, all[i].Image != wanted
					}
				}
			}
			for _, w := range all {
				require.Equal(t, wanted, w.Image)
			}
		}
	})
}

func requireNoFailure(t require.TestingT, all []upgrade.Workload) {
	for _, w := range all {
		require.False(t, w.Failed, "%s failed, and another one was begun", w.Name)
	}
}

func requirePromises(t require.TestingT, all []upgrade.Workload, uses map[upgrade.Key]types.NamespacedName) {
	under := map[upgrade.Kind]int{}
	done := map[types.NamespacedName]bool{}
	for _, w := range all {
		if w.Rolling {
			under[w.Kind]++
		}
		if w.Kind == upgrade.KindStore {
			done[w.Name] = w.Image == wanted && !w.Rolling
		}
	}
	require.LessOrEqual(t, under[upgrade.KindBridge], upgrade.AtATime)
	require.LessOrEqual(t, under[upgrade.KindStore], upgrade.AtATime)
	for _, w := range all {
		if w.Kind == upgrade.KindBridge && w.Image == wanted {
			require.True(t, done[uses[w.Key]], "Bridge %s before its store", w.Name)
		}
	}
}
