package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerRouting() {
	explain := operation(http.MethodGet, "/v1/conversations/{id}/routing", "explain-conversation", "Conversations",
		"Where a conversation is in its policies, and why", document.AccessRead, 404)
	explain.Description = "The decisions about a conversation, the latest first, each with the facts that it was made of. The explanation is found by replaying the decision: " +
		"by the version of the policy that made it, on those facts. exact says that the replay gives the very same decision. Needs access read."
	huma.Register(a.huma, explain, a.explain)
	huma.Register(a.huma, operation(http.MethodPut, "/v1/contacts/{id}/attributes", "set-contact-attributes", "Contacts",
		"Replace the attributes of a contact that rules go by", document.AccessWrite, 400, 404, 409, 413), a.setAttributes)
}

// Routing is where a conversation is, with the decisions that brought it there.
type Routing struct {
	Position  *RoutingPosition  `json:"position,omitempty" doc:"Absent: it was never routed."`
	Priority  string            `json:"priority,omitempty" enum:"Low,Normal,High,Urgent"`
	Labels    map[string]string `json:"labels,omitempty"`
	Topics    []string          `json:"topics,omitempty"`
	Decisions []RoutingDecision `json:"decisions" nullable:"false" doc:"The latest first."`
	Next      string            `json:"next,omitempty" doc:"Cursor of the next page."`
}

// RoutingPosition is a place in a policy.
type RoutingPosition struct {
	Policy    string     `json:"policy" doc:"namespace/name"`
	Hash      string     `json:"hash" doc:"Of that version of it."`
	Rule      string     `json:"rule,omitempty" doc:"Absent: none matched."`
	Step      string     `json:"step,omitempty" doc:"\"default\" is the default route."`
	Queue     string     `json:"queue,omitempty" doc:"In which it waits, or waited."`
	EnteredAt time.Time  `json:"enteredAt"`
	Until     *time.Time `json:"until,omitempty" doc:"When the step ends. Absent: it lasts, or somebody has the conversation by now."`
	Asking    bool       `json:"asking,omitempty" doc:"A webhook is being asked who gets it."`
}

// RoutingDecision is one decision, with its facts and reasons.
type RoutingDecision struct {
	ID          string               `json:"id"`
	At          time.Time            `json:"at"`
	Shadow      bool                 `json:"shadow,omitempty" doc:"Of a policy in mode Shadow: nothing was done."`
	Reason      string               `json:"reason,omitempty" doc:"Why the event came: of a bot's handover (Requested, Keyword, NotUnderstood, MaxTurns, Failure, or its own), of a step that failed."`
	Decision    routing.Decision     `json:"decision"`
	Exact       bool                 `json:"exact" doc:"The replay gives this very decision."`
	Note        string               `json:"note,omitempty" doc:"Why it could not be replayed exactly."`
	Explanation *routing.Explanation `json:"explanation,omitempty"`
	Facts       routing.Facts        `json:"facts"`
	Answer      json.RawMessage      `json:"answer,omitempty" doc:"What the webhook said that was asked."`
}

func viewRouting(r store.Routing) Routing {
	out := Routing{Priority: string(r.Priority), Labels: r.Labels, Topics: r.Topics, Decisions: viewAll(r.Decisions.Items, viewDecision), Next: r.Decisions.Next}
	if p := r.Position; p != nil {
		out.Position = &RoutingPosition{Policy: p.Policy, Hash: p.Hash, Rule: p.Rule, Step: p.Step, Queue: p.Queue, EnteredAt: r.EnteredAt, Until: r.Until, Asking: r.Asking}
	}
	return out
}

func viewDecision(d store.RoutingDecision) RoutingDecision {
	return RoutingDecision{ID: d.ID, At: d.At, Shadow: d.Shadow, Reason: d.Reason, Decision: d.Decision, Exact: d.Exact, Note: d.Note, Explanation: d.Explanation, Facts: d.Facts, Answer: d.Answer}
}

type explainInput struct {
	IDParam
	PageParams
}

func (a *API) explain(ctx context.Context, in *explainInput) (*output[Routing], error) {
	r, err := a.engine.Routing(ctx, scopeOf(ctx), in.ID, in.query())
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Routing]{viewRouting(r)}, nil
}

type setAttributesInput struct {
	IDParam
	KeyParam
	Body struct {
		Attributes map[string]string `json:"attributes" doc:"All of them: what is not named here is removed. At most 64, of 256 bytes each."`
	}
}

func (a *API) setAttributes(ctx context.Context, in *setAttributesInput) (*output[Contact], error) {
	c, err := a.engine.SetAttributes(ctx, in.scope(ctx, "attributes", in.ID, in.Body), in.ID, in.Body.Attributes)
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[Contact]{viewContact(c)}, nil
}
