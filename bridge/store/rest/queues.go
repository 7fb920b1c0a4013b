package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerQueues() {
	const tag = "Queues"
	huma.Register(a.huma, operation(http.MethodGet, "/v1/queues", "list-queues", tag,
		"Queues by name", document.AccessRead), a.listQueues)
	huma.Register(a.huma, operation(http.MethodGet, "/v1/queues/{namespace}/{name}", "get-queue", tag,
		"One queue", document.AccessRead, 404), a.getQueue)
}

// Queue is an AgentQueue at this moment.
type Queue struct {
	Name       string  `json:"name" doc:"namespace/name"`
	InForce    bool    `json:"inForce" doc:"false: the AgentQueue is gone, and something waits in it all the same."`
	Open       bool    `json:"open" doc:"By its Schedule: agents are given something."`
	Depth      int     `json:"depth" doc:"Conversations that wait."`
	Offered    int     `json:"offered" doc:"Of them, that are offered to an agent."`
	OldestWait float64 `json:"oldestWaitSeconds" doc:"For how long the oldest has waited."`
	Agents     int     `json:"agents" doc:"Whom it selects."`
	Online     int     `json:"online"`
	Available  int     `json:"available" doc:"Online, with units left."`
	Full       bool    `json:"full" doc:"At its limit."`
}

func viewQueue(q store.Queue) Queue {
	return Queue{Name: q.Name, InForce: q.InForce, Open: q.Open, Depth: q.Depth, Offered: q.Offered, OldestWait: time.Duration(q.OldestWait).Seconds(),
		Agents: q.Agents, Online: q.Online, Available: q.Available, Full: q.Full}
}

// Queues are all queues.
type Queues struct {
	Items []Queue `json:"items" nullable:"false"`
}

func (a *API) listQueues(ctx context.Context, _ *struct{}) (*output[Queues], error) {
	list, err := a.engine.Queues(ctx, scopeOf(ctx))
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Queues]{Queues{Items: append([]Queue{}, viewAll(list, viewQueue)...)}}, nil
}

type getQueueInput struct {
	Namespace string `path:"namespace" maxLength:"63"`
	Name      string `path:"name" maxLength:"253"`
}

func (a *API) getQueue(ctx context.Context, in *getQueueInput) (*output[Queue], error) {
	q, err := a.engine.Queue(ctx, scopeOf(ctx), in.Namespace+"/"+in.Name)
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	return &output[Queue]{viewQueue(q)}, nil
}
