package compile

import (
	"bytes"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Changed says whether a compiled document differs from the one that is
// written. It compares hashes and encodes nothing.
func Changed(doc, previous *document.Document) bool {
	if doc == nil || previous == nil {
		return doc != previous
	}
	if doc.Kind != previous.Kind || doc.Name != previous.Name || doc.Generation != previous.Generation ||
		len(doc.Entries) != len(previous.Entries) || !bytes.Equal(doc.Settings, previous.Settings) {
		return true
	}
	hashes := make(map[string]string, len(previous.Entries))
	for _, e := range previous.Entries {
		hashes[e.Key()] = e.Hash
	}
	for _, e := range doc.Entries {
		if hashes[e.Key()] != e.Hash {
			return true
		}
	}
	return false
}

// Encode writes a compiled document as shard files and sets its Hash and
// Shards. It uses at least as many shards as the previous document, so that
// entries stay where they are. A document that does not fit comes back as a
// finding on its Bridge or store; what is written stays in force then.
func Encode(doc, previous *document.Document) ([][]byte, *Finding) {
	newest := document.Codecs()[:1]
	files, finding := EncodeAs(doc, previous, newest)
	return files[newest[0].Major], finding
}

// EncodeAs is Encode in several major versions, the newest first.
func EncodeAs(doc, previous *document.Document, codecs []document.Codec) (map[int][][]byte, *Finding) {
	least := 1
	if previous != nil {
		least = len(previous.Shards)
	}
	files, err := document.EncodeAll(doc, least, codecs)
	if err != nil {
		return nil, wrong(v1alpha1.ConditionReady, v1alpha1.ReasonDocumentTooLarge, "document", err.Error())
	}
	return files, nil
}
