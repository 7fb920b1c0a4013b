package store

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

var receiptStatuses = []message.Status{message.StatusSent, message.StatusFailed, message.StatusDelivered, message.StatusRead}

func TestReceiptsInAnyOrderGiveTheSameStatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		receipts := rapid.SliceOfN(rapid.SampledFrom(receiptStatuses), 1, 12).Draw(t, "receipts")
		shuffled := rapid.Permutation(append(receipts, receipts[0])).Draw(t, "shuffled")
		var a, b message.Status
		for _, r := range receipts {
			a = joinReceipt(a, r)
		}
		for _, r := range shuffled {
			b = joinReceipt(b, r)
		}
		require.Equal(t, a, b)
	})
}

func TestFailedIsReachedFromBelowDeliveredOnly(t *testing.T) {
	require.Equal(t, message.StatusFailed, joinReceipt(message.StatusSent, message.StatusFailed))
	require.Equal(t, message.StatusDelivered, joinReceipt(message.StatusDelivered, message.StatusFailed))
	require.Equal(t, message.StatusRead, joinReceipt(message.StatusRead, message.StatusFailed))
	require.Equal(t, message.StatusRead, joinReceipt(message.StatusRead, message.StatusDelivered))
	require.Equal(t, message.StatusSent, joinReceipt(message.StatusSent, message.StatusQueued), "not a receipt")
}

func TestAMessageIsAsFarAsItsLeastPart(t *testing.T) {
	const none = message.Status("")
	for _, c := range []struct {
		want message.Status
		ids  []message.Status
	}{
		{message.StatusSent, nil},
		{message.StatusSent, []message.Status{none, none}},
		{message.StatusSent, []message.Status{message.StatusRead, none}},
		{message.StatusDelivered, []message.Status{message.StatusRead, message.StatusDelivered}},
		{message.StatusRead, []message.Status{message.StatusRead, message.StatusRead}},
		{message.StatusFailed, []message.Status{message.StatusRead, message.StatusFailed, none}},
	} {
		require.Equal(t, c.want, joinParts(c.ids), "%v", c.ids)
	}
}
