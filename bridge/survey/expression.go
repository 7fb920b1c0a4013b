package survey

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

// Bounds of expressions, the same as those of routing: Kubernetes reckons a
// million units of CEL cost at about a tenth of a second, so an expression takes
// at most a millisecond.
const (
	maxExpressionBytes = 1024
	maxExpressionCost  = 10_000
	// What an expression is reckoned to meet at most.
	maxValueBytes = 256
	maxValues     = 64
)

// audienceEnvironment is what audience.matches[].expression may name:
//
//	now           timestamp
//	event         string: "ConversationResolved", "Manual", "API"
//	contact       id, language, attributes (map of strings)
//	conversation  id, channel, labels (map of strings), inboundMessages, autoResolved
//
// answerEnvironment is what questions[].when and actions[].when may name:
//
//	score     int
//	type      string: "NPS", "CSAT", "CES"
//	language  string: the one the contact was asked in
//	arm       string: "" without arms
//	answers   map of strings: the answers so far, by question id
//
// Both have the standard library and optional values (contact.attributes.?tier.orValue("")).
// Nothing reads a clock, draws a number or reaches outside.
var (
	audienceEnvironment = sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(
			cel.OptionalTypes(),
			ext.NativeTypes(ext.ParseStructField(jsonName), reflect.TypeFor[ContactFacts](), reflect.TypeFor[ConversationFacts]()),
			cel.Variable("now", cel.TimestampType),
			cel.Variable("event", cel.StringType),
			cel.Variable("contact", cel.ObjectType("survey.ContactFacts")),
			cel.Variable("conversation", cel.ObjectType("survey.ConversationFacts")),
		)
	})
	answerEnvironment = sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(
			cel.OptionalTypes(),
			cel.Variable("score", cel.IntType),
			cel.Variable("type", cel.StringType),
			cel.Variable("language", cel.StringType),
			cel.Variable("arm", cel.StringType),
			cel.Variable("answers", cel.MapType(cel.StringType, cel.StringType)),
		)
	})
)

// jsonName names a field in CEL as in JSON.
func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// expression is a compiled CEL expression.
type expression struct{ program cel.Program }

// compileExpression type-checks an expression and estimates what it costs at
// worst. Its errors are for the person who wrote it.
func compileExpression(environment func() (*cel.Env, error), source string) (*expression, error) {
	if len(source) > maxExpressionBytes {
		return nil, fmt.Errorf("is %d bytes long, %d is the limit", len(source), maxExpressionBytes)
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(source)
	if issues != nil && issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("does not compile: column %d: %s", first.Location.Column()+1, first.Message)
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("is %s where a bool belongs", ast.OutputType())
	}
	estimate, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, err
	}
	if estimate.Max > maxExpressionCost {
		cost := "without bound"
		if estimate.Max < math.MaxUint64 {
			cost = fmt.Sprint(estimate.Max)
		}
		return nil, fmt.Errorf("can cost %s, %d is the limit; compare a field instead of searching all of them, or leave out nested loops", cost, maxExpressionCost)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxExpressionCost))
	if err != nil {
		return nil, fmt.Errorf("does not compile: %w", err)
	}
	return &expression{program}, nil
}

// sizes bounds what an expression can meet.
type sizes struct{}

func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	switch element.Type().Kind() {
	case types.StringKind:
		return &checker.SizeEstimate{Max: maxValueBytes}
	case types.ListKind, types.MapKind:
		return &checker.SizeEstimate{Max: maxValues}
	}
	return nil
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

var errNotBool = errors.New("the result is not a bool")

// holds evaluates the expression. An error (a missing key, the cost limit) is
// never a yes.
func (e *expression) holds(variables map[string]any) (bool, error) {
	value, _, err := e.program.Eval(variables)
	if err != nil {
		return false, err
	}
	result, ok := value.Value().(bool)
	if !ok {
		return false, errNotBool
	}
	return result, nil
}
