package compile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

func TestADocumentThatDoesNotFitIsAFinding(t *testing.T) {
	doc := &document.Document{Kind: document.KindBridge, Name: "shop/default"}
	for i := range 34 { // of half a MiB each: 17 MiB, and 16 fit
		e, err := document.NewEntry(document.EntryChannel, fmt.Sprintf("shop/c%d", i), 1, strings.Repeat("x", 512<<10))
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	files, finding := Encode(doc, nil)
	require.Nil(t, files)
	require.NotNil(t, finding)
	require.Equal(t, v1alpha1.ReasonDocumentTooLarge, finding.Reason)
	require.True(t, finding.Terminal)
	require.Contains(t, finding.Message, "several Bridges")
}
