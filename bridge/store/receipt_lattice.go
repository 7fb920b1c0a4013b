package store

import "github.com/bridgekeeper/bridgekeeper/bridge/message"

// receiptRank orders what receipts can say of one external id. Taking the
// highest is the whole rule: it does not depend on the order in which receipts
// arrive, nor on how often. failed stands between sent and delivered: it is
// reached from below delivered only, and a delivery that was proved afterwards
// outweighs it.
var receiptRank = map[message.Status]int{
	"":                      0,
	message.StatusSent:      1,
	message.StatusFailed:    2,
	message.StatusDelivered: 3,
	message.StatusRead:      4,
}

// joinReceipt is the status of one external id after one more receipt.
// Statuses that a receipt cannot have change nothing.
func joinReceipt(have, receipt message.Status) message.Status {
	if receiptRank[receipt] > receiptRank[have] {
		return receipt
	}
	return have
}

// joinParts is the status of a message that is sent as a whole, from its
// external ids: failed when one of them failed, else as far as the one that is
// least far, since a message was read when all of it was.
func joinParts(receipts []message.Status) message.Status {
	least := message.Status("")
	for i, r := range receipts {
		if r == message.StatusFailed {
			return message.StatusFailed
		}
		if i == 0 || receiptRank[r] < receiptRank[least] {
			least = r
		}
	}
	if least == "" {
		return message.StatusSent
	}
	return least
}
