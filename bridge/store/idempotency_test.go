package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// as is the caller with a write of this key and content.
func as(key, fingerprint string) Scope {
	s := everything
	s.Write = Write{Key: key, Fingerprint: fingerprint}
	return s
}

func TestAVerbIsDoneOncePerKey(t *testing.T) {
	s, clock := testStore(t)
	id := getMessage(t, s, stored(t, s, telegram, text("m1", "hello"))).Conversation
	ana, bea := Owner{Kind: OwnerAgent, Name: "ana"}, Owner{Kind: OwnerAgent, Name: "bea"}
	v, err := s.Assign(t.Context(), as("k1", "ana"), id, ana, 0)
	require.NoError(t, err)
	require.Equal(t, ana, v.Owner)
	v, err = s.Assign(t.Context(), everything, id, bea, 0)
	require.NoError(t, err)

	again, err := s.Assign(t.Context(), as("k1", "ana"), id, ana, 0)
	require.NoError(t, err)
	require.Equal(t, v, again, "a late repetition takes back nothing that was done since")
	_, err = s.Assign(t.Context(), as("k1", "bea"), id, bea, 0)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "used for another request")
	_, err = s.Resolve(t.Context(), as(strings.Repeat("k", keyMax+1), "x"), id)
	var field *FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "idempotencyKey", field.Field)

	// What changed nothing is remembered too, what was refused is not.
	_, err = s.Reopen(t.Context(), as("k2", "reopen"), id)
	require.NoError(t, err)
	_, err = s.Resolve(t.Context(), everything, id)
	require.NoError(t, err)
	v, err = s.Reopen(t.Context(), as("k2", "reopen"), id)
	require.NoError(t, err)
	require.Equal(t, ConversationSolved, v.State)
	until := clock.Now().Add(time.Hour)
	_, err = s.Snooze(t.Context(), as("k3", "snooze"), id, until)
	require.ErrorIs(t, err, ErrConflict)
	_, err = s.Reopen(t.Context(), everything, id)
	require.NoError(t, err)
	v, err = s.Snooze(t.Context(), as("k3", "snooze"), id, until)
	require.NoError(t, err)
	require.Equal(t, ConversationSnoozed, v.State)

	clock.advance(keysKeptFor + time.Second)
	require.NoError(t, s.forgetKeys(t.Context()))
	require.Zero(t, count(t, s, "idempotent_writes"))
}

func TestAKeyOfAMessageIsNoOtherWrites(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	b.mustSend(conversation, SendRequest{IdempotencyKey: "k1", Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "hello"})
	_, err := b.Resolve(t.Context(), as("k1", "resolve"), conversation)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "used for a message")
}

func TestAnUploadIsKeptOncePerKey(t *testing.T) {
	s, _ := testStore(t)
	upload := func(scope Scope, namespace, content string) (string, error) {
		return s.UploadMedia(t.Context(), scope, namespace, MediaMeta{MimeType: "text/plain"}, strings.NewReader(content))
	}
	first, err := upload(as("k1", "a.txt"), "shop", "bytes")
	require.NoError(t, err)
	again, err := upload(as("k1", "a.txt"), "shop", "bytes")
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, 1, count(t, s, "media"))
	_, err = upload(as("k1", "a.txt"), "shop", "other bytes")
	require.ErrorIs(t, err, ErrConflict)
	elsewhere, err := upload(as("k1", "a.txt"), "other", "bytes")
	require.NoError(t, err)
	require.NotEqual(t, first, elsewhere, "a key is of its namespace")

	_, err = s.sweepOf(t, `DELETE FROM media WHERE namespace = 'shop'`)
	require.NoError(t, err)
	again, err = upload(as("k1", "a.txt"), "shop", "bytes")
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, body, err := s.OpenMedia(t.Context(), everything, again)
	require.NoError(t, err, "what nobody named in time, and is gone, is kept anew")
	defer body.Close()
	content, err := io.ReadAll(body)
	require.NoError(t, err)
	require.True(t, bytes.Equal([]byte("bytes"), content))
}

func TestAKeyOfAnotherWriteIsNoMessages(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	_, err := b.Resolve(t.Context(), as("k1", "resolve"), conversation)
	require.NoError(t, err)
	_, err = b.Send(t.Context(), everything, conversation, SendRequest{IdempotencyKey: "k1", Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "hello"})
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "used for another request")
}

// One key, a message and another write, at two replicas at once: one of them is
// done, whichever.
func TestReplicasShareKeys(t *testing.T) {
	list := replicas(t, 2)
	conversation := getMessage(t, list[0], stored(t, list[0], telegram, text("m1", "hello"))).Conversation
	for i := range 20 {
		key := fmt.Sprint("k", i)
		var wg sync.WaitGroup
		var sent, assigned error
		wg.Go(func() {
			_, sent = list[0].Send(t.Context(), everything, conversation, SendRequest{IdempotencyKey: key, Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "hello"})
		})
		wg.Go(func() {
			_, assigned = list[1].Assign(t.Context(), as(key, "assign"), conversation, Owner{Kind: OwnerAgent, Name: key}, 0)
		})
		wg.Wait()
		require.True(t, (sent == nil) != (assigned == nil), "%v, %v", sent, assigned)
		require.ErrorIs(t, errors.Join(sent, assigned), ErrConflict)
	}
}
