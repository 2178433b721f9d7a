"""What in a text leads to a person? Numbers, addresses, accounts and places, as people write them in the languages of the taxonomy. Pure, and offline.

Each finder gives spans of the text. They would rather ask once too often than miss: an author who means it publishes anyway.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["phone", "email", "coordinates", "address", "id_number", "handle", "profile"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A stretch of a text that leads to a person: `start` and `end` count letters of the text as it was typed."""

    kind: Kind
    start: int
    end: int
    words: str


MOST_PHONE_REGIONS: Final = 12

# Where the speakers of a language mostly write numbers without a country code. What starts with + or 00 is found everywhere.
SPOKEN_IN: Final = {
    "ar": ("SY", "SA", "EG", "YE", "IQ", "SD"),
    "fa": ("IR", "AF"),
    "ru": ("RU", "BY", "KZ"),
    "uk": ("UA",),
    "zh": ("CN", "TW", "HK"),
    "es": ("ES", "MX", "VE", "CU", "NI"),
    "fr": ("FR", "BE", "CD", "MA"),
    "tr": ("TR",),
    "ko": ("KR",),
    "en": ("US", "GB"),
    "de": ("DE", "AT", "CH"),
}


def traces(text: str, language: str, regions: Iterable[str] = ()) -> tuple[Trace, ...]:
    """Everything in `text` that leads to a person, in its order, nothing twice. `regions` are the countries the text is about, ISO 3166.

    About 2-6 ms for 5,000 letters, most of it for phone numbers.
    """
    plain = _folded(text)
    found: list[Trace] = []
    for kind, find in _FINDERS:
        for start, end in find(plain):
            _add(found, text, kind, start, end)
    for start, end in _phones(plain, language, regions):
        _add(found, text, "phone", start, end)
    return tuple(sorted(found, key=lambda one: one.start))


def _add(found: list[Trace], text: str, kind: Kind, start: int, end: int) -> None:
    """Keeps the first of two that overlap: the finders stand in the order of how sure they are. Spaces and stops around it do not belong to it."""
    words = text[start:end]
    start, end = start + len(words) - len(words.lstrip()), start + len(words.rstrip(" .,;:!?،؛。\n\t"))
    if all(end <= one.start or one.end <= start for one in found):
        found.append(Trace(kind, start, end, text[start:end]))


def _folded(text: str) -> str:
    """The text letter for letter, with plain digits, plain spaces and no letters that only decorate: positions stay what they were."""
    return "".join(map(_fold, text))


def _fold(letter: str) -> str:
    if letter.isascii():
        return letter
    digit = unicodedata.digit(letter, None) if letter.isdigit() else None
    if digit is not None:
        return str(digit)
    if letter.isspace() or letter in "\u200b\u200e\u200f\u2060":
        return " "
    simple = unicodedata.normalize("NFKC", letter)  # a full-width @, a mathematical a: what a reader takes for the plain letter
    return simple if len(simple) == 1 and simple.isascii() else letter


def _spans(*patterns: str) -> Callable[[str], Iterator[tuple[int, int]]]:
    """A finder that gives every match of the patterns, or of their group `it`."""
    ready = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)

    def find(text: str) -> Iterator[tuple[int, int]]:
        for pattern in ready:
            for match in pattern.finditer(text):
                yield match.span("it") if "it" in pattern.groupindex else match.span()

    return find


_AT: Final = r"(?:@|\s?[\[\(\{<]\s?(?:at|@|arroba|собака|ат|آت|أت|ات)\s?[\]\)\}>]\s?|\s(?:at|arroba|собака)\s)"
_DOT: Final = r"(?:\.|\s?[\[\(\{<]\s?(?:dot|punto|point|точка|نقطة|نقطه|دات|nokta)\s?[\]\)\}>]\s?|\s(?:dot|punto|точка|nokta)\s)"
_PLAIN_AT: Final = r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,5}[^\W\d_]{2,24}"

_emails: Final = _spans(
    rf"(?<![\w.@/]){_PLAIN_AT}",
    # Written so that machines do not see it: `name (at) host (dot) org`. One of the two must be disguised, else it is the plain form above.
    rf"(?<![\w.@])[\w.+-]{{1,64}}{_AT}[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{0,3}}{_DOT}[^\W\d_]{{2,24}}",
)

_DECIMAL: Final = r"[-+]?\d{1,3}[.,]\d{3,}"
_coordinates: Final = _spans(
    rf"(?<![\d.,]){_DECIMAL}\s?°?\s?[NSEW]?\s?[,;،/ ]\s?{_DECIMAL}\s?°?\s?[NSEW]?(?![\d])",
    r"\d{1,3}\s?[°º]\s?\d{1,2}(?:[.,]\d+)?\s?['′’](?:\s?\d{1,2}(?:[.,]\d+)?\s?(?:[\"″”]|''))?\s?[NSEWСЮВЗشجغ]?",
    r"\bgeo:[-+]?\d{1,3}(?:\.\d+)?,[-+]?\d{1,3}(?:\.\d+)?",
    r"\b[23456789CFGHJMPQRVWX]{4,8}\+[23456789CFGHJMPQRVWX]{2,3}\b",  # a plus code
    r"///[^\W\d_]{2,}\.[^\W\d_]{2,}\.[^\W\d_]{2,}",  # what3words
    r"https?://(?:www\.)?(?:maps\.app\.goo\.gl|goo\.gl/maps|maps\.google\.\w+|google\.\w+(?:\.\w+)?/maps|maps\.apple\.com|w3w\.co|what3words\.com"
    r"|(?:www\.)?openstreetmap\.org|osm\.org|yandex\.\w+/maps|(?:map|j\.map)\.baidu\.com|(?:uri\.|www\.)?amap\.com|map\.naver\.com|neshan\.org|balad\.ir"
    r"|2gis\.\w+)"
    r"[^\s<>\"]*",
)

_NUMBER: Final = r"(?:(?:no|nr|n|№|#|رقم|پلاک)[.:º°]?\s?)?\d{1,5}\s?[a-zа-яA-Zء-ی]?\b"
_STREETS: Final = (
    # A word before, then its name, then a number: rue de la Paix 12, شارع بغداد ١٢, ул. Ленина, д. 5.
    r"\b(?:calle|avenida|av|avda|carrera|plaza|paseo|rue|avenue|av|boulevard|bd|impasse|chemin|place|strada|via|piazza|rua|travessa)\.?\s[^\d\n,;.]{2,40},?\s"
    rf"{_NUMBER}",
    r"\b(?:ул|улица|вул|вулиця|просп|проспект|пр-т|пр-кт|переулок|пер|провулок|бульвар|бул|площадь|пл|площа|шоссе|шосе|наб"
    r"|набережная)\b\.?\s[^\d\n;]{2,40}?,?\s?"
    r"(?:д|дом|буд|будинок)?\.?\s?\d{1,4}\s?[а-я]?\b",
    r"(?:شارع|شوارع|جادة|زقاق|حي|حارة|خیابان|خ|کوچه|بلوار|بن[ \u200c]?بست|میدان)\s[^\d\n،؛,]{2,40}[،,]?\s?(?:[^\d\n]{0,20}\s)?(?:رقم|پلاک|بناية|بناء"
    r"|عمارة|مبنى|منزل|بيت|طابق|شقة|واحد|طبقه|ط)?\s?:?\s?\d{1,5}",
    r"(?:بناية|عمارة|مبنى|شقة|الطابق|طابق|پلاک|واحد)\s(?:رقم\s)?:?\d{1,5}",
    # A name, the word, then a number: Lindenstraße 9, Atatürk Caddesi No: 12.
    r"\b[^\W\d_][\w.'-]{0,40}(?:straße|strasse|str\.|gasse|weg|platz|allee|ufer|damm)\s\d{1,4}\s?[a-z]?\b",
    r"\b[^\W\d_][\w.' ]{1,40}\s(?:sokak|sokağı|sok|sk|cadde|caddesi|cad|cd|mahallesi|mah|mh|bulvarı|blv)\b\.?,?\s(?:[^\d\n]{0,20})?\d{1,4}(?:\s?/\s?\d{1,3})?",
    # A number, a name, then the word: 12 Baker Street, 221b High Rd.
    r"\b\d{1,5}\s?[a-z]?,?\s(?:[^\W\d_][\w.'-]*\s){1,4}(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|square|sq|court|ct|terrace|close"
    r"|crescent|way|alley)\b",
    r"\b\d{1,4}\s?(?:bis|ter)?,?\s(?:rue|avenue|boulevard|impasse|chemin|place|quai|allée|allee)\s(?:d[eu']s?\s?|de\sla\s)?\w+",
    r"\b(?:apartment|apt|flat|suite|appartement|appt|piso|puerta|daire|кв|квартира|wohnung|building|block|blok|house)\b\.?\s(?:no\.?\s|nr\.?\s|#"
    r"|№)?\d{1,4}[a-z]?\b",
    # Chinese and Korean: no spaces, the number with its own word.
    r"[\u4e00-\u9fff]{1,12}(?:路|街|巷|弄|道|胡同|大街|小区|新村|苑)(?:[\u4e00-\u9fff]{0,8})?\s?\d{1,5}\s?(?:号|號|弄|栋|幢|单元|室|楼)(?:[\u4e00-\u9fff\d]{0,12})?",
    r"[\uac00-\ud7a3]{1,10}(?:로|길|동|리)\s?\d{1,4}(?:-\d{1,4})?\s?(?:번지|번길|호|길)?(?=\s|[,.)]|$)",
)
_addresses: Final = _spans(*_STREETS)

_ID_WORDS: Final = (
    r"passport|national id|id card|identity card|id number|id no|social security|ssn|driving licen[cs]e|driver'?s licen[cs]e|tax id"
    r"|جواز(?: السفر| سفر)?|الرقم الوطني|رقم وطني|رقم الهوية|رقم هوية|بطاقة الهوية|هوية رقم|السجل المدني|رقم القومي|الرقم القومي|گذرنامه|پاسپورت|کد ملی"
    r"|شماره ملی|شناسنامه|شماره شناسنامه|تذکره"
    r"|паспорт\w*|снилс|инн|загранпаспорт|удостоверени\w+|посвідчення|рнокпп|іпн"
    r"|身份证(?:号码?)?|身分證|护照(?:号码?)?|護照|社保号"
    r"|pasaporte|dni|nie|cédula|cedula|carn[eé] de identidad|documento de identidad|curp"
    r"|passeport|carte d['’]identit[ée]|num[ée]ro de s[ée]curit[ée] sociale|titre de s[ée]jour"
    r"|t\.?c\.? kimlik(?: no)?|kimlik(?: no| numaras[ıi])|pasaport(?: no| numaras[ıi])?"
    r"|주민등록번호|주민번호|여권(?:번호)?|외국인등록번호|reisepass|personalausweis|case number|file number|unhcr (?:case|file|no)"
)
_id_words: Final = re.compile(rf"(?:{_ID_WORDS})[^\n\d]{{0,24}}?(?P<it>\b[A-ZА-Я]{{0,3}}[\s-]?\d[\d\s./-]{{3,22}}\d[A-ZА-Я]?\b)", re.IGNORECASE)
_long_numbers: Final = re.compile(r"(?<![\dA-Za-z.+-])\d[\d -]{7,32}[\dXx](?![\dA-Za-z])")
_ibans: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?[A-Z0-9]{1,3})?(?!\w)")
_spanish: Final = re.compile(r"(?<!\w)[XYZ]?\d{7,8}-?[A-HJ-NP-TV-Z](?!\w)")


def _id_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Numbers named as those of papers, and numbers whose check digit says what they are."""
    for match in _id_words.finditer(text):
        yield match.span("it")
    for match in _ibans.finditer(text):
        if _is_iban(match[0].replace(" ", "")):
            yield match.span()
    for match in _spanish.finditer(text):
        if _is_spanish(match[0].replace("-", "")):
            yield match.span()
    for match in _long_numbers.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        if _is_paper(digits):
            yield match.span()


def _is_paper(digits: str) -> bool:
    """Whether a bare number is a Chinese, Turkish, Iranian, Korean or Russian one, or that of a bank card, by its check digit."""
    if len(set(digits)) < 2:
        return False
    match len(digits):
        case 18:
            return _is_chinese(digits)
        case 10:
            return digits.isdigit() and _is_iranian(digits)
        case 11:
            return digits.isdigit() and (_is_turkish(digits) or _is_snils(digits))
        case 13:
            return digits.isdigit() and (_is_korean(digits) or _luhn(digits))
        case 14 | 15 | 16 | 19:
            return digits.isdigit() and _luhn(digits)
        case _:
            return False


def _is_chinese(digits: str) -> bool:
    """GB 11643: seventeen digits, a date of birth among them, and a remainder."""
    if not (digits[:17].isdigit() and "1900" <= digits[6:10] <= "2100" and "01" <= digits[10:12] <= "12"):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False)) % 11] == digits[17].upper()


def _is_turkish(digits: str) -> bool:
    numbers = [int(digit) for digit in digits]
    tenth = (sum(numbers[0:9:2]) * 7 - sum(numbers[1:8:2])) % 10
    return numbers[0] != 0 and numbers[9] == tenth and numbers[10] == sum(numbers[:10]) % 10


def _is_iranian(digits: str) -> bool:
    rest = sum(int(digit) * (10 - place) for place, digit in enumerate(digits[:9])) % 11
    return int(digits[9]) == (rest if rest < 2 else 11 - rest)


def _is_korean(digits: str) -> bool:
    if not ("01" <= digits[2:4] <= "12" and "01" <= digits[4:6] <= "31" and digits[6] in "12345678"):
        return False
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    return (11 - sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False)) % 11) % 10 == int(digits[12])


def _is_snils(digits: str) -> bool:
    rest = sum(int(digit) * (9 - place) for place, digit in enumerate(digits[:9])) % 101
    return (0 if rest == 100 else rest) == int(digits[9:])


def _is_spanish(text: str) -> bool:
    number = text[:-1].replace("X", "0", 1).replace("Y", "1", 1).replace("Z", "2", 1)
    return number.isdigit() and len(number) == 8 and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def _is_iban(text: str) -> bool:
    """ISO 13616: the remainder by 97 is one."""
    return 15 <= len(text) <= 34 and int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return digits[0] in "3456" and sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


_SERVICES: Final = (
    r"telegram|signal|whats ?app|viber|skype|wechat|weixin|line|kakao ?talk|imo|threema|session|wickr|discord|instagram|insta|facebook|fb|twitter"
    r"|snap(?:chat)?|tiktok|vk|qq|matrix|xmpp|jabber"
    r"|تيليجرام|تلجرام|تليجرام|تلغرام|تلگرام|واتساب|واتس اب|واتس|واتساپ|سيجنال|سیگنال|فيسبوك|فیسبوک|انستغرام|إنستغرام|اینستاگرام|تويتر|توییتر|سكايب"
    r"|اسکایپ|فايبر|ایمو"
    r"|телеграмм?|тг|ватсап|вотсап|вайбер|сигнал|скайп|вк|инстаграмм?|фейсбук|вконтакте"
    r"|微信|微信号|微博|电报|抖音|텔레그램|카카오톡|카톡|라인|인스타그램|페이스북|위챗"
)
_handles: Final = _spans(
    r"(?<![\w/@.])@[\w.-]{1,64}@(?:[\w-]{1,63}\.){1,5}[^\W\d_]{2,24}",
    r"(?<![\w/@.+-])@[A-Za-z0-9_.]{3,30}\b",
    rf"(?:{_SERVICES})(?:\s?(?:id|name|user(?:name)?|account|handle|ник|аккаунт|حساب|معرف|آیدی|ایدی|号|ID|아이디))?\s?(?:[:：=]|\s[-–]\s"
    rf"|\sis\s)\s?(?P<it>@?(?=[\w.#-]{{0,39}}[^\W\d_])[\w.#-]{{3,40}})",
    r"@[\w.=-]{1,64}:(?:[\w-]{1,63}\.){1,5}[a-z]{2,24}",  # Matrix
)

_profiles: Final = _spans(
    r"(?:https?://)?(?<![\w-])(?:[\w-]{1,63}\.)?(?:facebook\.com|fb\.com|fb\.me|m\.me|instagram\.com|instagr\.am|twitter\.com|x\.com|t\.me|telegram\.me"
    r"|telegram\.dog|wa\.me|api\.whatsapp\.com|chat\.whatsapp\.com|signal\.me|signal\.group"
    r"|linkedin\.com/in|vk\.com|vk\.ru|ok\.ru|weibo\.com|weibo\.cn|tiktok\.com|snapchat\.com/add|youtube\.com/(?:@|c/|channel/|user/)|github\.com"
    r"|gitlab\.com|medium\.com/@|paypal\.me|buymeacoffee\.com|patreon\.com|linktr\.ee"
    r"|threads\.net|bsky\.app/profile|reddit\.com/u(?:ser)?|line\.me|kakao\.com|band\.us|zhihu\.com/people|douyin\.com/user|soundcloud\.com|about\.me"
    r"|flickr\.com/people)/?[^\s<>\"]+",
    # However it is spelled: with any case, port and final dot, an address in place of a name, without its scheme, with the @ escaped, behind a script's path.
    r"(?:https?://(?:[\w.。｡-]+|\[[0-9a-f:.]{2,45}\])|(?<![\w@/.:-])(?:localhost|(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\.?))(?::\d{0,5})?"
    r"/{1,3}(?:web/|#!?/)?(?:@|%40|~|%7e|(?:users?|profiles?|people|u)/{1,3})[\w.%@-]+[^\s<>\"]*",
    r"\b(?:tg|viber|skype|whatsapp|weixin|line|sgnl):/{0,2}[^\s<>\"]+",
)

_DIGITS: Final = re.compile(r"(?<![\w/.])\+?[\d(][\d ()./-]{6,22}\d(?!\w)")
_CALL: Final = re.compile(
    r"\b(?:tel|phone|mobile|cell|call|text|sms|ring|whats ?app|signal|viber|fax|number|тел|телефон\w*|звон\w+|номер|моб|дзвон\w+|móvil|movil|teléfono"
    r"|telefono|llam\w+|téléphone|portable|appel\w+|telefon\w*|cep|ara)\b"
    r"|اتصل|اتصال|هاتف|تلفون|جوال|موبايل|رقمي|واتس|تماس|تلفن|موبایل|شماره|电话|手机|致电|联系|전화|연락|휴대폰|번호",
    re.IGNORECASE,
)
_DATE: Final = re.compile(r"\s*(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{4}\s?-\s?\d{4})\s*")
_NEAR: Final = 30


def _phones(text: str, language: str, regions: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Numbers that could be dialled: from anywhere, or in one of the countries where this is likely; and any row of digits beside a word for calling."""
    # Here, because it is large, and most commands show nobody's numbers.
    import phonenumbers

    usual = SPOKEN_IN.get(language.partition("-")[0], ())
    for region in dict.fromkeys((*regions, *usual, "ZZ")[:MOST_PHONE_REGIONS]):
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
            if not _DATE.fullmatch(match.raw_string):
                yield match.start, match.end
    for found in _DIGITS.finditer(text):
        around = text[max(found.start() - _NEAR, 0) : found.end() + _NEAR]
        if sum(letter.isdigit() for letter in found[0]) >= 7 and _CALL.search(around) and not _DATE.fullmatch(found[0]):
            yield found.span()


_FINDERS: Final[tuple[tuple[Kind, Callable[[str], Iterator[tuple[int, int]]]], ...]] = (
    ("profile", _profiles),
    ("coordinates", _coordinates),
    ("handle", _spans(r"(?<![\w/@.])@[\w.-]{1,64}@(?:[\w-]{1,63}\.){1,5}[^\W\d_]{2,24}")),
    ("email", _emails),
    ("id_number", _id_numbers),
    ("handle", _handles),
    ("address", _addresses),
)
