package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerAgents() {
	const tag, one = "Agents", "/v1/agents/{id}"
	huma.Register(a.huma, operation(http.MethodGet, "/v1/agents", "list-agents", tag,
		"Agents in the order they were made", document.AccessRead), a.listAgents)
	huma.Register(a.huma, operation(http.MethodGet, one, "get-agent", tag, "One agent", document.AccessRead, 404), a.getAgent)
	create := operation(http.MethodPost, "/v1/agents", "create-agent", tag, "Make an agent", document.AccessWrite, 400, 409, 413)
	create.DefaultStatus = http.StatusCreated
	create.Description = "They are offline until their first heartbeat, and work in the AgentQueues of their namespace that select them. Needs access write."
	huma.Register(a.huma, create, a.createAgent)
	update := operation(http.MethodPut, one, "update-agent", tag, "Replace what is said of an agent", document.AccessWrite, 400, 404, 409, 413)
	update.Description = "What they have stays theirs. Needs access write."
	huma.Register(a.huma, update, a.updateAgent)
	remove := operation(http.MethodDelete, one, "delete-agent", tag, "Remove an agent", document.AccessWrite, 404)
	remove.DefaultStatus = http.StatusNoContent
	remove.Description = "What they have goes back to the queues that it came from, or to whom its policies say. Needs access write."
	huma.Register(a.huma, remove, a.deleteAgent)
	heartbeat := operation(http.MethodPost, one+":heartbeat", "heartbeat-agent", tag, "Say that an agent is there", document.AccessWrite, 400, 404, 413)
	heartbeat.Description = "Every 30 s; after 90 s without one the agent is offline. Send state when the agent changes it, and none in between: " +
		"who was made away, as offers were missed, is back with the next online that is sent. Needs access write."
	huma.Register(a.huma, heartbeat, a.heartbeat)
	offers := operation(http.MethodGet, one+"/offers", "list-agent-offers", tag, "What an agent is offered now, oldest first", document.AccessRead, 404)
	offers.Description = "With wait it is a long poll: where there is no offer, it is answered when there is one. Needs access read."
	huma.Register(a.huma, offers, a.listOffers)
	accept := operation(http.MethodPost, "/v1/offers/{id}:accept", "accept-offer", tag, "Take a conversation that is offered", document.AccessWrite, 404, 409)
	accept.Description = "An offer is answered once; 409 when it is over: it expired, was answered, or the conversation went elsewhere. " +
		"With an Idempotency-Key, who did not hear the answer may ask again. Whose it is, the conversation says. Needs access write."
	huma.Register(a.huma, accept, change(a, func(ctx context.Context, in *verbInput) (store.Conversation, error) {
		return a.engine.AcceptOffer(ctx, in.scope(ctx, "accept-offer", in.ID), in.ID)
	}))
	decline := operation(http.MethodPost, "/v1/offers/{id}:decline", "decline-offer", tag, "Leave a conversation that is offered to others", document.AccessWrite, 404, 409)
	decline.Description = "It waits on, as old as it is, and is offered to this agent again only when all others who are there have declined. 409 when the offer is over. Needs access write."
	huma.Register(a.huma, decline, change(a, func(ctx context.Context, in *verbInput) (store.Conversation, error) {
		return a.engine.DeclineOffer(ctx, in.scope(ctx, "decline-offer", in.ID), in.ID)
	}))
}

// AgentBody is what a caller says of an agent.
type AgentBody struct {
	Name       string            `json:"name" minLength:"1" maxLength:"256" doc:"What the desk calls them; unique in the namespace."`
	Labels     map[string]string `json:"labels,omitempty" doc:"AgentQueues select by them."`
	Skills     map[string]int    `json:"skills,omitempty" doc:"Level (0 to 100) by name, e.g. lang/fr: 5."`
	Units      int               `json:"units,omitempty" minimum:"0" maximum:"1000000" doc:"What they can carry in all; 0: as much as their queues say. A phone call takes 100, a chat 25, a mail 5, unless the queue says otherwise."`
	ClassUnits map[string]int    `json:"classUnits,omitempty" doc:"Bounds of single classes within units: voice, chat, mail."`
}

func (b AgentBody) spec(namespace string) store.AgentSpec {
	spec := store.AgentSpec{Namespace: namespace, Name: b.Name, Labels: b.Labels, Skills: b.Skills, Units: b.Units}
	if len(b.ClassUnits) > 0 {
		spec.ClassUnits = map[routing.ChannelClass]int{}
		for class, units := range b.ClassUnits {
			spec.ClassUnits[routing.ChannelClass(class)] = units
		}
	}
	return spec
}

// Agent is a person who answers.
type Agent struct {
	ID        string `json:"id" doc:"ULID; names the agent as an owner of conversations."`
	Namespace string `json:"namespace"`
	AgentBody
	CreatedAt time.Time  `json:"createdAt"`
	UpdatedAt time.Time  `json:"updatedAt"`
	State     string     `json:"state" enum:"online,away,offline" doc:"online: is given something. away: keeps what they have."`
	Since     *time.Time `json:"since,omitempty" doc:"Of this state."`
	SeenAt    *time.Time `json:"seenAt,omitempty" doc:"Latest heartbeat."`
	Load      int        `json:"load" doc:"Units in use: conversations and open offers."`
}

func viewAgent(a store.Agent) Agent {
	v := Agent{ID: a.ID, Namespace: a.Namespace, AgentBody: AgentBody{Name: a.Name, Labels: a.Labels, Skills: a.Skills, Units: a.Units},
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, State: a.State, Since: a.Since, SeenAt: a.SeenAt, Load: a.Load}
	if len(a.ClassUnits) > 0 {
		v.ClassUnits = map[string]int{}
		for class, units := range a.ClassUnits {
			v.ClassUnits[string(class)] = units
		}
	}
	return v
}

func (a *API) agent(agent store.Agent, err error) (*output[Agent], error) {
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[Agent]{viewAgent(agent)}, nil
}

type listAgentsInput struct {
	PageParams
	Namespace string `query:"namespace" maxLength:"63" doc:"Only of this namespace."`
}

func (a *API) listAgents(ctx context.Context, in *listAgentsInput) (*output[Page[Agent]], error) {
	page, err := a.engine.Agents(ctx, scopeOf(ctx), in.Namespace, in.query())
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[Agent]]{viewPage(page, viewAgent)}, nil
}

func (a *API) getAgent(ctx context.Context, in *IDParam) (*output[Agent], error) {
	return a.agent(a.engine.Agent(ctx, scopeOf(ctx), in.ID))
}

type createAgentInput struct {
	KeyParam
	Body struct {
		Namespace string `json:"namespace" minLength:"1" maxLength:"63"`
		AgentBody
	}
}

func (a *API) createAgent(ctx context.Context, in *createAgentInput) (*output[Agent], error) {
	return a.agent(a.engine.CreateAgent(ctx, in.scope(ctx, "create-agent", in.Body), in.Body.spec(in.Body.Namespace)))
}

type updateAgentInput struct {
	IDParam
	KeyParam
	Body AgentBody
}

func (a *API) updateAgent(ctx context.Context, in *updateAgentInput) (*output[Agent], error) {
	return a.agent(a.engine.UpdateAgent(ctx, in.scope(ctx, "update-agent", in.ID, in.Body), in.ID, in.Body.spec("")))
}

func (a *API) deleteAgent(ctx context.Context, in *IDParam) (*struct{}, error) {
	return nil, a.problemOf(a.engine.DeleteAgent(ctx, scopeOf(ctx), in.ID), "path")
}

type heartbeatInput struct {
	IDParam
	Body struct {
		State string `json:"state,omitempty" enum:"online,away,offline" doc:"Absent: nothing has changed."`
	}
}

func (a *API) heartbeat(ctx context.Context, in *heartbeatInput) (*output[Agent], error) {
	return a.agent(a.engine.Heartbeat(ctx, scopeOf(ctx), in.ID, in.Body.State))
}

// Offer is a conversation that an agent is asked to take.
type Offer struct {
	ID           string    `json:"id"`
	Agent        string    `json:"agent"`
	Queue        string    `json:"queue" doc:"namespace/name"`
	Conversation string    `json:"conversation"`
	Units        int       `json:"units" doc:"That it takes."`
	MadeAt       time.Time `json:"madeAt"`
	Until        time.Time `json:"until" doc:"Then it expires, and counts as missed."`
}

func viewOffer(o store.AgentOffer) Offer { return Offer(o) }

// Offers are what an agent is offered.
type Offers struct {
	Items []Offer `json:"items" nullable:"false"`
}

type listOffersInput struct {
	IDParam
	Wait int `query:"wait" minimum:"0" maximum:"25" doc:"Seconds to wait for an offer."`
}

func (a *API) listOffers(ctx context.Context, in *listOffersInput) (*output[Offers], error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.draining, cancel)()
	offers, err := a.engine.Offers(ctx, scopeOf(ctx), in.ID, time.Duration(in.Wait)*time.Second)
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Offers]{Offers{Items: append([]Offer{}, viewAll(offers, viewOffer)...)}}, nil
}
