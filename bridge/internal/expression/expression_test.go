package expression_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
)

type Facts struct {
	Text   string            `json:"text,omitempty"`
	Title  string            `json:"title"`
	Labels map[string]string `json:"labels"`
	Bare   int64
}

var environment = expression.NewEnvironment(expression.Sizes{Value: 256, Values: 64, Paths: map[string]uint64{"facts.text": 4096}},
	ext.NativeTypes(ext.ParseStructField(expression.FieldName), reflect.TypeFor[Facts]()),
	cel.Variable("facts", cel.ObjectType("expression_test.Facts")),
	cel.Variable("any", cel.DynType),
)

func TestWhatIsWrongIsSaid(t *testing.T) {
	for source, says := range map[string]string{
		strings.Repeat(" ", expression.MaxBytes) + "true": "is 1028 bytes long, 1024 is the limit",
		"facts.":         "does not compile: column ",
		"facts.colour":   "undefined field 'colour'",
		"facts.title":    "is string where a bool belongs",
		"now == now":     "undeclared reference to 'now'",
		"facts.bare > 0": "undefined field 'bare'",
		`facts.labels.all(a, facts.labels.all(b, facts.labels.all(c, a + b != c)))`: "is the limit; compare a field",
		`facts.text.matches("a") && facts.text.matches("b") && facts.text.matches("c") && facts.text.matches("d") && facts.text.matches("e") && facts.text.matches("` + strings.Repeat("x", 500) + `")`: "can cost",
	} {
		_, err := environment.Compile(source)
		assert.ErrorContains(t, err, says, source)
	}
}

func TestHolds(t *testing.T) {
	facts := Facts{Text: "where is my parcel", Labels: map[string]string{"tier": "gold"}, Bare: 7}
	for source, want := range map[string]bool{
		`facts.text.contains("parcel")`:                   true,
		`facts.labels.?tier.orValue("") == "gold"`:        true,
		`facts.labels.?region.orValue("none") == "south"`: false,
		`facts.Bare == 7`:                                 true,
	} {
		x, err := environment.Compile(source)
		require.NoError(t, err, source)
		assert.Positive(t, x.Cost())
		assert.LessOrEqual(t, x.Cost(), uint64(expression.MaxCost))
		got, err := x.Holds(map[string]any{"facts": facts})
		require.NoError(t, err, source)
		assert.Equal(t, want, got, source)
	}
}

func TestWhatCannotBeEvaluatedIsNoMatch(t *testing.T) {
	missing, err := environment.Compile(`facts.labels["region"] == "south"`)
	require.NoError(t, err)
	got, err := missing.Holds(map[string]any{"facts": Facts{}})
	assert.Error(t, err)
	assert.False(t, got)
}
