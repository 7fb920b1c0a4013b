package store

import (
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// window is how a message stands to the platform's messaging window.
type window int

const (
	windowOpen     window = iota
	windowExtended        // over, but people may still answer
	windowClosed
)

// windowOf decides from recorded facts: when the contact last wrote (zero:
// never), who speaks, and whether the channel lets people answer for longer
// (StoreChannel.AgentWindow), which platforms grant to people only.
func windowOf(caps platform.Capabilities, agentWindow bool, author message.AuthorKind, last, now time.Time) window {
	since := now.Sub(last)
	switch {
	case caps.Window == 0 || since <= caps.Window:
		return windowOpen
	case agentWindow && author == message.AuthorAgent && since <= caps.AgentWindow:
		return windowExtended
	}
	return windowClosed
}

// windowReason says in words why a message is outside of the window, and what
// would let it pass.
func windowReason(caps platform.Capabilities, agentWindow bool, author message.AuthorKind) string {
	switch {
	case caps.AgentWindow <= caps.Window:
		return fmt.Sprintf("the contact last wrote more than %s ago; the platform takes no messages after that", caps.Window)
	case author != message.AuthorAgent:
		return fmt.Sprintf("the contact last wrote more than %s ago; after that only people may write, not %s", caps.Window, author)
	case !agentWindow:
		return fmt.Sprintf("the contact last wrote more than %s ago; the platform lets people answer for %s where the Channel allows it", caps.Window, caps.AgentWindow)
	}
	return fmt.Sprintf("the contact last wrote more than %s ago; the platform takes no messages of people after that either", caps.AgentWindow)
}

// window of what a lane is about to send.
func (h *head) window(ch *servedChannel, now time.Time) window {
	return windowOf(ch.caps, ch.AgentWindow, h.authorKind, h.lastInbound, now)
}

func (h *head) refuseWindow(ch *servedChannel) {
	h.fail(string(wire.ErrOutsideWindow) + ": " + windowReason(ch.caps, ch.AgentWindow, h.authorKind))
}
