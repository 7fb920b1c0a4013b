package survey

import (
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
)

// sizes are what an expression is reckoned to meet at most.
var sizes = expression.Sizes{Value: 256, Values: 64}

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
var (
	audienceEnvironment = expression.NewEnvironment(sizes,
		ext.NativeTypes(ext.ParseStructField(expression.FieldName), reflect.TypeFor[ContactFacts](), reflect.TypeFor[ConversationFacts]()),
		cel.Variable("now", cel.TimestampType),
		cel.Variable("event", cel.StringType),
		cel.Variable("contact", cel.ObjectType("survey.ContactFacts")),
		cel.Variable("conversation", cel.ObjectType("survey.ConversationFacts")),
	)
	answerEnvironment = expression.NewEnvironment(sizes,
		cel.Variable("score", cel.IntType),
		cel.Variable("type", cel.StringType),
		cel.Variable("language", cel.StringType),
		cel.Variable("arm", cel.StringType),
		cel.Variable("answers", cel.MapType(cel.StringType, cel.StringType)),
	)
)
