package compile

import (
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/bot"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// botState is a Bot that exists.
type botState struct {
	store   *storeState // nil while the reference does not lead to one
	inForce bool
}

func (c *compiler) resolveBots() {
	for _, b := range sorted(c.Bots) {
		result := &BackendResult{}
		c.result.Bots[keyOf(b)] = result
		if !gone(b) {
			c.routing.bots[keyOf(b)] = c.bot(b, result)
		}
	}
}

// bot decides about one Bot and puts it into its store's document.
func (c *compiler) bot(b *v1alpha1.Bot, result *BackendResult) *botState {
	st, unresolved := c.routingStore(b.Namespace, "Bots", b.Spec.StoreRef)
	name := keyOf(b).String()
	spec, findings, dropped := c.botSpec(b, st)
	result.Findings = findings
	if unresolved != nil {
		result.Findings = append(result.Findings, *unresolved)
		return &botState{}
	}
	state := &botState{store: st}
	result.Store = st.key
	switch {
	case dropped:
		return state
	case spec == nil || b.Spec.Suspend:
		if _, kept := st.keep(document.EntryBot, name); !kept {
			return state
		}
		result.LastGood = true
	default:
		st.add(document.EntryBot, name, b.Generation, spec)
	}
	state.inForce = true
	entry := loadable(*st.last())
	result.Entry = &entry
	return state
}

// botSpec is the entry's spec; nil while it is invalid. dropped: a permission was
// taken away, so not even what was there before goes on.
func (c *compiler) botSpec(b *v1alpha1.Bot, st *storeState) (spec *document.Bot, findings []Finding, dropped bool) {
	switch {
	case b.Spec.BuiltIn != nil && b.Spec.Webhook == nil:
		builtIn := BotSpec(b)
		if _, found := bot.Compile(builtIn); len(found) > 0 {
			return nil, routingFindings("spec.builtIn.", found), false
		}
		return &document.Bot{BuiltIn: mustJSON(builtIn)}, nil, false
	case b.Spec.Webhook == nil || b.Spec.BuiltIn != nil:
		return nil, []Finding{*invalidSpec("spec", "has builtIn and webhook, or neither; write one of them")}, false
	}
	handover, findings := webhookHandover(b.Spec.Webhook.Handover)
	if f := egressAllowed("spec.webhook", st); f != nil {
		return nil, append(findings, *f), true
	}
	hook, f := c.webhook(b.Namespace, "spec.webhook.secretRef", b.Spec.Webhook.WebhookEndpoint, botWebhookBefore(st, keyOf(b).String()))
	if f != nil {
		findings = append(findings, *f)
	}
	if len(findings) > 0 {
		return nil, findings, false
	}
	return &document.Bot{Webhook: hook, Handover: handover}, nil, false
}

func botWebhookBefore(st *storeState, name string) *document.Webhook {
	if st == nil {
		return nil
	}
	return decodeSpec[document.Bot](st.before.get(document.EntryBot, name)).Webhook
}

// webhookHandover checks what a built-in bot's compiler would.
func webhookHandover(h *v1alpha1.WebhookHandover) (document.BotHandover, []Finding) {
	if h == nil {
		return document.BotHandover{}, nil
	}
	var findings []Finding
	invalid := func(field, format string, args ...any) {
		findings = append(findings, *invalidSpec("spec.webhook.handover."+field, fmt.Sprintf(format, args...)))
	}
	language := func(field, tag string) {
		if !routing.ValidLanguage(tag) {
			invalid(field, "%q is not a language; write a BCP 47 tag like de or pt-BR", tag)
		}
	}
	keywords, text := words(h.Keywords), texts(h.Text)
	for _, tag := range sortedNames(keywords) {
		language(fmt.Sprintf("keywords[%s]", tag), tag)
		for i, word := range keywords[tag] {
			if !bot.CompileKeywords(bot.Words{tag: {word}}).In(word) {
				invalid(fmt.Sprintf("keywords[%s][%d]", tag, i), "%q has neither letters nor digits; it would never be found", word)
			}
		}
	}
	for _, tag := range sortedNames(text) {
		language(fmt.Sprintf("text[%s]", tag), tag)
	}
	if _, ok := text[h.DefaultLanguage]; len(text) > 1 && !ok {
		invalid("text", "has no text for defaultLanguage %q, for contacts who speak none of the others", h.DefaultLanguage)
	}
	return document.BotHandover{Keywords: keywords, Text: text, DefaultLanguage: h.DefaultLanguage, MaxTurns: int(h.MaxTurns)}, findings
}
