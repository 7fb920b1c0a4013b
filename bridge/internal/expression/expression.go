// Package expression compiles the CEL expressions that people write into
// resources: boolean, type-checked, and bounded in what they can cost.
//
//	source ──length──► parse ──types──► bool? ──cost at worst──► Expression ──Holds──► true, false
//	           └──────────┴───────────────┴────────────┴──► an error for its author
//
// Nothing reads a clock, draws a number or reaches outside: what an expression
// may name is its Environment's.
package expression

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
)

// Bounds of an expression. Kubernetes reckons a million units of CEL cost at
// about a tenth of a second; so one takes at most a millisecond.
const (
	MaxBytes = 1024
	MaxCost  = 10_000
)

// Sizes bound what an expression can meet, by which its cost is reckoned.
type Sizes struct {
	// Value is the longest string in bytes, Values the most entries of a list or
	// map.
	Value, Values uint64
	// Paths are longer strings by their name ("message.text"), in bytes.
	Paths map[string]uint64
}

// Environment is what expressions may name. Safe for concurrent use.
type Environment struct {
	sizes Sizes
	env   func() (*cel.Env, error)
}

// NewEnvironment makes an environment with the standard library, optional values
// (contact.attributes.?tier.orValue("")) and these variables. It is built when
// it is first needed.
func NewEnvironment(sizes Sizes, variables ...cel.EnvOption) *Environment {
	return &Environment{sizes: sizes, env: sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(append([]cel.EnvOption{cel.OptionalTypes()}, variables...)...)
	})}
}

// FieldName names a field of a struct in expressions as in JSON, for
// ext.ParseStructField. (Structs of other packages, which have no JSON names, are
// looked at as well, though not made available.)
func FieldName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return cmp.Or(name, field.Name)
}

// Expression is a compiled expression. Safe for concurrent use.
type Expression struct {
	source  string
	program cel.Program
	cost    uint64
}

// Compile type-checks an expression and estimates what it can cost at worst. Its
// errors are for the person who wrote it, and go on after the field's name.
func (e *Environment) Compile(source string) (*Expression, error) {
	if len(source) > MaxBytes {
		return nil, fmt.Errorf("is %d bytes long, %d is the limit", len(source), MaxBytes)
	}
	env, err := e.env()
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
	estimate, err := env.EstimateCost(ast, estimator{e.sizes})
	if err != nil {
		return nil, err
	}
	if estimate.Max > MaxCost {
		return nil, fmt.Errorf("can cost %s, %d is the limit; compare a field instead of searching all of them, or leave out nested loops", costText(estimate.Max), MaxCost)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxCost))
	if err != nil {
		return nil, fmt.Errorf("does not compile: %w", err)
	}
	return &Expression{source: source, program: program, cost: estimate.Max}, nil
}

func costText(cost uint64) string {
	if cost == math.MaxUint64 {
		return "without bound"
	}
	return fmt.Sprint(cost)
}

// estimator tells CEL how large things are.
type estimator struct{ Sizes }

// EstimateSize implements checker.CostEstimator.
func (s estimator) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	if n, ok := s.Paths[strings.Join(element.Path(), ".")]; ok {
		return &checker.SizeEstimate{Max: n}
	}
	switch element.Type().Kind() {
	case types.StringKind:
		return &checker.SizeEstimate{Max: s.Value}
	case types.ListKind, types.MapKind:
		return &checker.SizeEstimate{Max: s.Values}
	}
	return nil
}

// EstimateCallCost implements checker.CostEstimator.
func (estimator) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// Source is what was compiled.
func (x *Expression) Source() string { return x.source }

// Cost is what the expression costs at worst.
func (x *Expression) Cost() uint64 { return x.cost }

// ErrNotBool is what Holds says when the result is something else after all.
var ErrNotBool = errors.New("the result is not a bool")

// Holds evaluates the expression. An error (a missing key, the cost limit) is
// never a match.
func (x *Expression) Holds(variables map[string]any) (bool, error) {
	value, _, err := x.program.Eval(variables)
	if err != nil {
		return false, err
	}
	result, ok := value.Value().(bool)
	if !ok {
		return false, ErrNotBool
	}
	return result, nil
}
