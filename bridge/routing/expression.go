package routing

import (
	"cmp"
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

// Bounds of expressions. Kubernetes reckons a million units of CEL cost at about a
// tenth of a second; so one expression takes at most a millisecond, and all of a
// policy's together ten.
const (
	MaxExpressionBytes = 1024
	MaxExpressionCost  = 10_000
	MaxPolicyCost      = 100_000
)

// environment is what expressions may name:
//
//	now           timestamp
//	event         string: "Opened", "Reopened", "HandoffRequested"
//	language      string: BCP 47, "" when unknown
//	channel       ChannelFacts
//	contact       ContactFacts
//	conversation  ConversationFacts
//	message       MessageFacts
//	agent         AgentFacts
//
// with the fields of Facts, by their JSON names. The standard library and optional values
// (contact.attributes.?tier.orValue("")) are there; nothing reads a clock, draws
// a number or reaches outside.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.OptionalTypes(),
		ext.NativeTypes(
			ext.ParseStructField(expressionName),
			reflect.TypeFor[ChannelFacts](), reflect.TypeFor[ContactFacts](), reflect.TypeFor[ConversationFacts](),
			reflect.TypeFor[MessageFacts](), reflect.TypeFor[AgentFacts](),
		),
		cel.Variable("now", cel.TimestampType),
		cel.Variable("event", cel.StringType),
		cel.Variable("language", cel.StringType),
		cel.Variable("channel", cel.ObjectType("routing.ChannelFacts")),
		cel.Variable("contact", cel.ObjectType("routing.ContactFacts")),
		cel.Variable("conversation", cel.ObjectType("routing.ConversationFacts")),
		cel.Variable("message", cel.ObjectType("routing.MessageFacts")),
		cel.Variable("agent", cel.ObjectType("routing.AgentFacts")),
	)
})

// expressionName is a field's name in expressions. (Structs of other packages, which
// have no JSON names, are looked at as well, though not made available.)
func expressionName(f reflect.StructField) string { return cmp.Or(jsonName(f), f.Name) }

// expression is a compiled CEL expression.
type expression struct {
	source  string
	program cel.Program
	cost    uint64 // at worst
}

// compileExpression type-checks an expression and estimates what it can cost at
// worst. Its errors are for the person who wrote it.
func compileExpression(source string) (*expression, error) {
	if len(source) > MaxExpressionBytes {
		return nil, fmt.Errorf("is %d bytes long, %d is the limit", len(source), MaxExpressionBytes)
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
	if estimate.Max > MaxExpressionCost {
		return nil, fmt.Errorf("can cost %s, %d is the limit; compare a field instead of searching all of them, or leave out nested loops", costText(estimate.Max), MaxExpressionCost)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxExpressionCost))
	if err != nil {
		return nil, fmt.Errorf("does not compile: %w", err)
	}
	return &expression{source: source, program: program, cost: estimate.Max}, nil
}

func costText(cost uint64) string {
	if cost == math.MaxUint64 {
		return "without bound"
	}
	return fmt.Sprint(cost)
}

// sizes bounds what an expression can meet.
type sizes struct{}

func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	if strings.Join(element.Path(), ".") == "message.text" {
		return &checker.SizeEstimate{Max: MaxTextBytes}
	}
	switch element.Type().Kind() {
	case types.StringKind:
		return &checker.SizeEstimate{Max: MaxValueBytes}
	case types.ListKind, types.MapKind:
		return &checker.SizeEstimate{Max: MaxValues}
	}
	return nil
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

var errNotBool = errors.New("the result is not a bool")

// holds evaluates the expression. An error (a missing key, the cost limit) is
// never a match.
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

// variables are the facts as an expression sees them. They are copied, so that
// Decide's facts need not live on the heap.
func variables(f *Facts) map[string]any {
	message := f.Message
	message.Text = CutText(message.Text)
	return map[string]any{
		"now": f.Now.UTC(), "event": string(f.Event), "language": f.Language.Code,
		"channel": f.Channel, "contact": f.Contact, "conversation": f.Conversation, "message": message, "agent": f.Agent,
	}
}
