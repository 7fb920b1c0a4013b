package routing

import (
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
)

// MaxPolicyCost bounds all expressions of a policy together: ten times what one
// may cost, so ten milliseconds at most.
const MaxPolicyCost = 10 * expression.MaxCost

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
// with the fields of Facts, by their JSON names.
var environment = expression.NewEnvironment(
	expression.Sizes{Value: MaxValueBytes, Values: MaxValues, Paths: map[string]uint64{"message.text": MaxTextBytes}},
	ext.NativeTypes(
		ext.ParseStructField(expression.FieldName),
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
