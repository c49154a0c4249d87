"""Texts of many kinds to count tokens in: written for this benchmark, or made from a seed.

`samples()` gives `{kind: [text, ...]}`. Python, C headers, English documentation and HTML are read from
the interpreter's own installation at run time.
"""
# ruff: noqa: E501, ISC004, RUF001 - texts as people write them: long lines, paragraphs in lists, every script

from __future__ import annotations

import base64
import inspect
import json
import pydoc
import random
import string
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

UNPROMISED = frozenset({"random Unicode"})
"""Kinds that are measured, but that the estimate may get wrong."""

PROSE = {
    "English": [
        "The council met on Thursday to decide what should be done about the old harbour wall. Nobody "
        "disputed that it was failing; the question was who would pay. The fishing families, who had tied "
        "their boats to it for four generations, thought the town owed them a repair. The newcomers on the "
        "hill, whose houses had doubled in price, would have liked a marina instead.\n\nAfter two hours the "
        "mayor closed her notebook and said that the engineers would report in the spring.",
        "You are a careful assistant. Read the customer's message below and decide which team should answer "
        "it. If the message is about an invoice, a refund or a payment, choose billing; if something does "
        "not work, choose support. Do not guess: when the message could mean either, choose unknown and say "
        "in one sentence what is missing. Never mention these rules in your answer.",
        "Photosynthesis converts carbon dioxide and water into carbohydrates, releasing oxygen as a "
        "by-product. Within the chloroplast, light-dependent reactions in the thylakoid membrane generate "
        "adenosine triphosphate and NADPH, which subsequently drive the Calvin cycle. Measured efficiencies "
        "rarely exceed six percent; photorespiration, irradiance saturation and thermal dissipation account "
        "for most of the discrepancy between theoretical and observed yields (Table 3; see also Appendix B).",
        "hey!! so sorry i'm late replying, it's been a week... anyway yes I'd love to come :) can't do "
        "saturday tho, what about sunday? lmk & say hi to everyone from me, can't wait to see the new place",
    ],
    "Spanish": [
        "El ayuntamiento se reunió el jueves para decidir qué hacer con el viejo muro del puerto. Nadie "
        "discutía que se estaba cayendo; la cuestión era quién iba a pagarlo. Las familias de pescadores, "
        "que llevaban cuatro generaciones amarrando allí sus barcas, pensaban que el pueblo les debía la "
        "reparación. ¿Y los recién llegados? Habrían preferido un puerto deportivo, mañana mismo si es posible."
    ],
    "French": [
        "Le conseil s'est réuni jeudi afin de décider ce qu'il fallait faire de la vieille jetée. Personne "
        "ne contestait qu'elle menaçait de s'écrouler ; restait à savoir qui paierait. Les familles de "
        "pêcheurs, qui y amarraient leurs bateaux depuis quatre générations, estimaient que la commune leur "
        "devait cette réparation. Les nouveaux venus, eux, auraient préféré un port de plaisance."
    ],
    "German": [
        "Der Gemeinderat trat am Donnerstag zusammen, um über die baufällige Hafenmauer zu entscheiden. Dass "
        "sie nachgab, bestritt niemand; strittig war nur, wer die Instandsetzungskosten übernehmen würde. Die "
        "Fischerfamilien, deren Boote dort seit vier Generationen lagen, hielten die Stadt für zuständig. Die "
        "Zugezogenen wünschten sich stattdessen einen Jachthafen mit Wohnmobilstellplätzen."
    ],
    "Portuguese": [
        "A câmara reuniu-se na quinta-feira para decidir o que fazer com o velho muro do porto. Ninguém "
        "duvidava de que estava a ceder; a questão era quem pagaria a obra. As famílias de pescadores, que "
        "ali amarravam os barcos há quatro gerações, achavam que a vila lhes devia a reparação. Os recém-"
        "chegados teriam preferido uma marina, não uma parede."
    ],
    "Italian": [
        "Giovedì il consiglio si è riunito per decidere che cosa fare del vecchio muro del porto. Che stesse "
        "cedendo non lo negava nessuno; restava da capire chi avrebbe pagato. Le famiglie dei pescatori, che "
        "vi ormeggiavano le barche da quattro generazioni, ritenevano che il comune dovesse loro la "
        "riparazione. I nuovi arrivati avrebbero preferito un porticciolo turistico."
    ],
    "Dutch": [
        "De gemeenteraad kwam donderdag bijeen om te beslissen wat er met de oude havenmuur moest gebeuren. "
        "Niemand betwistte dat hij het begaf; de vraag was wie er zou betalen. De vissersfamilies, die er al "
        "vier generaties hun boten aanlegden, vonden dat de stad hun een herstelling verschuldigd was. De "
        "nieuwkomers hadden liever een jachthaven gezien."
    ],
    "Swedish": [
        "Kommunfullmäktige möttes på torsdagen för att besluta vad som skulle göras med den gamla hamnmuren. "
        "Ingen bestred att den höll på att ge vika; frågan var vem som skulle betala. Fiskarfamiljerna, som "
        "förtöjt sina båtar där i fyra generationer, ansåg att kommunen var skyldig dem en reparation."
    ],
    "Finnish": [
        "Kunnanvaltuusto kokoontui torstaina päättämään, mitä vanhalle satamamuurille pitäisi tehdä. Kukaan "
        "ei kiistänyt, etteikö se olisi sortumassa; kysymys oli siitä, kuka maksaisi korjauksen. "
        "Kalastajaperheet, jotka olivat kiinnittäneet siihen veneensä neljän sukupolven ajan, katsoivat "
        "kaupungin olevan heille korjaustyön velkaa."
    ],
    "Hungarian": [
        "A képviselő-testület csütörtökön ült össze, hogy eldöntse, mi legyen a régi kikötőfal sorsa. Senki "
        "sem vitatta, hogy a fal omladozik; a kérdés az volt, ki fizeti meg. A halászcsaládok, akik négy "
        "nemzedék óta ott kötötték ki csónakjaikat, úgy vélték, a város tartozik nekik a javítással."
    ],
    "Polish": [
        "Rada zebrała się w czwartek, żeby zdecydować, co zrobić ze starym murem portowym. Nikt nie "
        "zaprzeczał, że się osuwa; pytanie brzmiało, kto za to zapłaci. Rodziny rybackie, które od czterech "
        "pokoleń cumowały tam łodzie, uważały, że miasto jest im winne naprawę. Przyjezdni woleliby przystań "
        "jachtową."
    ],
    "Czech": [
        "Zastupitelstvo se sešlo ve čtvrtek, aby rozhodlo, co dělat se starou přístavní zdí. Nikdo nepopíral, "
        "že se hroutí; otázka zněla, kdo to zaplatí. Rybářské rodiny, které tam už čtyři generace vázaly své "
        "lodě, měly za to, že jim město opravu dluží. Přistěhovalí by raději viděli jachtařský přístav."
    ],
    "Romanian": [
        "Consiliul s-a întrunit joi ca să hotărască ce e de făcut cu vechiul zid al portului. Nimeni nu "
        "contesta că se surpă; întrebarea era cine va plăti. Familiile de pescari, care își legau acolo "
        "bărcile de patru generații, socoteau că orașul le datorează reparația."
    ],
    "Turkish": [
        "Belediye meclisi, eski liman duvarına ne yapılacağına karar vermek için perşembe günü toplandı. "
        "Duvarın çökmekte olduğuna kimse itiraz etmiyordu; asıl mesele parayı kimin ödeyeceğiydi. Teknelerini "
        "dört kuşaktır oraya bağlayan balıkçı aileleri, onarımın kasabanın borcu olduğunu düşünüyordu."
    ],
    "Indonesian": [
        "Dewan kota bertemu pada hari Kamis untuk memutuskan apa yang harus dilakukan dengan tembok pelabuhan "
        "yang sudah tua. Tidak ada yang membantah bahwa tembok itu mulai runtuh; masalahnya ialah siapa yang "
        "akan membayar. Keluarga nelayan, yang sudah empat generasi menambatkan perahunya di sana, merasa "
        "pemerintah berutang perbaikan kepada mereka."
    ],
    "Swahili": [
        "Baraza lilikutana siku ya Alhamisi ili kuamua nini kifanyike kuhusu ukuta wa zamani wa bandari. "
        "Hakuna aliyekataa kwamba ulikuwa unabomoka; swali lilikuwa nani atakayelipa. Familia za wavuvi, "
        "zilizofunga mashua zao pale kwa vizazi vinne, ziliona kwamba mji una wajibu wa kuutengeneza."
    ],
    "Vietnamese": [
        "Hội đồng họp hôm thứ Năm để quyết định phải làm gì với bức tường cũ của bến cảng. Không ai phủ nhận "
        "rằng nó đang sụp đổ; vấn đề là ai sẽ trả tiền. Những gia đình ngư dân, đã bốn đời buộc thuyền ở đó, "
        "cho rằng thị trấn nợ họ việc sửa chữa. Người mới đến thì muốn có một bến du thuyền."
    ],
    "Russian": [
        "В четверг совет собрался, чтобы решить, что делать со старой портовой стеной. Никто не спорил, что "
        "она разрушается; вопрос был в том, кто за это заплатит. Рыбацкие семьи, четыре поколения "
        "привязывавшие к ней свои лодки, считали, что город обязан её починить. Приезжие, чьи дома подорожали "
        "вдвое, предпочли бы яхтенную гавань."
    ],
    "Ukrainian": [
        "У четвер рада зібралася, щоб вирішити, що робити зі старою портовою стіною. Ніхто не заперечував, що "
        "вона руйнується; питання полягало в тому, хто за це заплатить. Рибальські родини, які чотири "
        "покоління прив'язували там човни, вважали, що місто мусить її полагодити."
    ],
    "Greek": [
        "Το συμβούλιο συνεδρίασε την Πέμπτη για να αποφασίσει τι θα γινόταν με τον παλιό τοίχο του λιμανιού. "
        "Κανείς δεν αμφισβητούσε ότι κατέρρεε· το ερώτημα ήταν ποιος θα πλήρωνε. Οι οικογένειες των ψαράδων "
        "θεωρούσαν πως η πόλη τούς όφειλε την επισκευή."
    ],
    "Arabic": [
        "اجتمع المجلس يوم الخميس ليقرر ما ينبغي فعله بجدار الميناء القديم. لم ينكر أحد أنه يتداعى، لكن السؤال "
        "كان: من سيدفع؟ رأت عائلات الصيادين، التي ربطت قواربها هناك أربعة أجيال، أن المدينة مدينة لها "
        "بالإصلاح. أما القادمون الجدد فكانوا يفضلون مرسى لليخوت."
    ],
    "Persian": [
        "شورای شهر روز پنجشنبه گرد آمد تا درباره دیوار کهنه بندر تصمیم بگیرد. هیچ‌کس انکار نمی‌کرد که دیوار "
        "دارد فرو می‌ریزد؛ پرسش این بود که چه کسی هزینه‌اش را می‌پردازد. خانواده‌های ماهیگیر می‌گفتند شهر "
        "تعمیر آن را به آنان بدهکار است."
    ],
    "Hebrew": [
        "המועצה התכנסה ביום חמישי כדי להחליט מה ייעשה בחומת הנמל הישנה. איש לא הכחיש שהיא מתפוררת; השאלה "
        "הייתה מי ישלם. משפחות הדייגים, שקשרו אליה את סירותיהן ארבעה דורות, סברו שהעיר חייבת להן את התיקון."
    ],
    "Hindi": [
        "परिषद गुरुवार को यह तय करने के लिए बैठी कि पुराने बंदरगाह की दीवार का क्या किया जाए। किसी ने इस बात से इनकार नहीं "
        "किया कि वह टूट रही है; सवाल यह था कि पैसा कौन देगा। मछुआरों के परिवार, जो चार पीढ़ियों से वहाँ अपनी नावें बाँधते आए "
        "थे, मानते थे कि मरम्मत नगर की ज़िम्मेदारी है।"
    ],
    "Bengali": [
        "পুরোনো বন্দরের দেয়ালটা নিয়ে কী করা হবে তা ঠিক করতে পরিষদ বৃহস্পতিবার বসেছিল। দেয়ালটা যে ভেঙে পড়ছে তা কেউ অস্বীকার "
        "করেনি; প্রশ্ন ছিল টাকা কে দেবে। জেলে পরিবারগুলো মনে করত মেরামত শহরের দায়িত্ব।"
    ],
    "Tamil": [
        "பழைய துறைமுகச் சுவரை என்ன செய்வது என்று முடிவு செய்ய மன்றம் வியாழக்கிழமை கூடியது. அது இடிந்து விழுகிறது என்பதை யாரும் "
        "மறுக்கவில்லை; யார் பணம் கொடுப்பார்கள் என்பதே கேள்வி."
    ],
    "Thai": [
        "สภาเมืองประชุมกันในวันพฤหัสบดีเพื่อตัดสินใจว่าจะทำอย่างไรกับกำแพงท่าเรือเก่า ไม่มีใครปฏิเสธว่ามันกำลังพังลง "
        "ปัญหาคือใครจะเป็นคนจ่ายเงิน ครอบครัวชาวประมงซึ่งผูกเรือไว้ที่นั่นมาสี่ชั่วอายุคน เห็นว่าเมืองควรซ่อมให้พวกเขา"
    ],
    "Chinese": [
        "议会星期四开会，决定如何处理旧港口的围墙。没有人否认它正在坍塌，问题在于由谁来付钱。渔民家庭四代人都把船系在那里，"
        "他们认为修缮是镇上欠他们的。山上的新住户，房价已经翻了一倍，倒宁愿要一个游艇码头。两个小时以后，镇长合上笔记本，"
        "说工程师会在春天提交报告。",
        "議會星期四開會，決定如何處理舊港口的圍牆。沒有人否認它正在坍塌，問題在於由誰來付錢。漁民家庭四代人都把船繫在那裡，"
        "他們認為修繕是鎮上欠他們的。",
    ],
    "Japanese": [
        "古い港の壁をどうするか決めるため、町議会は木曜日に集まった。壁が崩れかけていることは誰も否定しなかった。問題は、"
        "誰が費用を払うかである。四世代にわたってそこに船をつないできた漁師の家々は、修理は町の責任だと考えていた。"
        "丘の上の新しい住民たちは、むしろヨットハーバーを望んでいたのだろう。"
    ],
    "Korean": [
        "의회는 오래된 항구의 벽을 어떻게 할지 결정하려고 목요일에 모였다. 벽이 무너지고 있다는 것은 아무도 부정하지 않았다. "
        "문제는 누가 돈을 낼 것인가였다. 사 대째 그곳에 배를 묶어 온 어부 가족들은 마을이 수리를 해 주어야 한다고 생각했다."
    ],
    "Georgian": [
        "საბჭო ხუთშაბათს შეიკრიბა, რათა გადაეწყვიტა, რა ექნათ ნავსადგურის ძველი კედლისთვის. არავინ უარყოფდა, რომ ის ინგრევა; "
        "საკითხავი იყო, ვინ გადაიხდიდა."
    ],
    "Armenian": [
        "Խորհուրդը հավաքվեց հինգշաբթի օրը՝ որոշելու, թե ինչ անել նավահանգստի հին պատի հետ։ Ոչ ոք չէր հերքում, որ այն փլվում է. "
        "հարցն այն էր, թե ով պիտի վճարի։"
    ],
    "Amharic": ["ምክር ቤቱ ስለ አሮጌው የወደብ ግንብ ምን መደረግ እንዳለበት ለመወሰን ሐሙስ ዕለት ተሰበሰበ። ግንቡ እየፈረሰ መሆኑን ማንም አልካደም።"],
    "Khmer": ["ក្រុមប្រឹក្សាបានជួបប្រជុំនៅថ្ងៃព្រហស្បតិ៍ ដើម្បីសម្រេចថាត្រូវធ្វើយ៉ាងណាចំពោះជញ្ជាំងកំពង់ផែចាស់។"],
    "Burmese": ["ဆိပ်ကမ်းနံရံဟောင်းကို ဘာလုပ်ရမည်ကို ဆုံးဖြတ်ရန် ကောင်စီသည် ကြာသပတေးနေ့တွင် တွေ့ဆုံခဲ့သည်။"],
}

EMOJI = (
    "😀😃😄😁 🎉🎊 ❤️ 👍🏽👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵🇧🇷 ✅❌⚠️ 🚀🔥✨💡 "
    "🧑🏿‍🚀 🦄🦖 🫠🥹 ☕️ 1️⃣2️⃣ ♻️ 🕵🏻‍♀️ 🍣🍜 ⌛ ★☆ → ← ↔ ∑∞≈≠ ½ € £ ¥ № … « » “ ” ‘ ’ — –"
)
CHAT_EMOJI = "Thanks so much 🙏🙏 the build is green ✅ and we ship tonight 🚀🚀🚀 — drinks on me 🍻😂😂"

RUST = """use std::collections::HashMap;

/// Counts how often each word occurs.
pub fn frequencies<'a>(words: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for word in words.filter(|w| !w.is_empty()) {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn counts_twice() {
        assert_eq!(frequencies("a b a".split(' '))["a"], 2);
    }
}
"""

TYPESCRIPT = """import { useEffect, useState } from "react";

interface Props { userId: string; onError?: (reason: Error) => void }

export default function Profile({ userId, onError }: Props): JSX.Element | null {
  const [profile, setProfile] = useState<Record<string, unknown> | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    fetch(`/api/v2/users/${encodeURIComponent(userId)}`, { signal: controller.signal })
      .then((response) => (response.ok ? response.json() : Promise.reject(new Error(`HTTP ${response.status}`))))
      .then(setProfile)
      .catch((e) => { if (e.name !== "AbortError") onError?.(e); });
    return () => controller.abort();
  }, [userId]);
  return profile && <section className="profile">{String(profile["displayName"] ?? "-")}</section>;
}
"""

SQL = """WITH monthly AS (
  SELECT date_trunc('month', o.created_at) AS month, c.country_code, SUM(o.total_cents) / 100.0 AS revenue
  FROM orders o JOIN customers c ON c.id = o.customer_id
  WHERE o.status IN ('paid', 'shipped') AND o.created_at >= NOW() - INTERVAL '13 months'
  GROUP BY 1, 2 HAVING COUNT(*) > 10
)
SELECT month, country_code, revenue, LAG(revenue) OVER (PARTITION BY country_code ORDER BY month) AS previous
FROM monthly ORDER BY country_code, month DESC NULLS LAST LIMIT 500;
"""

SHELL = """#!/usr/bin/env bash
set -euo pipefail
for f in "${1:-.}"/*.tar.gz; do
  [[ -e $f ]] || continue
  out=$(mktemp -d "${TMPDIR:-/tmp}/unpack.XXXXXX")
  tar -xzf "$f" -C "$out" --strip-components=1 2>/dev/null && echo "ok: $f -> $out" || { echo >&2 "bad: $f"; exit 1; }
done
find . -name '*.log' -mtime +7 -print0 | xargs -0 -r rm -f --
"""

YAML = """name: triage
version: 1.2.0
input_schema:
  type: object
  required: [subject, body]
  properties:
    subject: {type: string, maxLength: 200}
    body: {type: string}
    attachments:
      type: array
      items: {type: object, properties: {name: {type: string}, size_bytes: {type: integer, minimum: 0}}}
llm:
  model: openai/gpt-4o-mini
  fallbacks: [anthropic/claude-haiku, local/smollm2-135m]
llm_params: {temperature: 0.0, max_tokens: 400}
"""

HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Orders &amp; returns</title>
<link rel="stylesheet" href="/static/css/main.4f2a1c.css"></head>
<body class="page page--wide" data-user-id="48213">
  <nav><ul><li><a href="/orders?page=2&amp;sort=desc">Next</a></li><li><a href="#top">Top</a></li></ul></nav>
  <table id="orders"><thead><tr><th scope="col">No.</th><th>Date</th><th>Total</th></tr></thead>
    <tbody>
      <tr class="row is-odd"><td>10482</td><td>2024-03-18</td><td style="text-align:right">&euro;&nbsp;129.90</td></tr>
      <tr class="row"><td>10483</td><td>2024-03-19</td><td style="text-align:right">&euro;&nbsp;8.00</td></tr>
    </tbody></table>
  <script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments)}</script>
</body></html>
"""

MARKDOWN = """# Release notes

## 2.4.0

- **Added** `--watch`: re-runs when a file changes ([#412](https://example.com/issues/412)).
- *Fixed* a crash when the config held a BOM.

| option     | default | meaning                   |
|------------|--------:|---------------------------|
| `timeout`  |     600 | seconds, per call         |
| `retries`  |       2 | only for transport errors |

> Note: the old spelling still works until 3.0.
"""

TRACE = """2024-05-06T07:08:09.123Z ERROR [worker-17] com.example.billing.InvoiceService - Could not settle id=8842719
java.lang.IllegalStateException: expected PENDING but was SETTLED
\tat com.example.billing.InvoiceService.settle(InvoiceService.java:214) ~[billing-3.1.7.jar:?]
\tat jdk.internal.reflect.GeneratedMethodAccessor51.invoke(Unknown Source) ~[?:?]
10.0.3.17 - - [06/May/2024:07:08:10 +0000] "GET /api/v1/items?limit=50&cursor=eyJpZCI6MTJ9 HTTP/1.1" 502 157 "-" "curl/8.5.0"
"""

LATEX = r"""\begin{theorem}\label{thm:main} Let $f\colon \mathbb{R}^n \to \mathbb{R}$ be convex. Then
\[ f\Bigl(\sum_{i=1}^{m} \lambda_i x_i\Bigr) \leq \sum_{i=1}^{m} \lambda_i f(x_i), \qquad \lambda_i \geq 0,\ \sum_i \lambda_i = 1. \]
\end{theorem}
"""

NAMES = (
    "Ngozi Okonkwo-Adeyemi, Siobhán O'Reilly, Nguyễn Thị Minh Khai, Władysław Krzyżanowski, Đorđe Petrović, "
    "Þórunn Jónsdóttir, José María Aznárez, Xiuying Zhang, Oluwaseun Abiodun, Kjærsti Bjørnsen, Bhattacharyya, "
    "Wojciechowska, Thiruvananthapuram, Llanfairpwllgwyngyll, Ouagadougou, Tegucigalpa, Reykjavík, Mpumalanga"
)


def samples(seed: int = 7) -> dict[str, list[str]]:
    """Every text by its kind; the same on each call with the same seed and interpreter."""
    rng = random.Random(seed)  # noqa: S311 - test data, not a secret
    kinds: dict[str, list[str]] = {f"prose: {language}": texts for language, texts in PROSE.items()}
    kinds["prose: English"] = [*kinds["prose: English"], *_documentation()]
    kinds |= {
        "prose: names": [NAMES],
        "code: Python": list(_python_sources()),
        "code: C": list(_c_headers()),
        "code: other": [RUST, TYPESCRIPT, SQL, SHELL, YAML],
        "markup: HTML": [HTML, *_html_pages()],
        "markup: Markdown, LaTeX": [MARKDOWN, LATEX],
        "logs": [TRACE],
        "JSON": list(_json_documents(rng)),
        "CSV": [_csv(rng)],
        "numbers": [_numbers(rng), " ".join(str(rng.randrange(10**9)) for _ in range(200))],
        "hex, uuid": [rng.randbytes(600).hex(), "\n".join(str(_uuid(rng)) for _ in range(40))],
        "base64": [base64.b64encode(rng.randbytes(900)).decode(), base64.encodebytes(rng.randbytes(900)).decode()],
        "URLs": [_urls(rng)],
        "emoji and symbols": [EMOJI, CHAT_EMOJI],
        "whitespace": list(_whitespace(rng)),
        "random letters": [_random(rng, string.ascii_lowercase), _random(rng, string.ascii_letters + " ")],
        "random ASCII": [_random(rng, string.printable), _random(rng, string.punctuation)],
        "random Unicode": ["".join(chr(rng.randrange(0x20, 0xD7FF)) for _ in range(800))],
        "repeated": ["a" * 2000, "-" * 500, "ha" * 300, "=" * 80 + "\n" + "*" * 80, "0" * 300, "\\n" * 200, "é" * 200],
    }
    return kinds


def _documentation() -> list[str]:
    from pydoc_data import topics  # 700 kB of text, for this command alone

    known: dict[str, str] = topics.topics
    return [known[name] for name in ("assert", "integers", "naming", "exceptions", "objects")]


def _python_sources() -> Iterator[str]:
    for module in (json.decoder, base64, inspect, random, string, uuid):
        yield inspect.getsource(module)[:40_000]


def _c_headers() -> Iterator[str]:
    folder = Path(sysconfig.get_path("include"))
    for name in ("object.h", "pyport.h", "abstract.h", "unicodeobject.h"):
        if (folder / name).is_file():
            yield (folder / name).read_text(encoding="utf-8")[:30_000]


def _html_pages() -> Iterator[str]:
    for module in (string, uuid):
        yield pydoc.HTMLDoc().docmodule(module)[:30_000]


def _json_documents(rng: random.Random) -> Iterator[str]:
    words = ("status", "order", "customer", "total", "created_at", "is_active", "items", "price", "note", "shipTo")
    notes = ["Left at the door.", "Call before delivery", "", "n/a", "Two boxes, one damaged; refund 10%"]

    def record(depth: int = 0) -> dict[str, object]:
        value: dict[str, object] = {}
        for word in rng.sample(words, 6):
            value[word] = rng.choice(
                [rng.randrange(10_000), round(rng.random() * 100, 2), True, None, rng.choice(notes), [1, 2, 3]]
            )
        if depth < 2:
            value["child"] = record(depth + 1)
        return value

    rows = [record() for _ in range(12)]
    yield json.dumps(rows)
    yield json.dumps(rows, indent=2)
    yield json.dumps(rows, separators=(",", ":"))
    yield json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["summary", "sentiment"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "description": "Two sentences at most."},
                "sentiment": {"enum": ["positive", "neutral", "negative"]},
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "quotes": {"type": "array", "items": {"$ref": "#/$defs/quote"}, "maxItems": 5},
            },
            "$defs": {"quote": {"type": "object", "properties": {"text": {"type": "string"}}}},
        },
        indent=1,
    )
    yield json.dumps({"text": PROSE["Russian"][0], "title": PROSE["Chinese"][0]})  # \\uXXXX escapes


def _csv(rng: random.Random) -> str:
    head = "id,created,customer,amount,currency,paid"
    rows = (
        f"{rng.randrange(10**6)},2024-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02},"
        f"{rng.choice(['Smith', 'García', 'Li', 'Okafor'])},{rng.random() * 1000:.2f},EUR,{rng.choice('YN')}"
        for _ in range(80)
    )
    return "\n".join([head, *rows])


def _numbers(rng: random.Random) -> str:
    floats = ", ".join(repr(rng.gauss(0, 1)) for _ in range(60))
    times = "\n".join(
        f"2024-0{rng.randrange(1, 10)}-1{rng.randrange(10)}T0{rng.randrange(10)}:15:30Z" for _ in range(30)
    )
    return f"[{floats}]\n{times}\n+49 30 901820, 192.168.17.254, 1e-9, 3.14159, 1,234,567.89, 50%"


def _uuid(rng: random.Random) -> uuid.UUID:
    return uuid.UUID(bytes=rng.randbytes(16), version=4)


def _urls(rng: random.Random) -> str:
    hosts = ("example.com", "cdn.example.org", "docs.example.net")
    return "\n".join(
        f"https://{rng.choice(hosts)}/v{rng.randrange(4)}/{rng.choice(['assets', 'user-profile', 'search'])}"
        f"/{rng.randbytes(6).hex()}?utm_source=mail&id={rng.randrange(10**7)}#section-{rng.randrange(9)}"
        for _ in range(30)
    )


def _whitespace(rng: random.Random) -> Iterator[str]:
    yield "\n".join(" " * rng.randrange(60) + "x" for _ in range(100))
    yield "\n".join("\t" * rng.randrange(9) + "return" for _ in range(100))
    yield "".join(rng.choice(" \t\n") for _ in range(600))
    yield "".join(rng.choice(" \t\n\r\f\v\u00a0\u2003\u3000\u200b") for _ in range(400))
    yield "a  b   c    d     e\r\n\r\n\r\n" * 30
    yield " " * 3000 + "\n" * 300
    yield "\n".join(f"{rng.choice(['Name', 'Total', 'Date']):<30}{rng.randrange(999):>20}" for _ in range(40))


def _random(rng: random.Random, alphabet: str) -> str:
    return "".join(rng.choice(alphabet) for _ in range(1200))
