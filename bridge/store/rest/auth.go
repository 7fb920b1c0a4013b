package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// accessKey is where an operation's metadata says what access it needs.
const accessKey = "access"

// rank orders accesses: each includes the ones before.
var rank = map[document.TokenAccess]int{document.AccessRead: 1, document.AccessWrite: 2, document.AccessAdmin: 3}

type scopeKey struct{}

// scopeOf is what the caller may see; authenticate has put it there.
func scopeOf(ctx context.Context) store.Scope {
	s, _ := ctx.Value(scopeKey{}).(store.Scope)
	return s // without authenticate: nothing
}

// authenticate finds the caller's token and checks its access, before any of
// the request is looked at.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	need, _ := ctx.Operation().Metadata[accessKey].(document.TokenAccess)
	scope, err := a.authorize(ctx.Context(), ctx.Header("Authorization"), need)
	if err != nil {
		a.writeError(ctx, err)
		return
	}
	next(huma.WithValue(ctx, scopeKey{}, scope))
}

// authorize is the scope of a bearer token that has the access needed. Its
// errors are problems (RFC 6750, section 3.1: invalid_token, insufficient_scope).
func (a *API) authorize(ctx context.Context, authorization string, need document.TokenAccess) (store.Scope, error) {
	scheme, value, _ := strings.Cut(authorization, " ")
	value = strings.TrimSpace(value)
	if !strings.EqualFold(scheme, "Bearer") || value == "" {
		return store.Scope{}, unauthorized(`Bearer realm="bridgekeeper"`, "send a token of the ConversationStore as Authorization: Bearer …")
	}
	token, name, err := a.engine.Token(ctx, value, a.now())
	if errors.Is(err, store.ErrNotFound) {
		return store.Scope{}, unauthorized(`Bearer realm="bridgekeeper", error="invalid_token"`, "the token is not valid (any more)")
	}
	if err != nil {
		return store.Scope{}, a.problemOf(err, "")
	}
	if rank[token.Access] < max(rank[need], 1) {
		return store.Scope{}, huma.ErrorWithHeaders(
			huma.Error403Forbidden("this needs a token with access "+string(need)+"; the token has "+string(token.Access)),
			http.Header{"Www-Authenticate": {`Bearer realm="bridgekeeper", error="insufficient_scope", scope="` + string(need) + `"`}})
	}
	return store.Scope{All: slices.Contains(token.Namespaces, "*"), Namespaces: token.Namespaces, Caller: name}, nil
}

func unauthorized(challenge, detail string) error {
	return huma.ErrorWithHeaders(huma.Error401Unauthorized(detail), http.Header{"Www-Authenticate": {challenge}})
}
