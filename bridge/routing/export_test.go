package routing

import "golang.org/x/text/unicode/norm"

func normalised(s string) []byte { return norm.NFC.Bytes([]byte(s)) }
