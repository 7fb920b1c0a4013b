package store

import "github.com/bridgekeeper/bridgekeeper/bridge/message"

// partState is where one part of an outbound message stands.
//
//	            ┌────────────── not sent for sure ──────────────┐
//	            ▼                                               │
//	queued ──► sending ──► sent                                 │
//	  │            ├─────► failed      refused for good         │
//	  │            └─────► unknown ─── the outcome was learnt ──┤
//	  │                        └──────────────────────────────► sent, failed
//	  ├──► held        an earlier part is unknown; queued again when that is learnt
//	  ├──► cancelled   an earlier part failed, or the message was withdrawn
//	  └──► unknown     restored from a backup: it may have been sent since
type partState string

const (
	partQueued    partState = "queued"
	partSending   partState = "sending" // a bridge is about to send it, or is sending it
	partSent      partState = "sent"
	partFailed    partState = "failed"
	partUnknown   partState = "unknown"
	partHeld      partState = "held"
	partCancelled partState = "cancelled"
)

// deliveryState is where an outbound message stands in the outbox, before
// receipts: the parts say it, except that it was withdrawn.
type deliveryState string

const (
	deliveryQueued     deliveryState = "queued" // something is left to send: the only state that keeps a lane busy
	deliverySent       deliveryState = "sent"
	deliveryFailed     deliveryState = "failed"
	deliveryUnknown    deliveryState = "unknown"
	deliveryCancelled  deliveryState = "cancelled"
	deliverySuperseded deliveryState = "superseded"
)

// deriveDelivery is the state that the parts of a message give it. One part
// that failed fails the message, as the contact will not see all of it; one
// whose outcome is not known leaves the message unknown.
func deriveDelivery(parts []partState) deliveryState {
	count := make(map[partState]int, len(parts))
	for _, p := range parts {
		count[p]++
	}
	switch {
	case count[partFailed] > 0:
		return deliveryFailed
	case count[partUnknown] > 0:
		return deliveryUnknown
	case count[partQueued]+count[partSending]+count[partHeld] > 0:
		return deliveryQueued
	case count[partCancelled] > 0:
		return deliveryCancelled
	default:
		return deliverySent
	}
}

// settleRest gives the parts that have not been tried the state that follows
// from the others: after a failure they are cancelled, behind an unknown one
// they are held, and when that is cleared up they are queued again.
func settleRest(parts []partState) {
	failed, unknown := false, false
	for _, p := range parts {
		failed = failed || p == partFailed
		unknown = unknown || p == partUnknown
	}
	for i, p := range parts {
		switch {
		case p != partQueued && p != partHeld:
		case failed:
			parts[i] = partCancelled
		case unknown:
			parts[i] = partHeld
		default:
			parts[i] = partQueued
		}
	}
}

// messageStatus is the status that people see. Receipts are those of the
// message's external ids ("" where none came yet); they count once everything
// is sent.
func messageStatus(d deliveryState, receipts []message.Status) message.Status {
	switch d {
	case deliverySent:
		return joinParts(receipts)
	case deliveryFailed:
		return message.StatusFailed
	case deliveryUnknown:
		return message.StatusUnknown
	case deliveryCancelled:
		return message.StatusCancelled
	case deliverySuperseded:
		return message.StatusSuperseded
	default:
		return message.StatusQueued
	}
}
