package survey

import "strings"

// Words of the languages that replies are read in, by base language of BCP 47.
// All of them go through the same normalisation as a reply (fold), so accents,
// case and spelling variants of a letter do not matter.

// numberLines are the words for 0 to 10, space between numbers, | between
// variants. A word with ? before it also means something else as a whole
// message ("no", "oh", "give"): it counts only with a unit or "of ten" after it.
var numberLines = map[string]string{
	"ar": "صفر واحد|واحدة اثنان|اثنين|اتنين ثلاثة|ثلاث|تلاتة أربعة|أربع خمسة|خمس ستة|?ست سبعة|سبع ثمانية|ثمان|ثماني|تمانية تسعة|تسع عشرة|عشر",
	"bg": "нула едно|един две|два три четири пет шест седем осем девет десет",
	"bn": "শূন্য এক দুই তিন চার পাঁচ ছয় সাত আট ?নয় দশ",
	"ca": "zero u|un|una dos|dues tres quatre cinc sis set vuit nou deu",
	"cs": "nula jedna|jeden dva|dvě tři čtyři pět šest sedm osm devět deset",
	"da": "nul en|et to tre fire fem seks syv otte ni ti",
	"de": "null eins|ein|eine zwei|zwo drei vier fünf|fuenf sechs sieben acht neun zehn",
	"el": "μηδέν ένα δύο|δυο τρία τέσσερα|τέσσερις πέντε έξι επτά|εφτά οκτώ|οχτώ εννέα|εννιά δέκα",
	"en": "zero|nought one two three four five six seven eight nine ten",
	"es": "cero uno|un|una dos tres cuatro cinco seis siete ocho nueve diez",
	"et": "null üks kaks kolm neli viis kuus seitse kaheksa üheksa kümme",
	"fa": "صفر یک دو سه چهار پنج شش|شیش هفت هشت ?نه ده",
	"fi": "nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen",
	"fr": "zéro un|une deux trois quatre cinq six sept huit neuf dix",
	"he": "אפס אחת|אחד שתיים|שניים|שתים שלוש|שלושה ארבע|ארבעה חמש|חמישה שש|שישה שבע|שבעה שמונה תשע|תשעה עשר|עשרה",
	"hi": "शून्य|ज़ीरो|जीरो एक ?दो तीन चार पाँच|पांच छह|छः|छे|छ सात आठ नौ दस",
	"hr": "nula jedan|jedna dva tri četiri pet šest sedam osam devet deset",
	"hu": "nulla egy kettő|két három négy öt hat hét nyolc kilenc tíz",
	"id": "nol satu dua tiga empat lima enam tujuh delapan sembilan sepuluh",
	"it": "zero uno|un|una due tre quattro cinque sei sette otto nove dieci",
	"ja": "〇|零|ゼロ|れい 一|いち 二|に 三|さん 四|よん|し 五|ご 六|ろく 七|なな|しち 八|はち 九|きゅう|く 十|じゅう",
	"ko": "영|공|제로 일|하나 ?이|둘 삼|셋 ?사|넷 ?오|다섯 육|여섯 칠|일곱 팔|여덟 구|아홉 십|열",
	"lt": "nulis vienas du trys keturi penki šeši septyni aštuoni devyni dešimt",
	"lv": "nulle viens divi trīs četri pieci seši septiņi astoņi deviņi desmit",
	"mr": "शून्य एक दोन तीन चार पाच सहा सात आठ नऊ दहा",
	"ms": "sifar|?kosong satu dua tiga empat lima enam tujuh lapan sembilan sepuluh",
	"nl": "nul een|één twee drie vier vijf zes zeven acht negen tien",
	"no": "null en|ett to tre fire fem seks sju|syv åtte ni ti",
	"pl": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć",
	"pt": "zero um|uma dois|duas três quatro cinco seis sete oito nove dez",
	"ro": "zero unu|un|una doi|două trei patru cinci șase|sase șapte|sapte opt nouă zece",
	"ru": "ноль|нуль один|единица два|двойка три|тройка четыре|четвёрка пять|пятёрка шесть семь восемь девять десять",
	"sk": "nula jeden|jedna dva|dve tri štyri päť šesť sedem osem deväť desať",
	"sl": "?nič|nula ena|eden dve|dva tri štiri pet šest sedem osem devet deset",
	"sr": "нула|nula један|jedan два|dva три|tri четири|četiri пет|pet шест|šest седам|sedam осам|osam девет|devet десет|deset",
	"sv": "noll en|ett två tre fyra fem sex sju åtta nio tio",
	"sw": "sifuri moja mbili tatu nne tano sita saba nane tisa kumi",
	"ta": "பூஜ்ஜியம் ஒன்று இரண்டு மூன்று நான்கு ஐந்து ஆறு ஏழு எட்டு ஒன்பது பத்து",
	"te": "సున్నా ఒకటి రెండు మూడు నాలుగు ఐదు ఆరు ఏడు ఎనిమిది తొమ్మిది పది",
	"th": "ศูนย์ หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า สิบ",
	"tl": "sero|?wala isa dalawa tatlo apat lima anim pito walo siyam sampu",
	"tr": "sıfır bir iki üç dört beş altı yedi sekiz dokuz on",
	"uk": "нуль один два три чотири п'ять шість сім вісім дев'ять десять",
	"ur": "صفر ایک ?دو تین چار پانچ|پانچھ چھ|چھے سات آٹھ نو دس",
	"vi": "?không một hai ba bốn năm sáu bảy|bẩy tám chín mười",
	"zh": "零|〇 一 二|两|兩 三 四 五 六 七 八 九 十",
}

// languageAliases lead old, regional and close codes to the table's.
var languageAliases = map[string]string{
	"nb": "no", "nn": "no", "iw": "he", "in": "id", "fil": "tl", "cmn": "zh", "yue": "zh",
	"bs": "hr", "sh": "sr", "prs": "fa", "pes": "fa", "mo": "ro",
}

// unitLines are words for "points" that may follow a score, by language.
var unitLines = map[string]string{
	"ar": "نقطة|نقاط|درجة|درجات", "bg": "точка|точки", "bn": "পয়েন্ট", "ca": "punt|punts", "cs": "bod|body|bodů",
	"da": "point", "de": "punkt|punkte|punkten", "el": "βαθμός|βαθμοί|βαθμούς", "en": "point|points|pts",
	"es": "punto|puntos|pts", "et": "punkti|punkt", "fa": "امتیاز|نمره", "fi": "piste|pistettä", "fr": "point|points|pts",
	"he": "נקודה|נקודות", "hi": "अंक", "hr": "bod|boda|bodova", "hu": "pont", "id": "poin", "it": "punto|punti",
	"ja": "点|てん|ポイント", "ko": "점", "lt": "taškai|taškų", "lv": "punkti|punktus", "mr": "गुण", "ms": "mata", "nl": "punt|punten",
	"no": "poeng", "pl": "punkt|punkty|punktów|pkt", "pt": "ponto|pontos", "ro": "punct|puncte", "ru": "балл|балла|баллов|очков",
	"sk": "bod|body|bodov", "sl": "točk|točke|točki", "sr": "поен|поена|poen|poena", "sv": "poäng", "sw": "pointi",
	"ta": "புள்ளி|புள்ளிகள்", "te": "పాయింట్లు", "th": "คะแนน", "tl": "puntos", "tr": "puan", "uk": "бал|бали|балів", "ur": "نمبر",
	"vi": "điểm", "zh": "分",
}

// starWords are words for stars that may follow a score of CSAT or CES.
const starWords = "star|stars|stern|sterne|sternen|étoile|étoiles|estrella|estrellas|estrela|estrelas|stella|stelle|ster|sterren|" +
	"gwiazdka|gwiazdki|gwiazdek|звезда|звезды|звёзд|зірка|зірки|зірок|yıldız|نجمة|نجوم|ستاره|星|颗星|顆星|つ星|별|ดาว|sao|bintang|स्टार|तारे"

// ofWords stand between a score and the highest one: "9 out of 10". "of ten"
// is checked by its number, so that one list for all languages will do.
const ofWords = "of|out of|von|sur|su|de|sobre|em|van|z|ze|из|від|із|av|af|από|من|از|में से|dari|trên|จาก|din|od|מתוך|iš"

// orWords stand between two numbers of somebody who hesitates, and a comment
// that begins with one takes the score back: "3, or maybe more".
const orWords = "or|oder|ou|ili|lub|albo|или|або|veya|ya da|أو|یا|या|或|或者|还是|または|또는|หรือ|hoặc|atau|eller|tai|nebo|vagy|sau|ή|או|au"

// hedgeWords stand beside a number that is meant as an answer but not said
// plainly: "maybe 7", "a 9", "7 to 8". With nothing else in the text they make
// it Ambiguous in any language, never a score: we ask once more.
const hedgeWords = "to|and|maybe|perhaps|about|around|probably|between|a|an|i|id|ill|give|say|score|rating|rate|it|its|is|my|minus|plus|half|" +
	"bis|und|vielleicht|etwa|circa|ca|zwischen|eine|ein|note|bewertung|et|peut être|peut|être|entre|environ|une|un|y|quizás|una|uno|" +
	"nota|puntuación|talvez|forse|tra|misschien|tussen|może|может|быть|около|минус|мабуть|belki|ربما|شاید|शायद|到|大概|たぶん|아마|ประมาณ|" +
	"solid|gebe|ich|je donne|je|donne|mets|doy|le|dou|do|daje|dam|ставлю|поставлю|даю|veriyorum|我给|我給|我打|给|給|打|mungkin|kanskje|måske|kanske|ehkä|asi|talán|poate|ίσως|אולי"

// shortOr are the languages whose "or" is one letter, which elsewhere is "at"
// ("o 9" is nine o'clock in Polish).
var shortOr = map[string]string{"es": "o", "it": "o"}

// thanksWords may follow a score without a separator: "9 thanks".
const thanksWords = "thanks|thank you|thank|thx|ty|cheers|danke|dankeschön|danke schön|vielen dank|merci|gracias|muchas gracias|obrigado|obrigada|grazie|" +
	"dank|bedankt|dziękuję|dzięki|спасибо|дякую|teşekkürler|teşekkür ederim|شكرا|متشکرم|ممنون|धन्यवाद|谢谢|謝謝|ありがとう|ありがとうございます|감사합니다|" +
	"ขอบคุณ|ขอบคุณค่ะ|ขอบคุณครับ|cảm ơn|terima kasih|tack|takk|tak|kiitos|děkuji|díky|köszönöm|mulțumesc|ευχαριστώ|תודה|asante|salamat|hvala|хвала|благодаря|ďakujem|ačiū|paldies|aitäh|ধন্যবাদ|நன்றி|ధన్యవాదాలు|شکریہ|शुक्रिया|gràcies|mulțumesc mult|terima"

// optOutLines are whole messages that end all surveys. English ones hold
// everywhere: they are what the rules on text messages name (47 CFR
// 64.1200(a)(10): stop, quit, end, revoke, opt out, cancel, unsubscribe).
var optOutLines = map[string]string{
	"ar": "توقف|إلغاء|إلغاء الاشتراك|أوقف", "bg": "стоп|отписване", "cs": "odhlásit|konec", "da": "afmeld", "de": "stopp|abmelden|abbestellen|keine umfragen|keine umfragen mehr|austragen",
	"el": "διαγραφή|σταμάτα", "en": "stop|stopall|stop all|unsubscribe|quit|end|revoke|opt out|optout|opt-out|cancel|no more surveys|no surveys|remove me|stop asking|stop it|stop please|please stop",
	"es": "baja|parar|alto|darse de baja|no más encuestas|cancelar suscripción|detener", "fa": "لغو|توقف|لغو اشتراک", "fi": "lopeta|peru", "fr": "arrêt|arrêter|arrêtez|désabonner|désinscrire|désinscription|plus de sondages",
	"he": "הסר|הפסק|עצור", "hi": "रोकें|बंद करें|बंद करो|रुकें", "hr": "odjava", "hu": "leiratkozás|leállítás", "id": "berhenti|henti", "it": "ferma|fermati|cancellami|disiscrivimi|basta",
	"ja": "停止|配信停止|退会|やめて|ストップ", "ko": "수신거부|중지|그만|거부", "ms": "berhenti|henti", "nl": "afmelden|uitschrijven|stoppen", "no": "stopp|avmeld", "pl": "rezygnuję|wypisz|wypisz mnie|koniec",
	"pt": "parar|pare|sair|descadastrar|cancelar inscrição", "ro": "dezabonare|opreste", "ru": "стоп|отписаться|отписка|хватит", "sk": "odhlásiť", "sr": "стоп|odjava", "sv": "stopp|avsluta|avregistrera",
	"sw": "acha|simama", "th": "ยกเลิก|หยุด|เลิก", "tl": "itigil|tigil", "tr": "dur|iptal|durdur|abonelikten çık", "uk": "стоп|відписатися|досить", "ur": "بند|روکیں", "vi": "dừng|hủy|huỷ|ngừng",
	"zh": "退订|退訂|停止|取消|td|不要再问|别再发",
}

// dottedOrdinals are the languages that write "1." for "first": there a dot
// after a number does not begin a comment.
var dottedOrdinals = wordSet("bg|bs|cs|da|de|et|fi|hr|hu|lt|lv|no|pl|sk|sl|sr|tr|is")

// unspaced are the languages that write without spaces: a number word and its
// unit are one run of letters there.
var unspaced = wordSet("ja|ko|th|zh")

// months are names whose day comes before them with a dot, in English and in
// the languages that write it so: people answer in another language than asked.
var months = wordSet("january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|" +
	"januar|februar|märz|mai|juni|juli|oktober|dezember|jänner|januari|februari|maj|augusti|marts|desember|kesäkuuta|stycznia|lutego|marca|kwietnia|maja|czerwca|" +
	"lipca|sierpnia|września|października|listopada|grudnia|ledna|února|března|dubna|května|června|července|srpna|září|října|listopadu|prosince|" +
	"etage|stock|stockwerk|floor|item|ocak|şubat|mart|nisan|mayıs|haziran|temmuz|ağustos|eylül|ekim|kasım|aralık|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря")

// numberWord is a word for a number.
type numberWord struct {
	value int
	weak  bool // also another word: see numberLines
}

// The tables as the reader wants them, made once and then only read.
var (
	numberWords  = makeNumberWords()
	unitWords    = makeWordSets(unitLines)
	optOutWords  = makeWordSets(optOutLines)
	starWordSet  = wordSet(starWords)
	ofWordSet    = wordSet(ofWords)
	orWordSet    = wordSet(orWords)
	hedgeWordSet = wordSet(hedgeWords)
	thanksPhrase = wordSet(thanksWords)
)

func makeNumberWords() map[string]map[string]numberWord {
	tables := make(map[string]map[string]numberWord, len(numberLines))
	for language, line := range numberLines {
		table := map[string]numberWord{}
		for value, variants := range strings.Fields(line) {
			for variant := range strings.SplitSeq(variants, "|") {
				word, weak := strings.CutPrefix(variant, "?")
				table[foldString(word)] = numberWord{value, weak}
			}
		}
		tables[language] = table
	}
	return tables
}

func makeWordSets(lines map[string]string) map[string]map[string]bool {
	sets := make(map[string]map[string]bool, len(lines))
	for language, line := range lines {
		sets[language] = wordSet(line)
	}
	return sets
}

// wordSet is the folded set of a list with | between its words.
func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.SplitSeq(list, "|") {
		set[foldString(word)] = true
	}
	return set
}

// baseLanguage is the language part of a BCP 47 tag as the tables name it.
// Unknown and empty ones read like English.
func baseLanguage(tag string) string {
	base := strings.ToLower(primaryTag(tag))
	if alias, ok := languageAliases[base]; ok {
		base = alias
	}
	if _, ok := numberLines[base]; !ok {
		return "en"
	}
	return base
}
