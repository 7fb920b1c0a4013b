package actors

import (
	"context"
	"net/http"
	"net/url"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// Agent makes an agent with these labels, who is online for as long as the
// store waits for the next heartbeat.
func (d *Desk) Agent(ctx context.Context, namespace, name string, labels map[string]string) (store.Agent, error) {
	var agent store.Agent
	body := map[string]any{"namespace": namespace, "name": name, "labels": labels}
	if err := d.rest.call(ctx, http.MethodPost, "/v1/agents", body, &agent); err != nil {
		return agent, err
	}
	err := d.rest.call(ctx, http.MethodPost, "/v1/agents/"+agent.ID+":heartbeat", map[string]string{"state": "online"}, &agent)
	return agent, err
}

// Owners returns who had a conversation, one after the other.
func (d *Desk) Owners(ctx context.Context, conversation string) ([]store.OwnerChange, error) {
	return pages[store.OwnerChange](ctx, d.rest, "/v1/conversations/"+conversation+"/owners", url.Values{})
}
