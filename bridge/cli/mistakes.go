package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// aboutTheCommandLine are the beginnings of cobra's errors about what was typed.
var aboutTheCommandLine = []string{
	"unknown command", "unknown flag", "unknown shorthand flag", "flag needs an argument", "invalid argument", "required flag(s)", "bad flag syntax",
}

// Explain is an error as it is printed: with the program's name and, when the
// command line itself was wrong, with where to read what is right. cmd is the
// command that failed, as Execute tells.
func Explain(cmd *cobra.Command, err error) string {
	message := fmt.Sprintf("%s: %v", cmd.Root().Name(), err)
	for _, beginning := range aboutTheCommandLine {
		if strings.HasPrefix(err.Error(), beginning) {
			return strings.TrimRight(message, "\n") + fmt.Sprintf("\nRun '%s --help' for what it takes.", cmd.CommandPath())
		}
	}
	return message
}
