"""The token estimate and the context guard."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runllm import tokens
from runllm.tokens import Room, check, estimate_messages, estimate_text

# The largest count that ten tokenizers gave (cl100k, o200k, Claude's, DeepSeek's, SmolLM2's, Llama 3 and 4,
# Qwen 2.5 and 3.6, Mistral's tekken), by `benchmarks/token_estimate.py`.
COUNTED = {
    "English": (
        27,
        "Read the customer's message and decide which team should answer it. When it could mean either, say in one sentence what is missing.",
    ),
    "learned English": (
        21,
        "Photorespiration and irradiance saturation account for most of the discrepancy between theoretical and observed yields.",
    ),
    "German": (
        46,
        "Die Fischerfamilien hielten die Stadt für zuständig; strittig war, wer die Instandsetzungskosten übernehmen würde.",
    ),
    "Finnish": (
        44,
        "Kalastajaperheet katsoivat kaupungin olevan heille korjaustyön velkaa, eikä kukaan kiistänyt sitä.",
    ),
    "Vietnamese": (76, "Hội đồng họp hôm thứ Năm để quyết định phải làm gì với bức tường cũ của bến cảng."),
    "Russian": (
        80,
        "Рыбацкие семьи, четыре поколения привязывавшие к ней свои лодки, считали, что город обязан её починить.",
    ),
    "Arabic": (85, "اجتمع المجلس يوم الخميس ليقرر ما ينبغي فعله بجدار الميناء القديم، لكن السؤال كان: من سيدفع؟"),
    "Hindi": (93, "परिषद गुरुवार को यह तय करने के लिए बैठी कि पुराने बंदरगाह की दीवार का क्या किया जाए।"),
    "Thai": (110, "ไม่มีใครปฏิเสธว่ามันกำลังพังลง ปัญหาคือใครจะเป็นคนจ่ายเงิน"),
    "Chinese": (72, "没有人否认它正在坍塌，问题在于由谁来付钱。渔民家庭四代人都把船系在那里。"),
    "Japanese": (72, "壁が崩れかけていることは誰も否定しなかった。問題は、誰が費用を払うかである。"),
    "Korean": (95, "벽이 무너지고 있다는 것은 아무도 부정하지 않았다. 문제는 누가 돈을 낼 것인가였다."),
    "Python": (
        37,
        "def frequencies(words):\n    counts = {}\n    for word in words:\n        counts[word] = counts.get(word, 0) + 1\n    return counts\n",
    ),
    "SQL": (
        51,
        "SELECT country_code, SUM(total_cents) / 100.0 AS revenue FROM orders WHERE status IN ('paid', 'shipped') GROUP BY 1 HAVING COUNT(*) > 10;",
    ),
    "JSON": (
        73,
        '{"id": 48213, "items": [{"name": "tea", "price": 4.5, "tags": []}], "is_active": true, "createdAt": "2024-03-18T09:15:30Z", "note": null}',
    ),
    "HTML": (
        48,
        '<tr class="row is-odd"><td>10482</td><td style="text-align:right">&euro;&nbsp;129.90</td></tr>',
    ),
    "base64": (72, "R2VuZXJhdGVkIHdpdGggYSBzZWVkLCBzbyB0aGF0IGl0IHN0YXlzIHRoZSBzYW1lOiB4N3EyWjlrTDRtVnd0UQ=="),
    "uuid": (71, "9f1c2d34-5b6a-4e7f-8a90-bc12de34f567 0b7e6d5c-4a39-4281-9706-f5e4d3c2b1a0"),
    "numbers": (67, "3.14159, -0.000273 1,234,567.89 +49 30 901820 192.168.17.254 1e-9 50%"),
    "emoji": (76, "🚀🔥✨ ✅❌⚠️ 👍🏽 👩\u200d👩\u200d👧\u200d👦 🇩🇪🇯🇵 ❤️ thanks 🙏🙏"),
    "capitals": (27, "CREATE OPERATOR CLASS LANGUAGE FUNCTION RETURNS INTERNAL STRICT EXTENSION FAMILY"),
    "marks": (25, "]$~^|`;}?<@&#\\!%=*[+'>{:,(\"/)-_."),
    "short paragraphs": (22, "a\n\nb\n\nc\n\nd\n\ne\n\nf\n\ng\n\nh"),
    "blanks": (20, "a\n\n\n\tb  c\r\n\r\n\t\t\td \t \n\n      e\u00a0f\u3000g"),
}

TEXT = st.text(st.characters() | st.sampled_from("aeinst AEST  \n\t09.,(){}\"':_-") | st.just("\ud800"), max_size=300)
JUNCTION = 12  # a known word that is cut, or two that become one, can cost this much more or less


@pytest.mark.parametrize("kind", COUNTED)
def test_the_estimate_is_near_the_largest_real_count_and_not_below_it(kind: str) -> None:
    counted, text = COUNTED[kind]
    assert 0.98 * counted <= estimate_text(text) <= 1.35 * counted + 2


def test_nothing_takes_no_tokens() -> None:
    assert estimate_text("") == 0


@pytest.mark.parametrize(
    ("plain", "costlier"),
    [
        ("function", "FUNCTION"),  # a word in capitals is seldom in a vocabulary
        ("committees", "kwxzvqjtrp"),  # letters that form no word
        ("the house", "die Gaststätte"),  # a language that vocabularies cover less
        ("seven", "77777"),  # digits are tokens each
        ("x y", "x 7"),  # and so is the blank before one
        ("    ", " \t \t"),  # a run of blanks is one token, a mixture is several
        ("------", "-=[;{~"),  # so with marks
    ],
)
def test_what_vocabularies_lack_costs_more(plain: str, costlier: str) -> None:
    assert estimate_text(costlier) > estimate_text(plain)


@given(TEXT)
@example("Ա" * 100)  # a script that most vocabularies hold as bytes
def test_any_string_has_an_estimate_between_nothing_and_its_bytes(text: str) -> None:
    assert 0 <= estimate_text(text) <= len(text.encode(errors="surrogatepass")) + 1


@given(TEXT, TEXT)
def test_joining_two_texts_changes_their_sum_only_where_they_meet(left: str, right: str) -> None:
    together, apart = estimate_text(left + right), (estimate_text(left), estimate_text(right))
    assert together <= sum(apart) + JUNCTION
    assert together >= max(apart) - JUNCTION


def test_reading_a_long_text_in_parts_changes_nothing_but_the_seams() -> None:
    words = "about " * tokens.CHUNK
    assert tokens.CHUNK <= estimate_text(words) <= tokens.CHUNK + JUNCTION * 6


@pytest.mark.parametrize(
    "unit",
    ["a", "A", "Ab", "aB", " ", "\n", " \n", "-", "{[", "7", " 7", "é", "中", "🚀", "\ud800", "xq ", "\x00", "ﷺ", "A-"],
)
def test_a_megabyte_of_anything_is_read_at_once(unit: str) -> None:
    """A pattern that backtracks would take hours here; the bound only tells the two apart."""
    start = time.monotonic()
    assert estimate_text(unit * (1_000_000 // len(unit))) > 0
    assert time.monotonic() - start < 20


def test_a_request_is_its_texts_and_a_little_for_each_message() -> None:
    alone = estimate_messages(["hello"])
    assert alone == tokens.PER_REQUEST + tokens.PER_MESSAGE + estimate_text("hello")
    assert estimate_messages(["hello", "hello"]) == 2 * alone - tokens.PER_REQUEST


def test_a_schema_counts_where_it_is_sent() -> None:
    schema = {"type": "object", "properties": {"größe": {"type": "integer", "minimum": 0}}}
    more = estimate_messages(["x"], schema) - estimate_messages(["x"])
    assert more == tokens.PER_MESSAGE + estimate_text(json.dumps(schema, ensure_ascii=False))
    assert check(["x"], schema=schema, max_tokens=1, window=99).prompt == estimate_messages(["x"], schema)


@pytest.mark.parametrize(
    ("max_tokens", "window", "answer"),
    [
        (500, 8192, 500),
        (0, 8192, 0),
        (None, 8192, tokens.SMALLEST_ANSWER),
        (None, 400, 100),  # a small window keeps three quarters for the prompt
    ],
)
def test_room_for_the_answer(max_tokens: int | None, window: int, answer: int) -> None:
    assert check(["x"], max_tokens=max_tokens, window=window).answer == answer


@pytest.mark.parametrize(("window", "excess"), [(151, 0), (150, 0), (149, 1), (0, 150)])
def test_a_budget_fits_up_to_the_last_token(window: int, excess: int) -> None:
    found = Room(prompt=100, answer=50, window=window)
    assert (found.fits, found.excess) == (excess == 0, excess)


def test_a_long_prompt_does_not_fit_and_a_shorter_one_does() -> None:
    """A caller that cuts `excess` tokens of text ends up inside the window."""
    text = "The engineers will report in the spring. " * 400
    found = check([text], max_tokens=100, window=2000)
    assert not found.fits
    kept = len(text) * (found.prompt - found.excess) // found.prompt
    assert check([text[: kept - 100]], max_tokens=100, window=2000).fits


def test_every_known_word_is_listed_once_in_small_letters() -> None:
    stems = tokens.known_stems()
    assert stems == sorted(set(stems))
    assert all(stem.isascii() and stem.isalpha() and stem.islower() and len(stem) > 1 for stem in stems)


@given(
    st.lists(st.text(max_size=60), max_size=4),
    st.one_of(st.none(), st.integers(1, 400)),
    st.integers(1, 2_000),
)
def test_what_surely_fits_fits(texts: list[str], max_tokens: int | None, window: int) -> None:
    """The quick look never lets a request through that the estimate refuses."""
    if tokens.surely_fits(texts, max_tokens=max_tokens, window=window):
        assert check(texts, max_tokens=max_tokens, window=window).fits


def test_a_wide_window_is_seen_at_a_glance() -> None:
    """The quick look counts four bytes a character, so it leaves a close call to the estimate."""
    assert tokens.surely_fits(["a prompt"], max_tokens=400, window=8192)
    assert not tokens.surely_fits(["a" * 2000], max_tokens=400, window=4096)
