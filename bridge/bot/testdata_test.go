package bot

// shop is a bot with everything.
const shop = `{
  "name": "shop/bot", "defaultLanguage": "en",
  "greeting": {"en": "Hello!", "de": "Hallo!"},
  "menus": [
    {"name": "main", "text": {"en": "What is it about?", "de": "Worum geht es?"}, "options": [
      {"name": "order", "title": {"en": "My order", "de": "Meine Bestellung"}, "keywords": {"en": ["delivery", "parcel"], "de": ["Paket"]}, "then": {"menu": "order"}},
      {"name": "hours", "title": {"en": "Opening hours", "de": "Öffnungszeiten"}, "then": {"text": {"en": "Nine to five.", "de": "Neun bis fünf."}}},
      {"name": "person", "title": {"en": "A person"}, "then": {"handover": true, "topics": ["general"]}}
    ]},
    {"name": "order", "text": {"en": "What about your order?"}, "options": [
      {"name": "late", "title": {"en": "It is late"}, "then": {"text": {"en": "I fetch somebody who knows."}, "handover": true, "topics": ["delivery", "late"]}},
      {"name": "back", "title": {"en": "Back"}, "then": {"menu": "main"}}
    ]}
  ],
  "answers": [
    {"name": "refund", "keywords": {"en": ["refund", "money back"], "de": ["Geld zurück"]}, "then": {"text": {"en": "Refunds take 3 days."}, "topics": ["refund"]}},
    {"name": "tracking", "pattern": "(?i)\\b[A-Z]{2}\\d{9}DE\\b", "then": {"text": {"en": "That is a parcel number."}, "menu": "order"}}
  ],
  "fallback": {"en": "I did not understand that.", "de": "Das habe ich nicht verstanden."},
  "handover": {"keywords": {"en": ["agent", "human"], "de": ["Mensch", "Mitarbeiter"]}, "text": {"en": "One moment.", "de": "Einen Moment."}, "maxTurns": 5, "maxMisses": 2}
}`
