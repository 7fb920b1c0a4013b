package routing

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Every conversation has somewhere to go, and the decision says where.
func TestEveryConversationGoesSomewhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		f := drawFacts(t, p)
		d := Decide(p, f)
		switch d.Action {
		case ActionReturn:
			require.Equal(t, f.Agent.ID, d.Target.Agent)
			require.NotEmpty(t, d.Target.Agent)
		case ActionClose:
			require.Equal(t, ExhaustedClose, p.rule(d.Rule).spec.OnExhausted)
		case ActionHold:
			require.Equal(t, BackendAgentQueue, d.Target.Kind, "only a queue can hold")
			require.Zero(t, d.Timeout)
		case ActionRoute:
			require.NotEmpty(t, d.Target.Name)
			require.NotNil(t, p.step(d.Rule, d.Step))
		default:
			t.Fatalf("action %q", d.Action)
		}
		if d.Target.Kind == BackendBot {
			require.False(t, f.Bots[d.Target.Name].Failing, "a failing bot gets nothing")
			require.False(t, f.Event == EventHandoffRequested && f.Conversation.Bot == d.Target.Name, "a bot does not get back what it hands off")
			require.Empty(t, d.Reply, "a bot speaks for itself")
		}
	})
}

// Replay is exact: with a trace, from the archive, and from facts that were kept
// as JSON.
func TestReplayIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		f := drawFacts(t, p)
		d := Decide(p, f)

		kept, err := json.Marshal(f)
		require.NoError(t, err)
		keptDecision, err := json.Marshal(d)
		require.NoError(t, err)
		facts, found := ParseFacts(kept)
		require.Empty(t, found)
		var decision Decision
		require.NoError(t, json.Unmarshal(keptDecision, &decision))
		archived, err := FromArchive(p.Archive())
		require.NoError(t, err)
		require.Equal(t, p.Hash(), archived.Hash())

		e := Explain(archived, &facts, decision)
		require.True(t, e.Exact, "%v", e.Differences)
		require.Equal(t, d, e.Decision)
		require.NotEmpty(t, e.String())
		require.Len(t, e.Rules, len(p.policy.Rules))

		decision.Slot++
		require.False(t, Explain(archived, &facts, decision).Exact)
	})
}

// "Shadowed" is a proof: such a rule never decides.
func TestShadowedRulesNeverMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		for range 20 {
			f := drawFacts(t, p)
			f.Event, f.Conversation.StepChanges = EventOpened, 0
			d := Decide(p, f)
			i := slices.IndexFunc(p.Rules(), func(s RuleState) bool { return s.Name == d.Rule })
			require.False(t, i >= 0 && p.Rules()[i].State == RuleShadowed, "%s is called shadowed", d.Rule)
		}
	})
}

// However long it takes, steps come to an end.
func TestStepsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		f := drawFacts(t, p)
		f.Event, f.Conversation.StepChanges = EventOpened, 0
		d := Decide(p, f)
		for range MaxSteps {
			if d.Action != ActionRoute || d.Step == defaultName {
				return
			}
			f.Event, f.Position = EventStepExpired, d.Position()
			d = Decide(p, f)
		}
		t.Fatalf("still at %s/%s", d.Rule, d.Step)
	})
}

func TestDecideDoesNotChangeFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		f := drawFacts(t, p)
		before, err := json.Marshal(f)
		require.NoError(t, err)
		Decide(p, f)
		after, err := json.Marshal(f)
		require.NoError(t, err)
		require.Equal(t, string(before), string(after))
	})
}

// A chain's decision is that of one of its programs, and a rule beats a default.
func TestChainAgreesWithItsPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var programs []*Program
		for i := range rapid.IntRange(1, 3).Draw(t, "policies") {
			policy := drawPolicy(t)
			policy.Name += string(rune('a' + i))
			p, _ := Compile(policy, AssumeRefs(policy))
			require.NotNil(t, p)
			programs = append(programs, p)
		}
		f := drawFacts(t, rapid.SampledFrom(programs).Draw(t, "in"))
		chain := NewChain(programs...)
		d, ok := chain.Decide(f)
		require.True(t, ok)
		ordered := chain.Programs()
		i := slices.IndexFunc(ordered, func(p *Program) bool { return p.Hash() == d.Hash })
		require.Equal(t, Decide(ordered[i], f), d)
		if d.Via == ViaDefault {
			require.Zero(t, i, "the default route is that of the first")
			for _, p := range ordered {
				require.NotEqual(t, ViaRule, Decide(p, f).Via)
			}
		}
		slices.Reverse(programs)
		again, _ := NewChain(programs...).Decide(f)
		require.Equal(t, d, again, "the order of construction does not count")
	})
}

func FuzzParsePolicy(f *testing.F) {
	for _, name := range []string{"shop", "telecom", "rollout"} {
		data, err := json.Marshal(readPolicy(f, name))
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"name":"a/b","rules":[{"name":"x","steps":[{"name":"s","next":"s"}]}],"defaultRoute":{"backendRefs":[{"kind":"AgentQueue","name":"q","weight":-1}]}}`))
	f.Add([]byte(`{"rules":[{"matches":[{"expression":"[1,2,3].all(x, x > 0)"}]}]} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		policy, found := ParsePolicy(data)
		if len(found) > 0 {
			return
		}
		p, found := Compile(policy, AssumeRefs(policy))
		if (p == nil) != Rejected(found) {
			t.Fatalf("a program or a rejection, not both: %v", found)
		}
		if p == nil {
			return
		}
		facts := Facts{Now: base, Event: EventOpened, Contact: ContactFacts{ID: "c"}}
		d := Decide(p, &facts)
		if !Explain(p, &facts, d).Exact {
			t.Fatal("the replay differs")
		}
	})
}

func FuzzParseFacts(f *testing.F) {
	f.Add([]byte(`{"now":"2026-11-23T10:00:00Z","event":"Opened","contact":{"id":"c","attributes":{"tier":"gold"}},"conversation":{"id":"x"},"message":{"text":"refund ` + "\xff\xfe" + `"},"language":{"code":"de_AT"}}`))
	f.Add([]byte(`{"event":"Reopened","agent":{"id":"ana","online":true}}`))
	shop := compileAlone(f, readPolicy(f, "shop"))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, found := ParseFacts(data)
		if len(found) > 0 {
			return
		}
		d := Decide(shop, &facts)
		if e := Explain(shop, &facts, d); !e.Exact {
			t.Fatalf("the replay differs: %v", e.Differences)
		}
	})
}
