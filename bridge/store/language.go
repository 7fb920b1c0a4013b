package store

import (
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// What a contact speaks is what somebody said (REST, a bot, a webhook), else their
// profile, else the default of the channel (routing.ChooseLanguage). What was said is
// kept with the conversation, and begins the contact's next one.

// language is what a contact of a channel speaks: set is what somebody said, and told
// what the platform tells.
func (st *state) language(channel, set, told string) routing.Language {
	otherwise := ""
	if ch := st.channel(channel); ch != nil {
		otherwise = ch.DefaultLanguage
	}
	return routing.ChooseLanguage(set, told, otherwise)
}

// language is what the contact of an errand's conversation speaks; empty: nobody knows.
func (m *matter) language() string {
	return m.t.c.queues.state().language(m.v.channel, m.row.language, m.v.language).Code
}

// languageBefore is what was said in the contact's conversation before.
func (t *txn) languageBefore(v *convRow) (language string, err error) {
	_, err = one(t.ctx, t, []any{&language}, `SELECT r.language FROM conversations v JOIN routings r ON r.conversation = v.id
		WHERE v.contact = ? AND v.id <> ? ORDER BY v.created_at DESC, v.id DESC LIMIT 1`, v.contact, v.id)
	return language, err
}

// speaks takes over a language that a bot or a webhook names; anything else is left out.
func (row *routingRow) speaks(language string) {
	if validLanguage(language) {
		row.language = language
	}
}

func validLanguage(tag string) bool {
	return len(tag) <= routing.MaxLanguageBytes && routing.ValidLanguage(tag)
}
