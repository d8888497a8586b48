"""Encodings of short and long texts; the right value is the text that was encoded."""

from pathlib import Path

import numpy as np
import pytest

from wavrag import text
from wavrag.errors import DocumentError
from wavrag.text.plain import decode

SHORT = {
    "cp1252": "Müller, Bahnhofstraße 3|à louer|Ålesund|¡Qué día!|Não|Fåborg|perciò andrò là|België"
    "|It’s a dog’s life|The price – £20 – includes breakfast|5 × 3 = 15|50 µg of vitamin|21 °C"
    "|Jyväskylä|Été: prix à 5 €|© 2019 Example",
    "cp1251": "Привет из Москвы|Счёт №5: 1200 руб.|Наступне засідання у четвер|Всички хора",
    "koi8_r": "Паром отходит в десять часов|Протокол собрания жильцов",
    "cp866": "Паром отходит в десять часов",
    "iso8859_5": "Паром отходит в десять часов",
    "cp1250": "Zażółć gęślą jaźń|Příliš žluťoučký kůň|Árvíztűrő tükörfúrógép",
    "iso8859_2": "Spotkanie przełożono na środę",
    "cp1253": "Το πλοίο φεύγει στις δέκα.",
    "cp1254": "Toplantı çarşambaya ertelendi",
    "cp1255": "שלום מתל אביב",
    "cp1256": "تغادر العبارة في الساعة العاشرة.",
    "cp874": "สวัสดีจากกรุงเทพ",
    "shift_jis": "東京からこんにちは|会議は月曜日に延期されました",
    "euc_jp": "フェリーは十時に出発します。",
    "iso2022_jp": "フェリーは十時に出発します。",
    "gb18030": "渡轮十点出发。|会议推迟到星期一|北京市海淀区中关村大街5号",
    "big5": "渡輪十點出發。|會議延期到星期一",
    "euc_kr": "회의가 월요일로 연기되었습니다|감사합니다",
    "utf-16-le": "The ferry leaves\nat ten|Привет мир, это файл|你好 世界\n这是一个测试",
    "utf-16-be": "The ferry leaves\nat ten|Привет мир, это файл",
}


@pytest.mark.parametrize("encoding", SHORT)
def test_short_texts_are_read_as_they_were_written(encoding: str) -> None:
    for words in SHORT[encoding].split("|"):
        assert decode(words.encode(encoding), "a.txt")[0] == words


def test_the_note_names_the_encoding_and_whether_it_is_clear() -> None:
    russian = "Договор заключён на пять лет.".encode("cp1251")
    assert "read as Windows-1251" in (decode(russian, "a.txt")[1] or "")
    assert "is unclear" in (decode("да".encode("cp866"), "a.txt")[1] or "")
    assert decode("grün".encode(), "a.txt")[1] is None


def test_long_text_in_another_script_among_ascii(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    lines = ["2024-01-05 10:00:00 INFO worker started", "2024-01-05 ОШИБКА: файл не найден"]
    path.write_bytes("\n".join(lines * 2_000).encode("cp1251"))
    assert text.read(path).text == "\n".join(lines * 2_000)


def test_samples_of_sound_are_not_text() -> None:
    rng = np.random.default_rng(0)
    speech = rng.normal(0, 0.2, 16_000) * np.abs(np.sin(np.arange(16_000) / 500))
    level = np.sign(speech) * np.log1p(255 * np.minimum(np.abs(speech), 1)) / np.log1p(255)
    mu_law = ~(
        (np.abs(level) * 127).astype(np.uint8) | np.where(level >= 0, 128, 0).astype(np.uint8)
    )
    samples = (
        (speech * 30_000).astype("<i2").tobytes(),
        ((speech + 1) * 100).astype(np.uint8).tobytes(),
    )
    for data in (mu_law.astype(np.uint8).tobytes(), *samples, rng.bytes(4_000)):
        with pytest.raises(DocumentError, match="is not text"):
            decode(data, "sound.txt")
