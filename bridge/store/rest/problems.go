package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// problemOf turns an error of the engine into a problem. where is the place of
// its fields: "body", "query" or "path".
func (a *API) problemOf(err error, where string) error {
	var field *store.FieldError
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &field):
		return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: location(where, field.Field), Message: field.Message})
	case errors.Is(err, errBroken):
		return huma.Error400BadRequest("the body ended too early")
	case errors.As(err, &tooLarge):
		return huma.NewError(http.StatusRequestEntityTooLarge, "the body is larger than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound("there is no such thing within the token's namespaces")
	case errors.Is(err, store.ErrConflict):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, store.ErrGone):
		return huma.Error410Gone("the cursor is before what is kept: read after=latest, then the lists, and go on from the next that it returned")
	case errors.Is(err, store.ErrForbidden):
		return huma.Error403Forbidden("this is not within the token's rights")
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if !errors.Is(err, context.Canceled) {
			a.log.Warn("store unavailable", "error", err)
		}
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("nothing was changed; try again"),
			http.Header{"Retry-After": {strconv.Itoa(int(retryAfter.Seconds()))}})
	}
	a.log.Error("REST request failed", "error", err)
	return huma.Error500InternalServerError("the store failed; its log says why")
}

// location is where a field of the engine stands in the request.
func location(where, field string) string {
	if field == "idempotencyKey" {
		return "header.Idempotency-Key"
	}
	return where + "." + field
}

// writeError answers with a problem outside of a handler (middleware).
func (a *API) writeError(ctx huma.Context, err error) {
	var headers huma.HeadersError
	if errors.As(err, &headers) {
		for name, values := range headers.GetHeaders() {
			for _, v := range values {
				ctx.AppendHeader(name, v)
			}
		}
	}
	var status huma.StatusError
	if !errors.As(err, &status) {
		status = huma.Error500InternalServerError("the store failed; its log says why")
	}
	_ = huma.WriteErr(a.huma, ctx, status.GetStatus(), status.Error()) // fails only when the caller has left
}

// hideContent takes the values out of problems about bodies: a message's text
// would come back in an error that clients log.
func hideContent(_ huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	for _, e := range model.Errors {
		if e != nil && (e.Location == "" || strings.HasPrefix(e.Location, "body")) {
			e.Value = nil
		}
	}
	return model, nil
}
