package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerRaw() {
	const tag = "Raw journal"
	huma.Register(a.huma, operation(http.MethodGet, "/v1/raw", "list-raw-entries", tag,
		"Entries of the raw journal", document.AccessAdmin, 404), a.listRaw)
	replay := operation(http.MethodPost, "/v1/raw:replay", "replay-raw-entries", tag,
		"Parse raw entries again", document.AccessAdmin, 400, 404, 413)
	replay.Description = "Parses the selected entries again and stores what is missing; what is there already stays as it is. " +
		"Use it after a Channel was added for an account whose messages came in unrouted, or after an upgrade that " +
		"knows more kinds of messages. What came in at an app's URL for an account without a Channel goes to the Channel " +
		"that has the account now, if it is of the same app and in a namespace that had a Channel of it which accepted the " +
		"request. To lead it to a Channel in another namespace, look at the entry (GET /v1/raw?unrouted=true) and name it by id. " +
		"Needs access admin."
	huma.Register(a.huma, replay, a.replay)
}

type listRawInput struct {
	PageParams
	ID       string    `query:"id" maxLength:"128" doc:"Only this entry."`
	Channel  string    `query:"channel" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" doc:"Only of this Channel (namespace/name)."`
	Unrouted bool      `query:"unrouted" doc:"Only what no Channel was there for."`
	Since    time.Time `query:"since" doc:"Only what came at this time or later (RFC 3339)."`
}

func (a *API) listRaw(ctx context.Context, in *listRawInput) (*output[Page[RawEntry]], error) {
	page, err := a.engine.RawEntries(ctx, scopeOf(ctx), store.RawQuery{
		PageQuery: in.query(), ID: in.ID, Channel: in.Channel, Unrouted: in.Unrouted, Since: in.Since,
	})
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[RawEntry]]{viewPage(page, viewRaw)}, nil
}

type replayInput struct {
	Body struct {
		ID       string    `json:"id,omitempty" maxLength:"128" doc:"Only this entry."`
		Channel  string    `json:"channel,omitempty" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" doc:"Only of this Channel (namespace/name)."`
		Unrouted bool      `json:"unrouted,omitempty" doc:"Only what no Channel was there for."`
		Since    time.Time `json:"since,omitzero" doc:"Only what came at this time or later."`
	}
}

func (a *API) replay(ctx context.Context, in *replayInput) (*output[ReplayResult], error) {
	result, err := a.engine.Replay(ctx, scopeOf(ctx), store.RawQuery{
		ID: in.Body.ID, Channel: in.Body.Channel, Unrouted: in.Body.Unrouted, Since: in.Body.Since,
	})
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[ReplayResult]{viewReplay(result)}, nil
}
