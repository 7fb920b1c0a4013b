// Package rest is the store's public HTTP API: /v1, for agents' desks, bots
// and analytics.
//
//	request ─► mux (verbs, 404, 405) ─► token, access ─► checked input ─► store.Reader | Writer
//	                                     │ 401, 403       │ 400, 413, 422        │ 404, 409, 410, 503
//	                                     └────────────────┴──────────────────────┴─► RFC 9457 problem
//
// The OpenAPI 3.1 description at /openapi.json and /openapi.yaml is generated
// from the types of this package, which are also what requests are checked
// against. A token sees its namespaces and nothing else: what is outside is
// 404, the same as what does not exist.
//
// GET /v1/events is the feed to build on: a page of changes after a cursor, or
// the same as server-sent events that can be resumed from any cursor.
package rest
