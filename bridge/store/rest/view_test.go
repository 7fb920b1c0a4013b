package rest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func jsonFields(t reflect.Type) map[string]bool {
	fields := map[string]bool{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[name] = true
	}
	return fields
}

// A field that is added to the model is added here too, or left out on purpose.
func TestViewsFollowTheModel(t *testing.T) {
	for _, pair := range []struct {
		model, view any
		hidden      []string
	}{
		{message.Message{}, Message{}, nil},
		{message.Attachment{}, Attachment{}, []string{"ref"}},
		{message.Contact{}, Party{}, nil},
		{message.Author{}, Author{}, nil},
		{message.Location{}, Location{}, nil},
		{message.ContactCard{}, ContactCard{}, nil},
		{message.Postback{}, Postback{}, nil},
		{message.Button{}, Button{}, nil},
		{message.Reaction{}, Reaction{}, nil},
		{message.Entity{}, Entity{}, nil},
		{message.Template{}, Template{}, nil},
		{message.Card{}, Card{}, nil},
		{message.Referral{}, Referral{}, nil},
		{message.Mail{}, Mail{}, nil},
		{store.Conversation{}, Conversation{}, nil},
		{store.Owner{}, Owner{}, nil},
		{store.Contact{}, Contact{}, nil},
		{store.Identity{}, Identity{}, nil},
		{store.Event{}, Event{}, nil},
		{store.RawEntry{}, RawEntry{}, nil},
		{store.ReplayResult{}, ReplayResult{}, nil},
		{store.OwnerChange{}, OwnerChange{}, nil},
		{store.AgentOffer{}, Offer{}, nil},
	} {
		want := jsonFields(reflect.TypeOf(pair.model))
		for _, name := range pair.hidden {
			delete(want, name)
		}
		assert.Equal(t, want, jsonFields(reflect.TypeOf(pair.view)), "%T", pair.model)
	}
}

// fill sets every field, so that a conversion that forgets one shows.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("bytes"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("filled")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	}
}

func TestConversionsForgetNothing(t *testing.T) {
	check := func(model, view any) {
		t.Helper()
		want, err := json.Marshal(model)
		require.NoError(t, err)
		got, err := json.Marshal(view)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(got))
	}
	var event store.Event
	fill(reflect.ValueOf(&event).Elem())
	event.Message.Attachments[0].Ref = ""
	event.Message.Attachments[0].MediaID = "" // its URL is another test's
	check(event, viewEvent(event))
	var conversation store.Conversation
	fill(reflect.ValueOf(&conversation).Elem())
	check(conversation, viewConversation(conversation))
	var contact store.Contact
	fill(reflect.ValueOf(&contact).Elem())
	check(contact, viewContact(contact))
	var raw store.RawEntry
	fill(reflect.ValueOf(&raw).Elem())
	check(raw, viewRaw(raw))
}

func TestAttachmentsLeadToTheirBytes(t *testing.T) {
	for name, test := range map[string]struct {
		in  message.Attachment
		url string
	}{
		"stored":      {message.Attachment{MediaID: "m", Ref: "AgACAgIA", State: message.MediaStored}, "/v1/media/m"},
		"pending":     {message.Attachment{MediaID: "m", Ref: "AgACAgIA", State: message.MediaPending}, ""},
		"unavailable": {message.Attachment{MediaID: "m", Ref: "AgACAgIA", State: message.MediaUnavailable}, ""},
		"outside":     {message.Attachment{URL: "https://example.org/a.png"}, "https://example.org/a.png"},
		"uploaded":    {message.Attachment{MediaID: "m"}, "/v1/media/m"},
	} {
		t.Run(name, func(t *testing.T) {
			view := viewAttachment(test.in)
			assert.Equal(t, test.url, view.URL)
			encoded, err := json.Marshal(view)
			require.NoError(t, err)
			assert.NotContains(t, string(encoded), "AgACAgIA")
		})
	}
}
