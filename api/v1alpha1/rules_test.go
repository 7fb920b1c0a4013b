package v1alpha1_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rule is one thing that the schema refuses: one row per constraint of the
// CRDs. TestEveryConstraintHasARow finds what is missing.
type rule struct {
	// covers is the constraint as constraints() names it.
	covers string
	// field is set to bad (removed when bad is nil), which the API server
	// refuses with a message that contains want; then to good, which it takes.
	field     string
	bad, good any
	want      string
	// with are other fields that are set before both.
	with fields
	// old makes it an update: the object stands with this value of field.
	old any
}

type fields map[string]any

// and is f with more fields.
func (f fields) and(more fields) fields {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

func (r rule) test(t *testing.T, kind string) {
	s := server(t)
	if r.old != nil || strings.HasPrefix(r.field, "status.") {
		r.testUpdate(t, s, kind)
		return
	}
	bad := r.manifest(t, kind, r.bad)
	err := s.try(bad)
	require.Error(t, err, "%s = %v was taken", r.field, short(r.bad))
	assert.Contains(t, err.Error(), r.want)
	if r.good != nil {
		assert.NoError(t, s.try(r.manifest(t, kind, r.good)), "%s = %v", r.field, short(r.good))
	}
}

func (r rule) manifest(t *testing.T, kind string, value any) *unstructured.Unstructured {
	u := manifest(t, kind)
	for path, v := range r.with {
		set(t, u, path, v)
	}
	set(t, u, r.field, value)
	return u
}

func (r rule) testUpdate(t *testing.T, s *apiServer, kind string) {
	resource, before := s.resource(kind), r.old
	var subresource []string
	if strings.HasPrefix(r.field, "status.") {
		subresource = []string{"status"}
	}
	u := manifest(t, kind)
	for path, v := range r.with {
		set(t, u, path, v)
	}
	if before != nil {
		set(t, u, r.field, before)
	}
	kept := s.keep(t, u)
	options := metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	update := func(value any) error {
		next := kept.DeepCopy()
		set(t, next, r.field, value)
		_, err := resource.Update(t.Context(), next, options, subresource...)
		return err
	}
	err := update(r.bad)
	require.Error(t, err, "%s = %v was taken", r.field, short(r.bad))
	assert.Contains(t, err.Error(), r.want)
	if r.good != nil {
		assert.NoError(t, update(r.good), "%s = %v", r.field, short(r.good))
	}
}

// set sets the field at a dotted path, and removes it when value is nil.
func set(t *testing.T, u *unstructured.Unstructured, path string, value any) {
	t.Helper()
	steps := strings.Split(path, ".")
	if value == nil {
		unstructured.RemoveNestedField(u.Object, steps...)
		return
	}
	require.NoError(t, unstructured.SetNestedField(u.Object, plain(value), steps...), path)
}

// plain turns literals into what JSON has.
func plain(value any) any {
	switch v := value.(type) {
	case int:
		return int64(v)
	case fields:
		m := map[string]any{}
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case list:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	default:
		return v
	}
}

type list []any

// letters are n letters; many is n different values of a kind.
func letters(n int) string { return strings.Repeat("a", n) }

func many(n int, element func(i int) any) list {
	l := make(list, n)
	for i := range l {
		l[i] = element(i)
	}
	return l
}

func short(v any) string {
	text := fmt.Sprint(v)
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return text
}

func TestStoreRules(t *testing.T)   { testRules(t, "ConversationStore", storeRules) }
func TestBridgeRules(t *testing.T)  { testRules(t, "Bridge", bridgeRules) }
func TestChannelRules(t *testing.T) { testRules(t, "Channel", channelRules) }

func testRules(t *testing.T, kind string, rules []rule) {
	for _, r := range rules {
		t.Run(strings.ReplaceAll(r.covers, "/", "_"), func(t *testing.T) { r.test(t, kind) })
	}
}

// The messages of the API server for plain bounds.
const (
	required  = "Required value"
	duplicate = "Duplicate value"
	enum      = "supported values:"
	tooShort  = "should be at least"
	tooMany   = "must have at most"
	tooFew    = "should have at least"
	atLeast   = "should be greater than or equal to"
	atMost    = "should be less than or equal to"
	tooLong   = "may not be more than"
	pattern   = "should match"
)

const mustBeDuration = "must be a duration like 24h or 90m, and not negative"

// durations are the rows of a duration field. What Go cannot parse must not
// get into etcd: one such object would stop the operator from listing any.
func durations(field string) []rule {
	return []rule{
		{covers: field + " maxLength", field: field, bad: strings.Repeat("1h", 17), good: strings.Repeat("1h", 16), want: "Too long"},
		{covers: field + " rule: " + mustBeDuration, field: field, bad: "a while", good: "1h30m", want: mustBeDuration},
		{covers: field + " rule: " + mustBeDuration, field: field, bad: "-1s", good: "0s", want: mustBeDuration},
		{covers: field + " rule: " + mustBeDuration, field: field, bad: "7d", good: "1.5h", want: mustBeDuration},
		{covers: field + " rule: " + mustBeDuration, field: field, bad: "9999999999h", good: "2562047h", want: field}, // 292 years are the longest
	}
}

func reference(field string) []rule {
	return []rule{
		{covers: field + " required name", field: field, bad: fields{"namespace": "shop"}, good: fields{"name": "x"}, want: field + ".name: " + required},
		{covers: field + ".name minLength", field: field, bad: fields{"name": ""}, good: fields{"name": "a"}, want: tooShort},
		{covers: field + ".name maxLength", field: field, bad: fields{"name": letters(64)}, good: fields{"name": letters(63)}, want: "Too long"},
		{covers: field + ".namespace maxLength", field: field, bad: fields{"name": "a", "namespace": letters(64)}, good: fields{"name": "a", "namespace": letters(63)}, want: "Too long"},
	}
}

func allowList(field string) []rule {
	const message = "selector is required when from is Selector, and forbidden otherwise"
	selector := fields{"matchLabels": fields{"team": "sales"}}
	return append([]rule{
		{covers: field + " required from", field: field, bad: fields{"selector": selector}, good: fields{"from": "All"}, want: field + ".from: " + required},
		{covers: field + ".from enum", field: field, bad: fields{"from": "Some"}, good: fields{"from": "Same"}, want: enum},
		{covers: field + " rule: " + message, field: field, bad: fields{"from": "Selector"}, good: fields{"from": "Selector", "selector": selector}, want: message},
		{covers: field + " rule: " + message, field: field, bad: fields{"from": "All", "selector": selector}, good: fields{"from": "All"}, want: message},
	}, selectorRules(field+".selector", field, func(selector any) any { return fields{"from": "Selector", "selector": selector} })...)
}

// selectorRules are those of a LabelSelector; wrap puts one where field wants it.
func selectorRules(covers, field string, wrap func(selector any) any) []rule {
	const (
		keys   = "matchLabels must have keys of labels, like example.com/team or team"
		values = "matchLabels must have values of at most 63 characters"
		key    = "key must be that of a label, like example.com/team or team"
		listed = "values are required with the operators In and NotIn, and forbidden with Exists and DoesNotExist"
	)
	row := func(what, constraint string, bad, good any, want string) rule {
		return rule{covers: covers + "." + what + constraint, field: field, bad: wrap(fields{what: bad}), good: wrap(fields{what: good}), want: want}
	}
	labels := func(constraint string, bad, good fields, want string) rule {
		return row("matchLabels", constraint, bad, good, want)
	}
	one := func(constraint string, bad, good fields, want string) rule { // of an expression, with these fields replaced
		usable := fields{"key": "team", "operator": "In", "values": list{"sales"}}
		return row("matchExpressions", "[]"+constraint, list{usable.and(bad)}, list{usable.and(good)}, want)
	}
	exists := func(i int) any { return fields{"key": fmt.Sprintf("example.com/l%d", i), "operator": "Exists"} }
	value := func(i int) any { return fmt.Sprintf("v%d", i) }
	return []rule{
		labels(" maxProperties", annotations(33), annotations(32), tooMany),
		labels(" rule: "+keys, fields{"a b": "x"}, fields{"example.com/a": "x"}, keys),
		labels(" rule: "+values, fields{"a": letters(64)}, fields{"a": letters(63)}, values),
		row("matchExpressions", " maxItems", many(33, exists), many(32, exists), tooMany),
		row("matchExpressions", "[] required key", list{fields{"operator": "Exists"}}, list{exists(1)}, required),
		row("matchExpressions", "[] required operator", list{fields{"key": "a"}}, list{exists(1)}, required),
		one(" rule: "+listed, fields{"operator": "Exists"}, fields{"operator": "NotIn"}, listed),
		one(" rule: "+listed, fields{"values": list{}}, nil, listed),
		one(".key minLength", fields{"key": ""}, fields{"key": "a"}, tooShort),
		one(".key maxLength", fields{"key": strings.Repeat("a", 318)}, fields{"key": letters(63)}, "Too long"),
		one(".key rule: "+key, fields{"key": "a b"}, fields{"key": "example.com/a"}, key),
		one(".operator enum", fields{"operator": "Inn"}, nil, enum),
		one(".values maxItems", fields{"values": many(65, value)}, fields{"values": many(64, value)}, tooMany),
		one(".values[] maxLength", fields{"values": list{letters(64)}}, fields{"values": list{letters(63)}}, "Too long"),
	}
}

const noClaims = "resources.claims are not supported: the pods have no resource claims"

var podResources = rule{
	covers: "spec.resources rule: " + noClaims, field: "spec.resources",
	bad: fields{"claims": list{fields{"name": "gpu"}}}, good: fields{"requests": fields{"cpu": "100m"}}, want: noClaims,
}

const fewResources = "resources can have at most 16 limits and 16 requests"

var podResourcesSize = rule{
	covers: "spec.resources rule: " + fewResources, field: "spec.resources",
	bad: fields{"limits": manyResources(17)}, good: fields{"limits": manyResources(16)}, want: fewResources,
}

func manyResources(n int) fields {
	out := fields{}
	for i := range n {
		out[fmt.Sprintf("example.com/r%d", i)] = "1"
	}
	return out
}

// conditions are the bounds that status has in all kinds.
var conditions = []rule{
	{covers: "status.conditions maxItems", field: "status.conditions", bad: many(17, condition), good: many(16, condition), want: tooMany},
	{covers: "status.conditions list", field: "status.conditions", bad: list{condition(1), condition(1)}, good: list{condition(1)}, want: duplicate},
}

func condition(i int) any {
	return fields{"type": fmt.Sprintf("Type%d", i), "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-11-22T10:00:00Z"}
}

// nameRules are those of kinds whose name is part of other names.
func nameRules() []rule {
	const message = "metadata.name must be at most 40 lower-case letters, digits and dashes, and begin with a letter: the names of pods and Services are made of it"
	covers := "rule: " + message
	return []rule{
		{covers: covers, field: "metadata.name", bad: letters(41), good: letters(40), want: message},
		{covers: covers, field: "metadata.name", bad: "1store", good: "store1", want: message},
		{covers: covers, field: "metadata.name", bad: "a.b", good: "a-b", want: message},
	}
}

func concat(lists ...[]rule) []rule {
	var all []rule
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
