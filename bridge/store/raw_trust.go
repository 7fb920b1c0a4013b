package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// trust is for whom a payload was vouched when it came. Whose account an event
// names is the word of whoever signed the payload; a replay, which cannot verify
// it again (headers and secrets are the bridge's), must not believe it any
// further than the bridge did:
//
//	the channel it came in on                    yes
//	an account whose channel refused it          never, whatever it is called now
//	an account whose channel accepted it         yes
//	an account that no channel had then          yes, to a channel of the same app in
//	                                             a namespace that had an accepting one;
//	                                             without apps: of the same namespace
//
// Anybody may make a Channel of an app that is not theirs, with a secret of their
// own, and sign what they like for an account that has no channel yet. So the app
// alone leads nowhere, the namespace does: who may make Channels in it may read
// what is in them. An administrator who names an entry by its id has looked at it,
// and leads it to whatever channel of the app has the account.
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
	// Vouched are the namespaces of channels of App that accepted it.
	Vouched []string `json:"vouched,omitempty"`

	named bool // by an administrator who replays this very entry
}

// trustOf is what the bridge that took an envelope in says of it.
func trustOf(env *intake) trust {
	tr := trust{App: env.App, Vouched: env.vouched}
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

// vouched are the namespaces that a Bridge says have vouched for an envelope, as
// far as it has channels of that app there: no Bridge speaks for another one's.
func (st *state) vouched(env *wire.Envelope, bridge string) (namespaces []string) {
	for _, ns := range env.Vouched {
		if st.apps[app{bridge, env.Platform, env.App, ns}] && !slices.Contains(namespaces, ns) {
			namespaces = append(namespaces, ns)
		}
	}
	slices.Sort(namespaces)
	return namespaces
}

// app is a platform's app as the channels of one Bridge and namespace have it.
type app struct{ bridge, platform, id, namespace string }

// covers says whether a channel that is named by its account may be given an
// event of the payload.
func (tr trust) covers(ch *Channel) bool {
	switch {
	case tr.refused(ch):
		return false
	case slices.Contains(tr.Accepted, ch.Account):
		return true
	case tr.App != "" || ch.App != "":
		return tr.App == ch.App && (tr.named || slices.Contains(tr.Vouched, ch.Namespace))
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
