package survey

import "strings"

// The words that tell an experience from what is counted, wanted or chosen: see
// remarks. Like the lists of reply_vocabulary.go they hold in all languages and need
// not be complete. An entry of several words is a phrase.

// taleLine are words of somebody who tells how it went. Nobody counts or orders with
// them, so units behind them ("took a week") are part of what is told.
const taleLine = "still not|still no|still waiting|still nothing|immer noch|noch immer|toujours pas|todavia no|aun no|ainda nao|ancora non|nog steeds|до сих пор|nadal nie|" +
	"nobody|no one|noone|never|ignored|answered|replied|waited|to wait|have waited|had to|on hold|on the phone|on the line|took a|took an|took ages|took forever|took too|took so|took over|took weeks|took days|took hours|" +
	"took more|took long|took me|happens|happened|money back|my money|without notice|no reply|no answer|no response|no refund|a reply|an answer|called me|call me back|called back|kept me|hung up|no help|did not help|didnt help|doesnt work|didnt work|did not work|not working|five star|five stars|" +
	"kam nicht|kamen nicht|nicht angekommen|niemand|keine antwort|keiner|gewartet|warten mussen|musste|dauerte|gedauert|gemeldet|geld zuruck|nie wieder|jamais|personne|attendu|attente|dattente|aucune réponse|pas de réponse|sans réponse|nunca|nadie|espere una|espere un|espere mas|espere dos|he esperado|llevo esperando|estuve esperando|esperamos|sin respuesta|tardaron|ninguem|esperei|sem resposta|" +
	"nessuno|aspettat*|senza risposta|niemand|nooit|gewacht|geen antwoord|никто|никогда|ждал*|не отвеча*|не ответил*|не пришл*|ніхто|ніколи|чекал*|nikt|nigdy|czekal*|czekał*|nikdo|nikdy|cekal*|nikto|ingen|aldrig|aldri|ventet|vantat|kukaan|senki|vartam|nimeni|niciodata|" +
	"kimse|bekledim|asla|cevap vermedi*|لم يرد*|لم يصل|لم تصل|انتظرت|لا احد|هيچ كس|منتظر|किसी ने|इंतजार|इंतज़ार|कभी नहीं|khong ai|tidak ada yang|tidak pernah|menunggu"

// goodsLine are what happens to goods and orders: the number before one may be how
// many ("3, missing") or a score ("0, my package is lost").
const goodsLine = "lost|missing|arriv*|deliver*|cancel*|canceled|damaged|broken|stolen|ordered|came|shipped|refund*|verloren|fehlt|fehlen|angekommen|kaputt|storniert|geliefert|wurden|perdu*|annul*|livre|livree|recu|recue|abime*|casse*|perdid*|llego|llegaron|cancelad*|roto*|entregado*|entregue|" +
	"chegou|chegaram|arrivat*|consegnat*|annullat*|rotto|rotti|kwijt|geleverd|geannuleerd|пропал*|потерял*|сломан*|отмен*|доставл*|пришл*|zgubion*|zaginel*|zepsut*|anulowa*|dostarczo*|ztracen*|kayip|iptal|gelmedi|kirik|مفقود*|مكسور*|وصلت|وصل"

// weakLine are words of sentences that are about anything: they make an opinion of
// others, but are none, whatever opinionLines say of them.
const weakLine = "was|were|wasnt|too|very|really|because|still|yet|everything|nothing|all|sehr|immer|immernoch|leider|weil|war|waren|nichts|wurde|trop|tres|rien|parce|etait|muy|demasiado|nada|porque|fue|era|estuvo|muito|foi|molto|niente|perche|stato|troppo|" +
	"heel|erg|zeer|niets|omdat|очень|ничего|потому|был|была|было|были|слишком|дуже|нічого|був|було|була|bardzo|nic|byl|byla|bylo|był|była|było|zbyt|velmi|protoze|prilis|pretoze|bol|bola|bolo|mycket|veldig|meget|var|oli|todella|nagyon|mert|volt|foarte|fost|много|беше|vrlo|jako|bilo|zelo|" +
	"labai|loti|bija|buvo|vaga|πολυ|ηταν|cok|cunku|hic|جدا|كان|كانت|لان|خيلي|بود|نبود|چون|מאוד|היה|היתה|הייתה|बहुत|था|थी|rat|sangat|sekali|sana|molt"

// beginnerLine are verbs whose subject the number before them may be: "3, were
// missing", "10, was the price".
const beginnerLine = "was|were|is|are|has|have|war|waren|ist|sind|wurde|wurden|etait|etaient|est|sont|fue|fueron|era|eran|es|son|foi|foram|eram|sao|stato|stati|erano|sono|zijn|waren|был|была|было|были|byl|byla|bylo|byly|był|była|było|były|var|oli|volt|كان|كانت|بود|היה|היתה"

// openLine are words that as many scores as other numbers stand before: "8, price a
// bit high", "8, fair price?".
const openLine = "price*|pricing|offer*|seat*|shelf|shelves|stock|rest|late|later|early|earlier|cheap*|one|ones|either|then|preis*|angebot*|spat|spater|fruh|fruher|rest|sitz*|prix|offre*|tard|plus tard|tot|precio*|oferta*|temprano|preco*|cedo|prezzo|prezzi|offerta|tardi|presto|prijs*|laat|later|" +
	"цен*|поздно|рано|cena|ceny|cene|pozno|pozde|fiyat*|gec|erken|السعر|سعر|قيمت|כיסא|מחיר|कीमत|harga|gia|hill|view|station|see you|see u|meet you|be there|bis dann|bis morgen|a demain|hasta manana|a domani|tot morgen|до завтра|do zobaczenia|do jutra|" +
	"works for me|suits me|suit me|fits me|passt mir|me va bien|me viene bien|ca me va|mi va bene|мне подходит|pasuje mi|bana uyar|cepat ya|as soon as"

// hurryLine are wishes that only some languages' particles make.
const hurryLine = "deliver|ship|liefern|liefert|livrez|entregar|entreguen|nhe|nha|schneller|hurry|asap|быстрее|побыстрее|rapido por|prego|szybko"

// subjectLine are what a survey asks about: with praise or complaint before it,
// a day or a time behind it is when that was ("great service today").
const subjectLine = "service*|help|support|team|staff|experience|job|advice|agent*|assistant|communication|hilfe|beratung|personal|mitarbeiter*|equipe|conseil*|servicio|atencion|atendimento|servizio|assistenza|hulp|medewerker*|обслуж*|сервис*|поддержк*|obslug*|obsług*|pomoc|hizmet*|خدم*|שירות*|सेवा|layanan|pelayanan"

// greetingLine are greetings: they are no opinion of anything, although "good" is
// in many of them.
const greetingLine = "hello|hi|hey|good morning|good day|good evening|good night|good afternoon|have a good day|have a nice day|have a good one|hallo|guten tag|guten morgen|guten abend|gute nacht|schonen tag|bonjour|bonsoir|bonne journee|bonne soiree|hola|buenos dias|buenas|buenas tardes|buenas noches|buen dia|" +
	"ola|bom dia|boa tarde|boa noite|ciao|salve|buongiorno|buon giorno|buonasera|buona sera|buona giornata|buona serata|goedemorgen|goedemiddag|goedenavond|goedendag|привет|здравствуйте|добрый день|добрый вечер|доброе утро|добрий день|доброго дня|dzien dobry|dobry wieczor|milego dnia|" +
	"dobry den|dobre rano|dobry vecer|hezky den|dobar dan|dobro jutro|добър ден|god dag|god morgen|god kveld|god morgon|hyvaa paivaa|hyvaa huomenta|jo napot|jo reggelt|buna ziua|buna seara|καλημερα|καλησπερα|merhaba|selam|iyi gunler|iyi aksamlar|gunaydin|مرحبا|السلام عليكم|صباح الخير|مساء الخير|سلام|" +
	"שלום|בוקר טוב|ערב טוב|नमस्ते|xin chao|selamat pagi|selamat siang|selamat malam|magandang umaga|habari|你好*|您好*|早上好*|こんにちは*|おはよう*|안녕*|สวัสดี*"

// idiomLine are praise and complaint of several words, some of which are counted
// elsewhere.
const idiomLine = "on time|in time|second to none|no complaints|no complaint|no problem|no problems|no issues|keep it up|keep up|room for improvement|one of the best|first class|top notch|well done|add more|improve*|please fix|could be better|should be better|weiter so|geht so|alles gut|luft nach oben|keine probleme|doch keine ahnung|habt keine ahnung|hat keine ahnung|haben keine ahnung|ihr seid|you have no idea|they have no idea|has no idea|au top|rien a dire|rien a redire|sans probleme|" +
	"sin problemas|sin problema|todo bien|todo perfecto|tudo certo|tudo bem|sem problemas|tutto ok|tutto bene|nessun problema|alles goed|geen klachten|все ок|без проблем|все отлично|все добре|wszystko ok|bez problemow|bez zastrzezen|vse ok|bez problemu|sorunsuz|sorun yok|بدون مشاكل|nhiet tinh|khong van de|tidak ada masalah" //nolint:misspell // Spanish

// articleLine and ownLine are passed over to find what a comment is about. ownLine
// begins what is told of one's own matter, of which nobody has a number.
const (
	articleLine = "the|a|an|der|die|das|den|le|la|les|el|los|las|il|lo|gli|os|as|het|ein|eine|un|une|una|um|uma"
	ownLine     = "delivery|lieferung|versand|ware|livraison|consegna|levering|bezorging|доставка|dostawa|teslimat|my|our|mein|meine|meinen|unsere|mon|ma|notre|mi|nuestro|nuestra|meu|minha|mio|mia|mijn|ons|мой|моя|мои|мое|мій|moj|moja|moje"
	// placeLine begins where and when, not how, something was: "8/10, at the doctor's".
	placeLine = "at|in|near|until|till|bei|beim|im|chez|en|em|na|presso|bij|в|во|w|we|u"
)

// pleading is a pair of folded hands: thanks to some and please to others.
const pleading = '🙏'

// lexicon is a vocabulary with its phrases.
type lexicon struct {
	words   *vocabulary
	phrases map[string]bool
}

const longestPhrase = 4 // words of the lists' longest phrase

func makeLexicon(line string) *lexicon {
	l := &lexicon{phrases: map[string]bool{}}
	var words []string
	for entry := range strings.SplitSeq(line, "|") {
		if strings.Contains(entry, " ") {
			l.phrases[foldString(strings.TrimSuffix(entry, "*"))] = true
		} else {
			words = append(words, entry)
		}
	}
	l.words = makeVocabulary(strings.Join(words, "|"))
	return l
}

// match is how many tokens at the beginning are a phrase or a word of the lexicon,
// the longest first.
func (l *lexicon) match(tokens []token) int {
	words := 0
	for words < min(len(tokens), longestPhrase) && tokens[words].kind == tokenWord {
		words++
	}
	for ; words > 1; words-- {
		if l.phrases[phrase(tokens[:words])] {
			return words
		}
	}
	if words == 1 && l.words.has(tokens[0].word) {
		return 1
	}
	return 0
}

// The lexicons, made once and then only read.
var (
	tales     = makeLexicon(taleLine)
	goods     = makeLexicon(goodsLine)
	weaks     = makeLexicon(weakLine)
	opens     = makeLexicon(openLine)
	hurries   = makeLexicon(hurryLine)
	subjects  = makeLexicon(subjectLine)
	greetings = makeLexicon(greetingLine)
	idioms    = makeLexicon(idiomLine)
	beginners = makeLexicon(beginnerLine)
	articles  = makeLexicon(articleLine)
	owns      = makeLexicon(ownLine)
	places    = makeLexicon(placeLine)
)
