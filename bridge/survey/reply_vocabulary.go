package survey

import (
	"strings"
	"unicode/utf8"
)

// The words that decide whether a text behind a number is a comment on it: see
// reader.comment. One list holds for all languages, since people answer in another
// language than they were asked in. * stands for any ending. They need not be
// complete: a short comment without a known word is asked back about.

// opinionLines are praise and complaint, and words of telling what happened, by
// language. English ones hold everywhere, those of another language if they are
// long enough not to be another word here ("mil" is kind in Polish, and begins
// milk), see globalWord. One that is counted elsewhere is an opinion in its own
// language only (Spanish "mal", bad; German "Mal", times).
//
// Not among them: "no" and "not" in any language, which orders have too ("2, no
// sugar"), and what can be said of the hour ("9, late").
var opinionLines = map[string]string{
	"en": "good|still|arrived|yet|crash*|ignored|great*|nice|nicely|excellent*|awesome|amazing*|perfect*|super*|fantastic*|wonderful*|brilliant*|lovely|love|loved|liked|best|better|cool|fine|ok|" +
		"okay|top|happy|satisf*|quick*|fast|faster|speedy|prompt*|friendly|kind|kindly|polite*|helpful*|helped|easy|easily|simple|smooth*|clear|clearly|" +
		"efficient*|professional*|recommend*|impress*|outstanding|exceptional*|superb*|well|pleasant*|pleased|reliable|solid|decent|fair|" +
		"average|meh|alright|bad|badly|worse|worst|poor*|terribl*|horribl*|awful*|slow*|rude*|unfriendly|unhelpful|useless|disappoint*|annoy*|angry|hate*|" +
		"confus*|complicated|difficult|frustrat*|broken|wrong|fail*|waste*|never|nothing|everything|because|was|were|wasnt|too|very|really|answered|solved|" +
		"waited|unacceptable|crap*|shit*|suck*|trash|joke|scam|idiot*|stupid*|mediocre",
	"de": "gut|immer|immernoch|angekommen|gute|guter|gutes|sehr|toll*|super*|prima|klasse|spitze*|hervorragend*|ausgezeichnet*|perfekt*|schnell*|freundlich*|nett*|hilfreich*|geholfen|" +
		"kompetent*|einfach*|zufrieden*|begeistert|empfehl*|passt|ok|okay|naja|mittel*|schlecht*|schlimm*|langsam*|unfreundlich*|" +
		"unzufrieden|enttausch*|katastroph*|furchtbar*|unmoglich*|mies*|leider|weil|war|waren|nie|niemand|nichts|top|wurde|bester|beste|bestens",
	"fr": "trop|long|longue|bon|bonne*|bien|tres|super*|parfait*|excellent*|genial*|rapide*|efficace*|sympa*|aimable*|gentil*|agreable*|satisf*|content*|recommand*|top|" +
		"aide*|facile*|correct*|moyen*|mal|mauvais*|lent*|nul|nulle|decu*|horrible*|impoli*|jamais|rien|parce|etait",
	"es": "bien|buen|buena|bueno|muy|excelente*|perfect*|genial*|rapid*|amable*|atent*|eficien*|eficaz|satisf*|content*|recom*|facil*|util*|encant*|mal|" +
		"mala|malo|pesim*|lent*|demasiado|horribl*|terribl*|decepc*|nunca|nada|porque|fue|era|estuvo|regular|super*|mejor*",
	"pt": "bom|boa|bem|muito|otimo|otima|excelente*|perfeit*|rapid*|simpatic*|atencios*|eficient*|satisf*|recomen*|facil*|util*|adorei|gostei|mal|mau|" +
		"ruim|pessim*|lent*|demor*|horrivel|nunca|nada|porque|foi|regular|melhor*|legal|maravilh*",
	"it": "buon*|bene|molto|ottim*|eccellent*|perfett*|veloc*|rapid*|gentil*|cortes*|efficien*|soddisf*|consigli*|facil*|util*|brav*|bravissim*|male|" +
		"pessim*|lent*|scars*|scortes*|delus*|niente|perche|era|stato|troppo|super*|meglio",
	"nl": "goed*|heel|erg|zeer|prima|uitstekend*|geweldig*|perfect*|snel*|vriendelijk*|aardig*|behulpzaam*|tevreden*|aanrader|dank*|makkelijk*|fijn*|" +
		"slecht*|langzaam|traag|onvriendelijk*|teleurgesteld|nooit|niets|omdat|was|top|geholpen|keurig|netjes",
	"ru": "хорош*|отличн*|прекрасн*|замечательн*|супер*|быстр*|вежлив*|приветлив*|помог*|удобн*|довол*|понрав*|рекоменд*|класс*|очень|норм*|плох*|ужас*|" +
		"медлен*|груб*|разочар*|отврат*|никогда|ничего|потому|был*|слишком|хам*|кошмар*|лучш*|молодц*",
	"uk": "добр*|гарн*|чудов*|відмінн*|супер*|швидк*|ввічлив*|допомог*|зручн*|задовол*|сподоб*|рекоменд*|дуже|норм*|поган*|жах*|повільн*|довго|груб*|" +
		"розчаров*|ніколи|нічого|був|було|найкращ*",
	"pl": "dobr*|mił*|słab*|zły|zła|złe|bardzo|super*|swietn*|doskonal*|rewelac*|szybk*|mil*|uprzejm*|pomog*|latw*|zadowol*|polec*|ok|spoko|zle|zly|slab*|woln*|niemil*|rozczar*|" +
		"fataln*|tragic*|nigdy|nic|byl*|zbyt",
	"cs": "dobr*|velmi|skvel*|vyborn*|super*|rychl*|mil*|ochotn*|pomohl*|spokoj*|doporuc*|spatn*|pomal*|neprijemn*|zklam*|hrozn*|nikdy|nic|protoze|" +
		"byl*|prilis",
	"sk": "vynikaj*|velmi|rychl*|mil*|ochotn*|spokoj*|odporuc*|zle|pomal*|sklam*|hrozn*|nikdy|nic|pretoze|bol*",
	"sv": "bra|mycket|bast|utmarkt*|snabb*|trevlig*|hjalpsam*|nojd*|enkelt|dalig*|langsam*|otrevlig*|besvik*|aldrig|var|perfekt*|super*|jattebra|toppen",
	"no": "bra|veldig|god*|utmerket|rask*|hyggelig*|hjelpsom*|fornoyd*|fornøyd*|uhøflig*|enkelt|darlig*|treg*|uhoflig*|skuff*|aldri|var|perfekt*|super*|topp",
	"da": "godt|god|meget|fremragende|hurtig*|venlig*|flink*|hjaelpsom*|hjælpsom*|tilfreds*|nemt|darlig*|langsom*|uvenlig*|skuff*|aldrig|var|perfekt*|super*|fint",
	"fi": "hyva*|erinomai*|loistav*|nopea*|ystavalli*|avuli*|tyytyvai*|suosittel*|helppo*|huono*|hidas*|toyke*|pettyn*|koskaan|oli|todella|super*|mahtav*",
	"hu": "jo|nagyon|kivalo*|remek*|tokeletes*|gyors*|kedves*|segitoke*|elegedett*|ajanl*|konny*|rossz*|lassu*|udvariatlan*|csalod*|soha|mert|volt|" +
		"szuper*",
	"ro": "bun*|foarte|excelen*|perfect*|rapid*|amabil*|multumit*|recomand*|usor|slab*|prost*|incet*|lent*|dezamag*|niciodata|fost|super*",
	"bg": "добр*|много|отличн*|чудесн*|бърз*|любезн*|доволн*|препоръч*|лош*|бавн*|ужас*|груб*|никога|беше",
	"sr": "dobr*|odlicn*|brz*|ljubazn*|zadovolj*|preporuc*|los*|spor*|uzas*|razocar*|nikad*|nista|добр*|одличн*|брз*|љубазн*|лош*|спор*|ужас*|био|" +
		"била",
	"hr": "vrlo|jako|odlicn*|brz*|ljubazn*|los*|uzasn*|bilo|super*|izvrsn*",
	"sl": "dobr*|zelo|odlicn*|hitr*|prijazn*|zadovolj*|priporoc*|slab*|pocasn*|grozn*|nikoli|bilo|super*",
	"lt": "ger*|labai|puik*|greit*|malon*|paten*|blog*|let*|siaubing*|niekad*|buvo",
	"lv": "lab*|loti|lielisk*|atr*|laipn*|apmierin*|slikt*|len*|briesmig*|nekad|bija",
	"et": "hea*|vaga|suureparane|kiire*|sobralik*|rahul*|halb|halva*|aeglane|kohutav|kunagi|oli|super*",
	"el": "καλ*|πολυ|πολύ|αριστ*|άριστ*|τελει*|γρηγορ*|γρήγορ*|ευγενικ*|ικανοποι*|συστην*|κακ*|αργ*|απαισι*|χαλια|ποτε|ηταν|σουπερ",
	"tr": "iyi*|guzel*|cok|harika*|mukemmel*|super*|hizli*|kibar*|nazik*|memnun*|tavsiye*|kolay*|kotu*|yavas*|berbat*|kaba*|rezalet*|asla|hic|cunku|" +
		"fena*",
	"ar": "ممتاز*|جيد*|رائع*|سريع*|لطيف*|جدا|مفيد*|سهل*|سيء*|سيي*|بطيء*|بطيي*|ردي*|محبط|للاسف|ابدا|كان|كانت|لان|تعامل|التعامل|حلو*|تمام|زفت|افضل",
	"fa": "خوب*|عالي*|بهترين|سريع*|مودب|راضي*|بد|بدي|افتضاح|هيچ*|نبود|بود|خيلي|چون",
	"ur": "اچها|اچهي|بهت|بهترين|زبردست|برا|بري|خراب|سست|تها|تهي",
	"he": "טוב*|מצוין|מצויין|מעול*|נהדר*|מהיר*|אדיב*|מאוד|מרוצ*|ממליצ*|רע|גרוע*|איטי*|נורא*|מאכזב*|היה|היתה|הייתה",
	"hi": "अचछा|अचछी|अच्छा|अच्छी|अच्छे|बहुत|बढ़िया|बढिया|शानदार|उत्तम|तेज|तेज़|मददगार|संतुष्ट|खराब|ख़राब|बुरा|बुरी|धीमा|धीमी|बेकार|घटिया|कभी|था|" +
		"थी|ठीक|मस्त",
	"mr": "चांगल*|खूप|छान|उत्तम|वाईट|खराब|हळू",
	"bn": "ভালো|ভাল|খুব|চমৎকার|দ্রুত|খারাপ|ধীর",
	"ta": "நல்ல*|மிகவும்|சிறப்ப*|அருமை|மோசம*|மெதுவ*",
	"te": "మంచి|చాలా|అద్భుత*|బాగుంది|చెడ్డ*|నెమ్మది*",
	"th": "ดี|เยี่ยม|ยอด|เร็ว|ไว|สุภาพ|ประทับใจ|ชอบ|พอใจ|ช่วย|แย่|ช้า|นาน|ห่วย|ผิดหวัง|มาก",
	"vi": "tot|rat|tuyet*|nhanh|cham|kem",
	"id": "bagus|baik|sangat|hebat|mantap|cepat|ramah|puas|membantu|mudah|buruk|jelek|lambat|kecewa|sekali|oke|lumayan|parah",
	"ms": "bagus|baik|sangat|hebat|cepat|laju|mesra|teruk|lambat|kecewa",
	"tl": "maganda|mabuti|mahusay|mabilis|mabait|ayos|pangit|mabagal|masama|napaka*|sobra*|ok",
	"sw": "nzuri|vizuri|sana|haraka|bora|mbaya|polepole|safi",
	"ca": "be|bo|bona|molt|excel*|perfect*|rapid*|amable*|malament|lent*|dolent*|era",
	"zh": "好|棒|赞|讚|快|满意|滿意|不错|不錯|优秀|優秀|专业|專業|耐心|热情|熱情|周到|完美|推荐|推薦|喜欢|喜歡|差|慢|烂|爛|失望|糟|垃圾|太|很|非常|态度|態度|一般|还行|還行|贴心|方便",
	"ja": "良|よか|よく|いい|最高|素晴|すば|早|速|丁寧|親切|満足|助か|わかりやす|悪|遅|最悪|ひど|酷|残念|不満|対応|とても|普通|まあ|最低|嬉し|うれし|便利",
	"ko": "좋*|빨*|빠르*|빠른*|친절*|만족*|최고*|훌륭*|완벽*|도움*|추천*|편리*|쉽*|나쁘*|나빴*|느리*|느렸*|느린*|불친절*|불만*|실망*|최악*|별로*|너무|아주|매우|정말|괜찮*",
}

// countedLine is what numbers are of: money, times, days, measures, goods that come
// in numbers, addresses. Months that come after a dot are in months.
const countedLine = "euro*|eur|eu|dollar*|usd|bucks|quid|pound*|gbp|pence|pennies|cent|cents|franken|rappen|chf|sfr|fr|francs|franc|kr|kronor|kroner|kronen|sek|nok|dkk|zl|zł|zloty*|złoty*|pln|gr|kc|czk|korun*|ft|forint*|huf|lei|leu|" +
	"ron|lev*|bgn|lira*|try|tl|kurus|kuruş|rub|rubl*|руб*|р|коп*|грн|гривен*|гривн*|лв|лева|din|dinar*|динар*|rsd|kn|pesos|peso|mxn|ars|reais|real|brl|yen|jpy|yuan|rmb|cny|won|krw|rupee*|rupiah|rp|rs|inr|idr|baht|thb|dong|nghin|ribu|juta|trieu|" +
	"vnd|ringgit|rm|myr|php|ريال*|دينار*|درهم|جنيه*|دولار*|يورو|ليره|تومان|ريالي|روپے|روپيه|रुपये|रुपए|रुपया|रू|টাকা|মিনিট|ரூபாய்|రూపాయలు|שקל*|שח|ευρω|ευρώ|지원|원|달러|유로|k|mio|" +
	"am|pm|oclock|h|hr|hrs|hour*|min|mins|minute*|sec|secs|second|seconds|sek|uhr|std|stunde*|minuten|heure*|hora|horas|ora|ore|orario|minuto*|minuti|uur|uren|godz*|godzin*|hodin*|час*|годин*|мин|минут*|хвилин*|saat*|dakika*|" +
	"ساعه|ساعات|ساعت|دقيقه|دقائق|دقايق|بجے|منٹ|बजे|बजकर|घंटे|घंटा|मिनट|ঘন্টা|টায়|மணி|గంటలు|שעה|שעות|דקות|ωρα|ωρες|λεπτα|시|시간|분|초|jam|menit|gio|phut|saa|dakika|tunti*|minuutti*|perc*|orakor|timme*|timer|kell|valanda*|" +
	"morning|evening|afternoon|night|noon|midnight|tonight|today|tomorrow|yesterday|sharp|mittag*|morgen|morgens|abends|abend|heute|gestern|ubermorgen|nachmittags|vormittags|matin|soir|demain|hier|aujourdhui|manana|tarde|noche|hoy|ayer|" +
	"amanha|manha|noite|hoje|domani|mattina|sera|oggi|ieri|pomeriggio|vanavond|vandaag|jutro|dzis|dzisiaj|wieczorem|rano|rana|zitra|dnes|вечера|вечером|утра|утром|дня|днем|ночи|завтра|сегодня|вчера|ранку|вечора|вечера|сутра|aksam|sabah|yarin|" +
	"bugun|مساء|صباحا|صباح|غدا|اليوم|امس|شام|صبح|فردا|امروز|कल|आज|सुबह|pagi|siang|malam|besok|sang|chieu|toi|mai|오전|오후|내일|오늘|" +
	"day|days|week|weeks|month|months|year|years|tag|tage|tagen|woche*|monat*|jahr*|jour|jours|semaine*|mois|ans|annee*|dia|dias|semana*|meses|mes|ano|anos|giorn*|settiman*|mese|mesi|anni|dag|dagen|weken|week|maanden|jaar|dni|dzien|tygod*|miesi*|lat|" +
	"tyden|tydny|mesic*|дней|день|дні|днів|недел*|тижд*|тижн*|месяц*|місяц*|лет|рок*|gun|hafta*|ay|yil|yasinda|ايام|يوم|اسبوع*|شهر|سنه|سنوات|روز|هفته|ماه|دن|दिन|हफ्ते|महीने|साल|দিন|நாள்|రోజులు|ימים|יום|שבוע*|μερες|일|주|개월|년|hari|minggu|bulan|tahun|ngay|tuan|thang|nam|siku|araw|dage|paiva*|paivaa|nap|napok|zile|" +
	"monday|tuesday|wednesday|thursday|friday|saturday|sunday|mon|tue|tues|wed|thu|thur|thurs|fri|sat|montag*|dienstag*|mittwoch*|donnerstag*|freitag*|samstag*|sonnabend|sonntag*|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lunes|martes|" +
	"miercoles|jueves|viernes|sabado|domingo|segunda|terca|quarta|quinta|sexta|lunedi|martedi|mercoledi|giovedi|venerdi|sabato|domenica|maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag|poniedzial*|wtorek|sroda|srode|czwartek|piatek|sobota|" +
	"sobote|niedziel*|понедельник*|вторник*|сред*|четверг*|пятниц*|суббот*|воскресен*|pazartesi|sali|carsamba|persembe|cuma|cumartesi|pazar|الاثنين|الثلاثاء|الاربعاء|الخميس|الجمعه|السبت|الاحد|senin|selasa|rabu|kamis|jumat|sabtu|" +
	"janvier|fevrier|mars|avril|juin|juillet|aout|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|janeiro|fevereiro|marco|maio|junho|julho|setembro|outubro|novembro|dezembro|" +
	"gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|maart|mei|augustus|يناير|فبراير|مارس|ابريل|مايو|يونيو|يوليو|اغسطس|سبتمبر|اكتوبر|نوفمبر|ديسمبر|januari|februari|juni|juli|desember|oktober|tháng|월|" +
	"kg|kgs|kilo|kilos|kilogram*|g|gram|grams|gramm|mg|lb|lbs|oz|ton|tons|tonnen|liter|liters|litre*|litr*|l|ml|cl|cm|mm|km|m|meter*|metre*|metr*|inch|inches|zoll|feet|foot|miles|mile|mph|кг|гр|литр*|метр*|км|см|كيلو*|متر|لتر|كجم|किलो|ग्राम|लीटर|킬로*|percent|prozent|procent|pourcent|degrees|grad|watt|volt|gb|mb|" +
	"piece|pieces|pc|pcs|item*|unit|units|box|boxes|bag|bags|bottle*|cup|cups|pack|packs|packet*|pair|pairs|dozen|set|sets|ticket*|order|orders|parcel*|package*|shirt*|shoe*|goods|copies|times|time|x|size|large|medium|small|xl|xxl|xs|extra|stk|styck*|stuck|stucke*|mal|paar|" +
	"packung*|paket*|kiste*|karton*|flasche*|dose|dosen|bestell*|grosse|piece*|article*|boite*|bouteille*|commande*|fois|paire*|taille|caja*|pieza*|unidad*|botella*|pedido*|veces|camisa*|talla|caixa*|peca*|unidade*|garrafa*|vezes|pezz*|scatol*|bottigli*|ordin*|volte|taglia|" +
	"stuks|stuk|doos|dozen|flessen|bestelling*|keer|paar|maat|sztuk*|szt|raz|razy|paczk*|butelk*|zamowien*|kus|kusy|kusu|krat|balik*|шт|штук*|раз|пар|пары|коробк*|бутыл*|заказ*|упаков*|посыл*|размер*|разів|adet*|tane*|kutu*|sise|siparis*|kere|beden|" +
	"قطع|قطعه|حبه|حبات|علبه|علب|طلب|طلبات|مرات|كرتون|عدد|جعبه|سفارش|بار|پيس|عدد|पीस|पैकेट|डिब्बे|बोतल|ऑर्डर|बार|পিস|টা|টি|יחידות|חבילות|קופסאות|הזמנה|פעמים|τεμαχια|κουτια|παραγγελια|φορες|개|병|박스|상자|번|장|잔|명|buah|biji|kotak|botol|pcs|kali|cai|chiec|hop|lan|piraso|vipande|stykker|stk|kpl|db|darab*|buc|bucati|" +
	"street|st|road|rd|avenue|ave|lane|drive|square|floor|apartment|apt|room|house|door|downing|strasse|str|weg|platz|allee|gasse|zimmer|haus|hausnummer|etage|stock|wohnung|rue|boulevard|place|chemin|appartement|chambr*|calle|avenida|plaza|piso|rua|praca|andar|via|viale|piazza|piano|straat|laan|plein|kamer|" +
	"ulica|ul|pokoj|pietro|ulice|улица|ул|кв|квартир*|этаж*|дом|комнат*|вул|вулиц*|sokak|cadde*|kat|daire|oda|شارع|شقه|غرفه|خيابان|कमरा|मंजिल|층|호|jalan|duong|number|nr|nummer|numero|номер*|رقم|शماره|gate|platform|people|persons|person|guests|guest|personen|personas|pessoas|persone|personnes|человек*|kisi|اشخاص|نفر|लोग|adults|kids|kinder|" +
	"个|個|件|块|塊|元|圆|天|月|年|号|號|点|點|时|時|分|秒|斤|箱|盒|瓶|杯|双|雙|张|張|条|條|套|枚|冊|円|つ|日|人|回|本|名|階|歳|岁|次|块钱*|塊錢*|公斤*|千克*|分钟*|分鐘*|小时*|小時*|点钟*|點鐘*|点半*|點半*|时半*|時半*|時頃*|時に*|時間後*|个月*|個月*|星期*|週間*|ヶ月*|か月*|月份*|日に|個くだ*|キロ*|グラム*|万*|円で*|" +
	"โมง*|ชั่วโมง*|นาที*|บาท*|ชิ้น*|กล่อง*|ขวด*|กิโล*|วัน|เดือน|ปี|คน|อัน|ตัว|ทุ่ม*|ชม|ห้อง*|ชั้น*"

// wishLine are words of somebody who wants something: with nothing of an opinion
// beside them they make the number an order.
const wishLine = "please|pls|plz|want|wanted|need|needed|order|buy|send|give|bring|take|book|reserve|bitte|mochte|will|brauche|schick*|bestelle|nehme|sil|svp|stp|voudrais|veux|envoyez|" +
	"favor|quiero|quisiera|necesito|envi*|quero|queria|preciso|mande|favore|vorrei|voglio|alstublieft|aub|graag|wil|prosze|poprosze|chce|prosim|chci|пожалуйста|хочу|нужно|надо|пришлите|ласка|треба|lutfen|istiyorum|lazim|" +
	"فضلك|اريد|ابغى|ابي|محتاج|لطفا|ميخواهم|چاہيے|कृपया|चाहिए|בבקשה|רוצה|παρακαλω|θελω|부탁*|주세요|주문*|tolong|mohon|mau|ingin|xin|muon|tafadhali|nataka|paki*|gusto|snalla|vill|vil|haluan|kerek|szeretnek|vreau|" +
	"请*|請*|我要*|想要*|下さい|ください|お願い*|ขอ|เอา|ต้องการ|注文*|買い*|買う*|購入*|頼み*|予約*|要*|快点*|快點*|发货*|發貨*"

// runWishes are wishes that are looked for anywhere in a run of letters.
var runWishes = foldAll("お願い|ください|下さい|注文|购买|发货|發貨|请|請|想要|快点|快點|เร็วๆ|หน่อย|รบกวน")

// retractionLine are phrases that take back what was said before, if nothing but a
// mark follows them. One with ! before it does so whatever follows.
const retractionLine = "no|nope|nah|not|not really|no wait|!no wait|wait|hold on|sorry|oops|actually|actually no|rather|just kidding|kidding|jk|lol no|!i mean|!i meant|!scratch that|never mind|nevermind|my mistake|wrong|mistake|typo|not sure|dont know|i dont know|idk|" +
	"nein|doch nicht|nicht wirklich|quatsch|warte|warten|moment|scherz|falsch|vertippt|ach nein|nee|weiss nicht|keine ahnung|non|pas vraiment|attends|attendez|pardon|erreur|enfin non|je plaisante|je ne sais pas|no espera|!no espera|espera|perdon|mejor no|en realidad no|error|es broma|no se|" +
	"nao|nao espera|!nao espera|na verdade nao|engano|desculpa|aspetta|!no aspetta|anzi|anzi no|non proprio|scherzo|scusa|errore|wacht|niet echt|foutje|grapje|nie|czekaj|nie czekaj|pomylka|zart|raczej nie|ne|pockej|omyl|нет|не совсем|подожди|подождите|нет подожди|ошибка|ошибся|ошиблась|шутка|точнее|вернее|ой|" +
	"ні|не зовсім|зачекай|помилка|hayir|yok|bekle|pek degil|yanlis|saka|لا|انتظر|ليس حقا|خطا|غلط|امزح|نه|صبر كن|نه واقعا|اشتباه|नहीं|रुको|गलती|मजाक|না|לא|רגע|לא באמת|טעות|οχι|όχι|περιμενε|λαθος|아니|아니요|아니야|잠깐|잘못|bukan|tunggu|salah|tidak juga|khong phai|khoan|a khong|nham|hindi|teka|mali|hapana|subiri|nej|vanta|vent|" +
	"inte riktigt|ikke rigtig|odota|virhe|nem|varj|nu|stai|gresit|不|不对|不對|不是|等等|等一下|说错了|說錯了|打错了|打錯了|开玩笑|いや|違う|違います|待って|ちがう|間違え|間違えた|間違えました|嘘|うそ|ไม่ใช่|เดี๋ยว|ผิด|ล้อเล่น"

// The vocabularies, made once and then only read.
var (
	opinionsOf        = makeOpinions()
	opinionWords      = makeVocabulary(globalWords())
	countedWords      = makeVocabulary(countedLine)
	wishWords         = makeVocabulary(wishLine)
	retractions       = makeRetractions("")
	retractionsAlways = makeRetractions("!")
)

// A word holds in all languages from so many letters on.
const (
	globalWord  = 4
	globalBegin = 5 // of a beginning, which more words have
)

// globalWords are the opinions of all languages that hold in all of them.
func globalWords() string {
	var global []string
	for _, line := range opinionLines {
		for word := range strings.SplitSeq(line, "|") {
			stem, begins := strings.CutSuffix(word, "*")
			least := globalWord
			if begins {
				least = globalBegin
			}
			if runsOn(stem) || utf8.RuneCountInString(stem) >= least {
				global = append(global, word)
			}
		}
	}
	return strings.Join(global, "|")
}

func makeOpinions() map[string]*vocabulary {
	of := make(map[string]*vocabulary, len(opinionLines))
	for language, line := range opinionLines {
		of[language] = makeVocabulary(line)
	}
	return of
}

// makeVocabulary reads a list. Where words are not spaced they may begin a run of
// letters; what is counted must say so, since it is one character there.
func makeVocabulary(line string) *vocabulary {
	v := &vocabulary{whole: map[string]bool{}, begins: map[string]bool{}}
	for word := range strings.SplitSeq(line, "|") {
		stem, begins := strings.CutSuffix(word, "*")
		stem = foldString(stem)
		if begins || runsOn(stem) && line != countedLine {
			v.begins[stem] = true
			v.longest = max(v.longest, len(stem))
		} else {
			v.whole[stem] = true
		}
	}
	return v
}

// foldAll folds the entries of a list.
func foldAll(line string) []string {
	entries := strings.Split(line, "|")
	for i, entry := range entries {
		entries[i] = foldString(entry)
	}
	return entries
}

func makeRetractions(mark string) map[string]bool {
	set := map[string]bool{}
	for phrase := range strings.SplitSeq(retractionLine, "|") {
		if bare, marked := strings.CutPrefix(phrase, "!"); marked == (mark != "") {
			set[foldString(bare)] = true
		}
	}
	return set
}
