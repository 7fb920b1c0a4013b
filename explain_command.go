package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/standalone"
)

// explainFlags are the flags of "bridgekeeper explain".
type explainFlags struct {
	files                            []string
	facts, policy, namespace, output string
}

func newExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain -f POLICY --facts FACTS",
		Short: "Say where a RoutingPolicy sends a conversation, and why",
		Long: `Explain decides as the store would, on facts from a file, and says rule by rule and
step by step why. It needs no cluster.

The policy is a RoutingPolicy manifest; beside it (in the same file or folder, or in
another -f) there can be the AgentQueues and Schedules that it names: then their
hours count. What is not there is taken to exist. The policy in the form of a store
document, or of its archive, is taken as well.

The facts are the JSON of a decision's facts, or a whole decision, as
GET /v1/conversations/{id}/routing returns them: then it is also said whether this
policy decides the same. "@" as position.hash stands for the policy's own.`,
		Example: `  bridgekeeper explain -f config/samples/routing-shop --facts config/samples/routing-shop/facts/vip-known-agent.json
  curl … /v1/conversations/01J…/routing | jq '.decisions[0]' | bridgekeeper explain -f policy.yaml --facts - -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runExplain(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.files, "filename", "f", nil, "file or folder (with or without a kustomization) of the policy; may be repeated")
	flags.StringVar(&f.facts, "facts", "", "file of the facts, or - for the standard input")
	flags.StringVar(&f.policy, "policy", "", "name or namespace/name of the policy, where there are several")
	flags.StringVarP(&f.namespace, "namespace", "n", "default", "namespace of objects that name none")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
	for _, required := range []string{"filename", "facts"} {
		_ = cmd.MarkFlagRequired(required) // fails only for a flag that does not exist
	}
	return cmd
}

// explained is what -o json prints.
type explained struct {
	Findings    []routing.Finding   `json:"findings,omitempty"`
	Explanation routing.Explanation `json:"explanation"`
}

func runExplain(in io.Reader, out, problems io.Writer, f explainFlags) error {
	if f.output != "text" && f.output != "json" {
		return fmt.Errorf("-o %q: use text or json", f.output)
	}
	facts, recorded, err := readFacts(in, f.facts)
	if err != nil {
		return err
	}
	if f.policy == "" && recorded != nil {
		f.policy = recorded.Policy
	}
	program, found, err := readProgram(f)
	if err != nil {
		return err
	}
	if f.output == "text" {
		for _, finding := range found {
			fmt.Fprintf(problems, "%s (%s)\n", finding, finding.Effect)
		}
	}
	if program == nil {
		return errors.New("the policy is rejected, and would not come into force")
	}
	result := explained{Findings: found, Explanation: explainWith(program, facts, recorded)}
	if f.output == "text" {
		_, err = fmt.Fprint(out, result.Explanation)
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}

// explainWith completes facts that stand for a moment, not those of a decision that
// was made: these are what they were.
func explainWith(p *routing.Program, facts routing.Facts, recorded *routing.Decision) routing.Explanation {
	if facts.Position.Hash == "@" {
		facts.Position.Hash = p.Hash()
	}
	if recorded != nil {
		return routing.Explain(p, &facts, *recorded)
	}
	for name, state := range p.ScheduleFacts(facts.Now) {
		if _, told := facts.Schedules[name]; told {
			continue
		}
		if facts.Schedules == nil {
			facts.Schedules = map[string]routing.ScheduleFacts{}
		}
		facts.Schedules[name] = state
	}
	return routing.Explain(p, &facts, routing.Decide(p, &facts))
}

// readFacts reads facts, or a decision with its facts.
func readFacts(in io.Reader, path string) (routing.Facts, *routing.Decision, error) {
	content, err := readAll(in, path)
	if err != nil {
		return routing.Facts{}, nil, fmt.Errorf("--facts: %w", err)
	}
	var whole struct {
		Facts    json.RawMessage   `json:"facts"`
		Decision *routing.Decision `json:"decision"`
	}
	if err := json.Unmarshal(content, &whole); err == nil && whole.Facts != nil {
		content = whole.Facts
	} else {
		whole.Decision = nil
	}
	facts, found := routing.ParseFacts(content)
	if len(found) > 0 {
		return facts, nil, fmt.Errorf("--facts %s: %s", path, joinFindings(found))
	}
	if facts.Now.IsZero() || facts.Event == "" {
		return facts, nil, fmt.Errorf("--facts %s: now and event are needed: when the decision is made, and whether the conversation is Opened, Reopened, …; config/samples/routing-shop/facts has examples", path)
	}
	return facts, whole.Decision, nil
}

func readAll(in io.Reader, path string) ([]byte, error) {
	if path == standalone.Stdin {
		return io.ReadAll(in)
	}
	return os.ReadFile(path)
}

func joinFindings(found []routing.Finding) string {
	list := make([]string, len(found))
	for i, f := range found {
		list[i] = f.String()
	}
	return strings.Join(list, "; ")
}

// readProgram compiles the policy that is meant.
func readProgram(f explainFlags) (*routing.Program, []routing.Finding, error) {
	if len(f.files) == 1 {
		if program, found, ok, err := readBare(f.files[0]); ok || err != nil {
			return program, found, err
		}
	}
	m, err := standalone.Source{Paths: f.files, Namespace: f.namespace}.Objects()
	if err != nil {
		return nil, nil, err
	}
	chosen, err := choosePolicy(m.Routing.Policies, f)
	if err != nil {
		return nil, nil, err
	}
	policy := compile.PolicySpec(chosen)
	refs, err := refsOf(policy, m.Routing)
	if err != nil {
		return nil, nil, err
	}
	program, found := routing.Compile(policy, refs)
	return program, found, nil
}

// readBare reads a policy that is no manifest: an entry of a store document, or an archive.
func readBare(path string) (program *routing.Program, found []routing.Finding, ok bool, err error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return nil, nil, false, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, false, err
	}
	content, err = yaml.YAMLToJSON(content)
	var shape struct {
		Kind         string          `json:"kind"`
		Format       int             `json:"format"`
		DefaultRoute json.RawMessage `json:"defaultRoute"`
	}
	if err != nil || json.Unmarshal(content, &shape) != nil || shape.Kind != "" || shape.Format == 0 && shape.DefaultRoute == nil {
		return nil, nil, false, nil //nolint:nilerr // it is for the reader of manifests to say what is wrong
	}
	if shape.Format != 0 {
		program, err = routing.FromArchive(content)
		return program, nil, true, err
	}
	policy, found := routing.ParsePolicy(content)
	if len(found) == 0 {
		program, found = routing.Compile(policy, routing.AssumeRefs(policy))
	}
	return program, found, true, nil
}

func choosePolicy(policies []*v1alpha1.RoutingPolicy, f explainFlags) (*v1alpha1.RoutingPolicy, error) {
	var names []string
	var chosen []*v1alpha1.RoutingPolicy
	for _, p := range policies {
		name := p.Namespace + "/" + p.Name
		names = append(names, name)
		if f.policy == "" || f.policy == name || f.policy == p.Name {
			chosen = append(chosen, p)
		}
	}
	slices.Sort(names)
	switch {
	case len(policies) == 0:
		return nil, fmt.Errorf("%s: no RoutingPolicy there", strings.Join(f.files, ", "))
	case len(chosen) == 0:
		return nil, fmt.Errorf("there is no RoutingPolicy %q; there are %s", f.policy, strings.Join(names, ", "))
	case len(chosen) > 1:
		return nil, fmt.Errorf("there are several RoutingPolicies: name one with --policy: %s", strings.Join(names, ", "))
	}
	return chosen[0], nil
}

// refsOf takes everything that a policy names to exist, with the hours of the
// queues and schedules that are there.
func refsOf(policy routing.Policy, known standalone.Routing) (routing.Refs, error) {
	refs := routing.AssumeRefs(policy)
	for _, q := range known.Queues {
		spec := compile.QueueSpec(q)
		if _, named := refs.Queues[spec.Name]; named {
			refs.Queues[spec.Name] = routing.QueueRef{Schedule: spec.Schedule}
		}
	}
	for _, s := range known.Schedules {
		name := cmp.Or(s.Namespace, "default") + "/" + s.Name
		compiled, err := schedule.Compile(compile.ScheduleSpec(s))
		if err != nil {
			return refs, fmt.Errorf("schedule %s: %w", name, err)
		}
		refs.Schedules[name] = compiled
	}
	return refs, nil
}
