"""Which requests and offers do tests tell? Five, in Arabic, English and Russian, as people told them on Movements.org."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["request", "offer"]


@dataclass(frozen=True, slots=True)
class Story:
    """A request or an offer that somebody makes."""

    teller: str
    kind: Kind
    language: str
    title: str
    text: str
    category: str
    skills: tuple[str, ...]
    speaks: str
    region: str | None = None
    urgency: str | None = None


SYRIA_ARABIC: Final = Story(
    "amal",
    "request",
    "ar",
    "نحتاج إلى مساعدة إعلامية لمجموعة مدنية سورية",
    (
        "نحن مجموعة علمانية في سوريا نعمل من أجل دولة مدنية. "
        "نبحث عن شخص ذي خبرة في العلاقات العامة يساعدنا على إيصال صوتنا إلى الصحافة: كتابة البيانات، والتحضير للمقابلات، والوصول إلى المحررين."
    ),
    "PressAndMedia",
    ("PressOutreach", "SpokespersonTraining"),
    "ar,en",
    "SY",
    "days",
)
SYRIA_ENGLISH: Final = Story(
    "amal",
    "request",
    "en",
    "A secular Syrian group needs help with the press",
    (
        "We are a secular group in Syria that works for a civil state. "
        "We look for somebody with experience in public relations: press releases, preparing interviews, reaching editors."
    ),
    "PressAndMedia",
    ("PressOutreach", "SpokespersonTraining"),
    "ar,en",
    "SY",
    "days",
)
REPORTER: Final = Story(
    "reporter",
    "offer",
    "en",
    "A reporter offers to tell your story",
    (
        "I write for a daily newspaper and would like to tell the stories of people whose government would rather not hear them. "
        "Five stories a month. You decide what I may name."
    ),
    "PressAndMedia",
    ("Journalism", "InterviewPrep"),
    "en,fr,fa",
)
MAGNITSKY_RUSSIAN: Final = Story(
    "hermitage",
    "request",
    "ru",
    "Песня памяти Сергея Магнитского",
    (
        "Ищем автора песни и музыкантов: к годовщине гибели Сергея Магнитского мы хотим рассказать о нём так, чтобы это услышали. "
        "Текст на русском или английском, потом будем снимать клип."
    ),
    "ArtsAndMusic",
    ("Songwriting", "MusicProduction"),
    "ru,en",
    "RU",
    "weeks",
)
MAGNITSKY_ENGLISH: Final = Story(
    "hermitage",
    "request",
    "en",
    "Film a video for the song for Sergei Magnitsky",
    "The song is written. Now we look for people who film: a crew of two or three, one day, no faces of people who live in Russia.",
    "ArtsAndMusic",
    ("Filmmaking", "VideoEditing"),
    "ru,en",
    "RU",
    "weeks",
)
STORIES: Final = (SYRIA_ARABIC, SYRIA_ENGLISH, REPORTER, MAGNITSKY_RUSSIAN, MAGNITSKY_ENGLISH)
