"""Does the linter's eye find what leads to a person, in every language of the taxonomy, and leave ordinary words alone?"""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmatch.safety.traces import traces

FOUND = [
    ("ar", "اتصل بي على ٠٩٣٣ ١٢٣ ٤٥٦", "phone", "٠٩٣٣ ١٢٣ ٤٥٦"),
    ("ar", "واتساب: +963 933 123 456", "phone", "+963 933 123 456"),
    ("fa", "تماس ۰۹۱۲ ۳۴۵ ۶۷۸۹", "phone", "۰۹۱۲ ۳۴۵ ۶۷۸۹"),
    ("ru", "Телефон 8 (916) 123-45-67", "phone", "8 (916) 123-45-67"),
    ("uk", "дзвоніть 050 123 45 67", "phone", "050 123 45 67"),
    ("zh-Hans", "电话 13800138000", "phone", "13800138000"),
    ("es", "móvil 612 345 678", "phone", "612 345 678"),
    ("fr", "tél 06 12 34 56 78", "phone", "06 12 34 56 78"),
    ("tr", "0532 123 45 67", "phone", "0532 123 45 67"),
    ("ko", "전화 010-1234-5678", "phone", "010-1234-5678"),
    ("en", "call +44 20 7946 0958 at night", "phone", "+44 20 7946 0958"),
    ("en", "my number is 555 0199 22", "phone", "555 0199 22"),
    ("en", "write to sara.k+help@mail.example.org soon", "email", "sara.k+help@mail.example.org"),
    ("en", "sara (at) mail (dot) org", "email", "sara (at) mail (dot) org"),
    ("en", "sara at mail dot org", "email", "sara at mail dot org"),
    ("ru", "sara [собака] mail [точка] org", "email", "sara [собака] mail [точка] org"),
    ("en", "ｓａｒａ＠example.org", "email", "ｓａｒａ＠example.org"),
    ("en", "we meet at 33.5138, 36.2765 today", "coordinates", "33.5138, 36.2765"),
    ("ar", "نحن عند ٣٣.٥١٣٨، ٣٦.٢٧٦٥", "coordinates", "٣٣.٥١٣٨، ٣٦.٢٧٦٥"),
    ("en", "at 35°41'22\"N", "coordinates", "35°41'22\"N"),
    ("en", "geo:33.51,36.27", "coordinates", "geo:33.51,36.27"),
    ("en", "8FW4V75V+8Q", "coordinates", "8FW4V75V+8Q"),
    ("en", "///filled.count.soap", "coordinates", "///filled.count.soap"),
    ("en", "https://maps.google.com/?q=x.", "coordinates", "https://maps.google.com/?q=x"),
    ("ar", "في شارع بغداد ١٢", "address", "شارع بغداد ١٢"),
    ("fa", "تهران خیابان ولیعصر پلاک ۱۲", "address", "خیابان ولیعصر پلاک ۱۲"),
    ("ru", "ул. Ленина, д. 5", "address", "ул. Ленина, д. 5"),
    ("uk", "вул. Хрещатик, буд. 22", "address", "вул. Хрещатик, буд. 22"),
    ("zh-Hans", "北京市朝阳区建国路88号3单元", "address", "北京市朝阳区建国路88号3单元"),
    ("es", "vivo en Calle Mayor 12", "address", "Calle Mayor 12"),
    ("fr", "rue de la Paix 12", "address", "rue de la Paix 12"),
    ("tr", "Atatürk Caddesi No: 12", "address", "Atatürk Caddesi No: 12"),
    ("ko", "서울 세종대로 110", "address", "세종대로 110"),
    ("en", "come to 221b Baker Street", "address", "221b Baker Street"),
    ("de", "Lindenstraße 9", "address", "Lindenstraße 9"),
    ("en", "passport no. A1234567", "id_number", "A1234567"),
    ("ar", "رقم الهوية ١٠٢٣٤٥٦٧٨٩", "id_number", "١٠٢٣٤٥٦٧٨٩"),
    ("fa", "کد ملی ۰۴۹۹۳۷۰۸۹۹", "id_number", "۰۴۹۹۳۷۰۸۹۹"),
    ("ru", "паспорт 4509 123456", "id_number", "4509 123456"),
    ("zh-Hans", "我是11010519491231002X", "id_number", "11010519491231002X"),
    ("es", "DNI 12345678Z", "id_number", "12345678Z"),
    ("tr", "10000000146", "id_number", "10000000146"),
    ("ko", "주민등록번호 900101-1234568", "id_number", "900101-1234568"),
    ("en", "pay to DE89 3704 0044 0532 0130 00", "id_number", "DE89 3704 0044 0532 0130 00"),
    ("en", "card 4111 1111 1111 1111", "id_number", "4111 1111 1111 1111"),
    ("en", "ask @sara@social.example", "handle", "@sara@social.example"),
    ("en", "telegram: sara_k", "handle", "sara_k"),
    ("ar", "تليجرام: sara_k", "handle", "sara_k"),
    ("zh-Hans", "微信：wx_abc123", "handle", "wx_abc123"),
    ("ru", "телеграм: sara_k", "handle", "sara_k"),
    ("ko", "카카오톡: sara123", "handle", "sara123"),
    ("en", "see https://facebook.com/sara.k, please", "profile", "https://facebook.com/sara.k"),
    ("en", "t.me/sara_k", "profile", "t.me/sara_k"),
    ("en", "https://social.example/@sara", "profile", "https://social.example/@sara"),
    *(
        ("en", f"see {link}, please", "profile", link)
        for link in (
            "HTTPS://SOCIAL.EXAMPLE/@sara",
            "https://social.example./@sara",
            "https://social.example:443/users/sara",
            "http://LOCALHOST.:8001/Users/Sara",
            "social.example/@sara",
            "localhost:8001/@sara",
            "social.example:8443/users/sara",
            "https://[2001:db8::1]:8001/@sara",
            "http://127.0.0.1:8001/@sara",
            "https://social.example/%40sara",
            "https://social.example//@sara",
            "https://social.example/web/@sara",
            "https://social.example/#/@sara",
            "https://social。example/@sara",
            "https://xn--mnchen-3ya.example/@sara",
            "münchen.example/@sara",
        )
    ),
    ("ru", "vk.com/id12345", "profile", "vk.com/id12345"),
]

HARMLESS = [
    ("en", "We need a lawyer who knows asylum law in 2026. 12 people, 24 hours. See https://example.org/report/2024/12."),
    ("en", "The conference is on 2026-12-31; room for 5 helpers @ home. 1,234.567 items."),
    ("en", "Between 2019 - 2024 we helped 15000 people, at risk. Chapter 3, article 19 of the covenant."),
    ("en", "I can teach 3 languages at level B2; the budget is 12,000 - 15,000 EUR; we can talk anonymously"),
    ("ru", "Нужен юрист, 20 лет опыта, Закон № 255-ФЗ, статья 275 УК"),
    ("ar", "نحتاج إلى محامٍ يعرف قانون اللجوء في السويد، ولدينا 3 أشهر"),
    ("fa", "به مترجم فارسی و انگلیسی نیاز داریم، ۲۰ صفحه تا پایان ۲۰۲۶"),
    ("zh-Hans", "我们需要一位懂庇护法的律师,2026年12月之前,共20页"),
    ("ko", "난민법을 아는 변호사가 필요합니다. 2026년까지 20쪽을 번역해 주세요"),
    ("tr", "2026 yılına kadar 20 sayfa çeviri gerekiyor"),
    ("fr", "Nous cherchons un avocat pour 3 dossiers, avant le 31/12/2026"),
    ("es", "Necesitamos un abogado para 3 casos antes del 31/12/2026"),
    ("uk", "Потрібен перекладач, 20 сторінок до 31.12.2026"),
    ("en", "See docs.example/guide and example.org/about/people, or/and read https://example.org/posts/12."),
]


@pytest.mark.parametrize(("language", "text", "kind", "words"), FOUND, ids=[f"{one[0]}-{one[2]}-{place}" for place, one in enumerate(FOUND)])
def test_what_leads_to_a_person_is_found(language: str, text: str, kind: str, words: str) -> None:
    found = traces(text, language)

    assert (kind, words) in [(one.kind, one.words) for one in found]
    assert all(text[one.start : one.end] == one.words for one in found)


@pytest.mark.parametrize(("language", "text"), HARMLESS)
def test_ordinary_words_and_numbers_are_left_alone(language: str, text: str) -> None:
    assert traces(text, language) == ()


def test_a_number_of_the_country_it_is_about_is_found_in_any_language() -> None:
    assert traces("reach us: 0933 123 456", "ko", ("SY",))


@given(st.text(alphabet="0123456789 +-().@aAбن路№'°\n", max_size=400))
@settings(max_examples=60, deadline=None)
def test_spans_lie_in_the_text_and_never_overlap(text: str) -> None:
    found = traces(text, "ar", ("SY",))

    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(first.end <= second.start for first, second in itertools.pairwise(found))


@pytest.mark.parametrize(
    "piece", ["1 ", "a@", "12 a ", "شارع ", "(", "a.", "+1 (2) ", "rue ", "x at ", "9", "A1 ", "路1", "°1'", "a-", "a.b/", "//", "https://a"]
)
def test_no_text_of_an_author_holds_the_server_up(piece: str) -> None:
    start = time.process_time()

    traces((piece * 5000)[:5000], "ar", ("SY",))

    assert time.process_time() - start < 5, "a pattern that goes back and forth takes minutes"
