package routing

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Slots is how many slots there are: one is 0.01 % of all units.
const Slots = 10_000

// MaxWeight bounds one weight, as Gateway API does.
const MaxWeight = 1_000_000

// Slot maps names to 0..9999, evenly and for ever the same:
//
//	key  = the parts, joined by one 0x00 byte, UTF-8 in NFC
//	u    = the first 8 bytes of SHA-256(key), a big-endian 64-bit number
//	slot = floor(u · 10 000 / 2⁶⁴)
//
// It is specified, not merely implemented: testdata/split.py and a test in SQL
// compute the same numbers. Callers give different first parts (seeds) to what
// must not correlate, and no part holds a 0x00 byte.
//
//	a rule's split   seed ("namespace/name" of the policy by default), rule, step, unit
//	a survey's       seed, "sample" or "arm", unit
//	a holdout's      "group/" + group, "holdout", unit
func Slot(parts ...string) int {
	// Names and ids fit; longer keys grow onto the heap.
	var buffer [512]byte
	key := buffer[:0]
	for i, part := range parts {
		if i > 0 {
			key = append(key, 0)
		}
		if isASCII(part) || norm.NFC.QuickSpanString(part) == len(part) {
			key = append(key, part...)
		} else {
			key = append(key, norm.NFC.String(part)...)
		}
	}
	sum := sha256.Sum256(key)
	high, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:8]), Slots)
	return int(high)
}

// Pick is the index of the weight that a slot falls to: the first i with
//
//	floor(10 000 · (w₀+…+wᵢ) / (w₀+…+wₙ)) > slot
//
// so that raising the last weight only adds slots to it, and a weight of 0 keeps
// its place and gets nothing. Reordering weights moves people. Negative weights
// count as 0, and those above MaxWeight as that. Without a positive weight it is -1.
func Pick(slot int, weights []int) int {
	var sum int64
	for _, w := range weights {
		sum += clampWeight(w)
	}
	if sum == 0 {
		return -1
	}
	var before int64
	for i, w := range weights {
		before += clampWeight(w)
		if Slots*before/sum > int64(slot) {
			return i
		}
	}
	return -1 // slot is not one: 10 000 or more
}

func clampWeight(w int) int64 { return int64(max(0, min(w, MaxWeight))) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
