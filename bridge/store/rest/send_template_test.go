package rest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

func TestATemplateAndTheStyleOfButtonsReachTheStore(t *testing.T) {
	var in sendInput
	require.NoError(t, json.Unmarshal([]byte(`{
		"text":"ours:", "buttonStyle":"quickReplies", "buttons":[{"title":"More","payload":"MORE"}],
		"template":{"cards":[{"title":"Shirt","subtitle":"Blue","imageUrl":"https://a.example.com/s.jpg","url":"https://a.example.com/s","buttons":[{"title":"Buy","payload":"BUY"}]}]}}`), &in.Body))
	req := in.request("shop/desk")
	assert.Equal(t, message.TypeTemplate, req.Type, "implied")
	assert.Equal(t, message.ButtonStyleQuickReplies, req.ButtonStyle)
	assert.Equal(t, &message.Template{Cards: []message.Card{{
		Title: "Shirt", Subtitle: "Blue", ImageURL: "https://a.example.com/s.jpg", URL: "https://a.example.com/s", Buttons: []message.Button{{Title: "Buy", Payload: "BUY"}},
	}}}, req.Template)
}
