// Package cli is what the commands of both binaries, bridgekeeper and bridge,
// have in common: what they say of themselves, and of mistakes on their command
// lines.
package cli
