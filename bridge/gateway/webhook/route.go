package webhook

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/wallclock"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// route gives each element to the channel whose account it names. Only a
// channel that would have accepted the request itself gets an element: whoever
// has the secret of one channel must not write into another. What nobody may
// have stays unrouted in the journal, which learns who refused it.
func route(req *request, events []message.Event) routed {
	r := routed{elements: make([]wire.Element, len(events)), strangers: map[string]bool{}, off: map[string]bool{}}
	for i, e := range events {
		r.elements[i].Event = e
		switch ch := req.channelOf(e); {
		case ch == nil:
			if name := req.snapshot.Off(req.place.platform.Name(), req.app(), e.Account); name != "" {
				r.off[name] = true
			}
		case req.trusts(ch):
			r.elements[i].Channel = ch.Name
		default:
			r.strangers[ch.Name] = true
		}
	}
	return r
}

// routed is where the elements of a request go.
type routed struct {
	elements []wire.Element
	// strangers are the channels that were named but do not trust the request;
	// their secret may be an old one.
	strangers map[string]bool
	// off are the channels that were named but do not run, as something is wrong
	// with their entry in the document. The request is not acknowledged: it comes
	// again, for 36 h from Meta, and what others have of it is stored by then.
	off map[string]bool
}

// rotating says that an app's secret is being rotated: a channel that accepts the
// request had another one until a moment ago. Each channel of an app has its own
// Secret, and they get the new one after each other, so that a stranger will
// accept the same request soon. Until then, or until the document says that it
// took too long, the platform is asked to send again, and what others have of it
// is stored by then. Who has only the former secret is accepted by no channel that
// has the new one, so that nobody can hold the app up with a secret that leaked.
func (req *request) rotating(now time.Time) bool {
	for ch, trusted := range req.trust {
		if trusted && ch.Spec.App != "" && now.Before(ch.Spec.RotatingUntil) {
			return true
		}
	}
	return false
}

// channelOf is the channel that an element names; nil when nobody here is it.
func (req *request) channelOf(e message.Event) *channels.Channel {
	p := req.place
	switch {
	case p.app != nil:
		return p.app.Account(e.Account)
	case e.Account == "" || e.Account == p.channel.Spec.Account:
		return p.channel
	}
	return req.snapshot.Account(p.channel.Spec.Platform, e.Account)
}

// trusts asks a channel that is not of the place itself, once.
func (req *request) trusts(ch *channels.Channel) bool {
	trusted, asked := req.trust[ch]
	if !asked && req.place.app == nil {
		trusted = ch.Platform.Verify(ch.Loaded, req.Request, wallclock.Now())
		req.trust[ch] = trusted
	}
	return trusted
}

// app is the platform's id of the app that the place belongs to; "" where there
// is none.
func (req *request) app() string {
	for ch := range req.place.each {
		return ch.Spec.App
	}
	return ""
}

// refusers are the accounts of channels that the request may not be given to,
// now or at a replay: all of the app that do not accept it, and what else an
// element has named. A payload may speak of more than today's parser finds in
// it, so the app's are asked whether or not an element names them.
func (req *request) refusers() []string {
	app := req.place.app
	if app == nil {
		ch := req.place.channel
		if app = req.snapshot.App(ch.Spec.Platform, ch.Spec.App); app != nil {
			for other := range app.Verify(req.Request, wallclock.Now()) {
				req.trust[other] = true
			}
		}
	}
	refused := map[string]bool{}
	if app != nil {
		for ch := range app.Channels {
			if !req.trust[ch] && app.Account(ch.Spec.Account) == ch {
				refused[ch.Spec.Account] = true
			}
		}
	}
	for ch, trusted := range req.trust {
		if !trusted {
			refused[ch.Spec.Account] = true
		}
	}
	return slices.Sorted(maps.Keys(refused))
}

// vouchers are the namespaces of the channels of the app that accept the request,
// sorted; refusers has asked them. Whoever made a channel of an app that is not
// theirs, with a secret of their own, vouches for their namespace alone.
func (req *request) vouchers() []string {
	app := req.app()
	if app == "" {
		return nil
	}
	var namespaces []string
	for ch, trusted := range req.trust {
		if namespace, _, _ := strings.Cut(ch.Name, "/"); trusted && ch.Spec.App == app && !slices.Contains(namespaces, namespace) {
			namespaces = append(namespaces, namespace)
		}
	}
	slices.Sort(namespaces)
	return namespaces
}

// journalChannel is the URL that the payload came in on, for the journal. An
// app's URL is nobody's, unless one channel is all there is: then also what
// became no element is its.
func (req *request) journalChannel(elements []wire.Element) string {
	if req.place.channel != nil {
		return req.place.channel.Name
	}
	if len(elements) == 0 && len(req.trust) == 1 {
		for ch := range req.trust {
			return ch.Name
		}
	}
	return ""
}
