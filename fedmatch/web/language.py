"""In which language does a page speak? One that we offer, chosen by `?lang=` or by what the browser says it reads, with its digits and its direction.

What people wrote keeps its own language and its own direction; this is about our words alone. Our words are English in the templates, and stand translated
in locale/<language>/LC_MESSAGES/fedmatch.po.
"""

import gettext
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from schemas import vocabulary

OFFERED: Final = {"en": "English", "ar": "العربية", "fa": "فارسی"}
"""The languages of the pages, each by its own name."""
_DIGITS: Final = {"ar": str.maketrans("0123456789,.", "٠١٢٣٤٥٦٧٨٩٬٫"), "fa": str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")}
_RIGHT_TO_LEFT: Final = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku-arab", "ps", "sd", "syr", "ug", "ur", "yi"})
LONGEST_ACCEPT: Final = 500


_SOLAR_MONTHS: Final = ("فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور", "مهر", "آبان", "آذر", "دی", "بهمن", "اسفند")
_CYCLE_BEGAN: Final = 1386, date(2007, 3, 21).toordinal()
_CYCLE_DAYS: Final = 33 * 365 + 8
_LONG_YEARS: Final = frozenset({1, 5, 9, 13, 17, 22, 26, 30})


def solar(day: date) -> tuple[int, int, int]:
    """Year, month and day of the solar calendar, which CLDR prefers for Persian and Babel does not know.

    By the cycle of 33 years with eight long ones, which agrees with ICU on every day from 1800 to March 2124.
    """
    first, began = _CYCLE_BEGAN
    cycles, left = divmod(day.toordinal() - began, _CYCLE_DAYS)
    place = 0
    while left >= (length := 366 if place in _LONG_YEARS else 365):
        left, place = left - length, place + 1
    month, of_month = divmod(left, 31) if left < 186 else divmod(left - 6, 30)
    return first + 33 * cycles + place, month + 1, of_month + 1


def direction(language: str | None) -> str:
    """`rtl` or `ltr` for a language tag; `auto`, which lets the browser look at the letters, where we do not know."""
    if not language:
        return "auto"
    low = language.lower()
    return "rtl" if low in _RIGHT_TO_LEFT or low.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


@dataclass(frozen=True, slots=True)
class Spoken:
    """The language of one page; `chosen` by its address, which then stands in every link as well."""

    code: str
    chosen: bool = False

    @property
    def direction(self) -> str:
        """`rtl` or `ltr`."""
        return direction(self.code)

    def number(self, number: int) -> str:
        """A number in the digits of the language."""
        return self._digits(format_decimal(number, locale="en"))

    def day(self, moment: datetime) -> str:
        """A day, written out; in Persian as people in Iran and Afghanistan count it, with the day of the others behind it."""
        usual = self._digits(format_date(moment, format="long", locale=vocabulary.locale(self.code)))
        if self.code != "fa":
            return usual
        year, month, day = solar(moment.date())
        return f"{self._digits(f'{day} {_SOLAR_MONTHS[month - 1]} {year}')} ({usual})"

    def month(self, moment: datetime) -> str:
        """A month with its year."""
        return self._digits(format_date(moment, format="LLLL y", locale=vocabulary.locale(self.code)))

    def _digits(self, text: str) -> str:
        digits = _DIGITS.get(self.code)
        return text.translate(digits) if digits and not any(letter.isalpha() and letter.isascii() for letter in text) else text

    def joined(self, words: tuple[str, ...]) -> str:
        """Words in a row, with the comma of the language."""
        return ("، " if self.direction == "rtl" else ", ").join(words)

    def percent(self, number: int) -> str:
        """A part of a hundred."""
        return f"{self.number(number)}{'٪' if self.code in _DIGITS else '%'}"


def _liked(accept: str) -> Iterator[tuple[float, int, str]]:
    """The quality, place and name, in small letters, of everything in a header that says what a browser likes."""
    for place, item in enumerate(accept[:LONGEST_ACCEPT].split(",")):
        name, _, parameters = item.strip().partition(";")
        try:
            yield float(parameters.strip().removeprefix("q=") or 1), place, name.strip().lower()
        except ValueError:
            continue


def asked(lang: str | None, accept: str) -> Spoken:
    """The language to answer in: the one named in the address if we offer it, else the first we offer of those in Accept-Language, else English."""
    if lang in OFFERED:
        return Spoken(lang, chosen=True)
    liked = [(-quality, place, primary) for quality, place, tag in _liked(accept) if (primary := tag.partition("-")[0]) in OFFERED and 0 < quality <= 1]
    return Spoken(min(liked)[2] if liked else "en")


def reads_gzip(accept: str) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    return any(quality > 0 and coding in ("gzip", "x-gzip") for quality, _place, coding in _liked(accept))


@cache
def translations(code: str) -> gettext.NullTranslations:
    """Our words in an offered language; English is what the templates say."""
    if code == "en":
        return gettext.NullTranslations()
    source = files("fedmatch.web").joinpath("locale", code, "LC_MESSAGES", "fedmatch.po").read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(source), locale=code))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
