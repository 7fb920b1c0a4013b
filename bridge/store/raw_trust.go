package store

import (
	"encoding/json"
	"fmt"
	"slices"
)

// trust is for whom a payload was vouched when it came. Whose account an event
// names is the word of whoever signed the payload; a replay, which cannot verify
// it again (headers and secrets are the bridge's), must not believe it any
// further than the bridge did:
//
//	the channel it came in on                    yes
//	an account whose channel refused it          never, whatever it is called now
//	an account whose channel accepted it         yes
//	an account that no channel had then          yes, to a channel of the same app;
//	                                             without apps: of the same namespace
//
// The last row is a limit: who had a channel of an app then has vouched, with a
// secret that need not be the one of the channel that has the account now. Only
// digests of the secrets, in the payload's entry and in the store's document,
// could tell; that is why a replay needs access admin, and its description says
// what to look at.
type trust struct {
	// App is the platform's id of the app whose URL, or whose channel's URL, the
	// payload came in on.
	App string `json:"app,omitempty"`
	// Namespace is that of the channel whose URL or poller it came in on; "" for
	// an app's URL.
	Namespace string `json:"namespace,omitempty"`
	// Accepted are accounts of channels that accepted it, as far as App and
	// Namespace do not say so.
	Accepted []string `json:"accepted,omitempty"`
	// Refused are accounts of channels that did not.
	Refused []string `json:"refused,omitempty"`
}

// trustOf is what the bridge that took an envelope in says of it.
func trustOf(env *intake) trust {
	tr := trust{App: env.App}
	if env.channel != nil {
		tr.Namespace = env.channel.Namespace
	}
	for i := range env.elements {
		if ch := env.elements[i].channel; ch != nil && !tr.covers(ch) {
			tr.Accepted = append(tr.Accepted, ch.Account)
		}
	}
	for _, account := range env.Refused {
		// A bridge that gave it an element does not mean it.
		if account = clean(account); account != "" && !slices.Contains(tr.Accepted, account) {
			tr.Refused = append(tr.Refused, account)
		}
	}
	slices.Sort(tr.Refused) // the same payload with the same trust is one entry
	tr.Refused = slices.Compact(tr.Refused)
	return tr
}

// covers says whether a channel that is named by its account may be given an
// event of the payload.
func (tr trust) covers(ch *Channel) bool {
	switch {
	case tr.refused(ch):
		return false
	case slices.Contains(tr.Accepted, ch.Account):
		return true
	case tr.App != "" || ch.App != "":
		return tr.App == ch.App
	}
	return tr.Namespace == ch.Namespace // a channel always has one
}

func (tr trust) refused(ch *Channel) bool { return slices.Contains(tr.Refused, ch.Account) }

// encode is the column, empty when there is nothing to tell.
func (tr trust) encode() (string, error) {
	if tr.App == "" && tr.Namespace == "" && len(tr.Accepted)+len(tr.Refused) == 0 {
		return "", nil
	}
	raw, err := json.Marshal(tr)
	return string(raw), err
}

func decodeTrust(column string) (tr trust, err error) {
	if column == "" {
		return tr, nil
	}
	if err = json.Unmarshal([]byte(column), &tr); err != nil {
		err = fmt.Errorf("column trust: %w", err)
	}
	return tr, err
}
