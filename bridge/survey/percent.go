package survey

import (
	"fmt"
	"strconv"
	"strings"
)

// ParsePercent reads "12.5%" as 1250 slots of 0.01 %, the steps in which
// sampling works: more decimals could not be kept.
func ParsePercent(text string) (slots int, err error) {
	number, ok := strings.CutSuffix(text, "%")
	whole, decimals, hasPoint := strings.Cut(number, ".")
	if len(decimals) > 2 && isDigits(decimals) && isDigits(whole) {
		return 0, fmt.Errorf("%q is finer than steps of 0.01 %%; write at most two decimals, like 12.34%%", text)
	}
	if !ok || !isDigits(whole) || len(whole) > 3 || hasPoint && !isDigits(decimals) {
		return 0, fmt.Errorf("%q is not a percentage; write it like 12.5%%", text)
	}
	slots, err = strconv.Atoi(whole + (decimals + "00")[:2])
	if err != nil || slots > 10_000 {
		return 0, fmt.Errorf("%q is more than 100%%", text)
	}
	return slots, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
