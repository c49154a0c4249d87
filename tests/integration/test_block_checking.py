"""Blocks are checked with the real sandbox: correct ones pass in silence, wrong ones are named at their place."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from tests.chances import some

pytest.importorskip("pydantic_monty")

from runllm.blocks import BlockFailure, Sandbox, checker
from runllm.blocks.check import MAX_CODE, BlockFinding, check

TEXT = {"type": "string"}
INPUT = {
    "type": "object",
    "required": ["text", "count", "tags", "kind", "items", "maybe", "price", "labels", "author"],
    "properties": {
        "text": TEXT,
        "count": {"type": "integer"},
        "price": {"type": "number"},
        "tags": {"type": "array", "items": TEXT},
        "labels": {"type": "array", "items": {"enum": ["red", "green"]}},
        "kind": {"enum": ["note", "mail"]},
        "maybe": {"type": ["integer", "null"]},
        "since": TEXT,
        "any": {},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "author": {"$ref": "#/$defs/Person"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "score"],
                "properties": {"name": TEXT, "score": {"type": "number"}, "note": TEXT},
            },
        },
    },
    "$defs": {
        "Person": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": TEXT, "boss": {"$ref": "#/$defs/Person"}, "e-mail": TEXT},
        }
    },
}
NAMES = {"input": INPUT, "uses": None, "vars": {"type": "object"}}
OUTPUTS = {
    "summary": TEXT,
    "number": {"type": "integer"},
    "ratio": {"type": "number"},
    "words": {"type": "array", "items": TEXT},
    "table": {"type": "object", "properties": {"a": TEXT}},
    "flag": {"type": "boolean"},
    "kind": {"enum": ["note", "mail"]},
    "free": None,
}


def checked(code: str, *outputs: str) -> list[BlockFinding]:
    return check(code, NAMES, {name: OUTPUTS[name] for name in outputs}, name="tidy")


CORRECT = {
    "word count": ("number = len(input['text'].split())", "number"),
    "count words": (
        "from collections import Counter\nc = Counter(input['text'].lower().split())\nwords = [w for w, _ in c.most_common(3)]",
        "words",
    ),
    "clean a list": ("words = sorted({t.strip().lower() for t in input['tags'] if t.strip()})", "words"),
    "keep order": ("seen = set()\nwords = []\nfor t in input['tags']:\n    if t not in seen:\n        seen.add(t)\n        words.append(t)", "words"),
    "dict keeps order": ("words = list(dict.fromkeys(input['tags']))", "words"),
    "regex check": ("import re\nassert re.fullmatch(r'\\d{4}-\\d\\d', input['text']), 'want YYYY-MM'",),
    "regex with a test": ("import re\nm = re.search(r'(\\d+)', input['text'])\nnumber = int(m.group(1)) if m else 0", "number"),
    "regex early": ("import re\nm = re.search('a', input['text'])\nassert m is not None, 'no a'\nsummary = m.group(0)", "summary"),
    "regex loop": ("import re\nwords = [m.group() for m in re.finditer(r'[a-z]+', input['text'])]", "words"),
    "regex sub": ("import re\nsummary = re.sub(r'\\s+', ' ', input['text']).strip()", "summary"),
    "regex compiled": ("import re\nP = re.compile(r'[a-z]+', re.IGNORECASE)\nwords = P.findall(input['text'])", "words"),
    "dates": ("from datetime import date, timedelta\nd = date.fromisoformat(input['text'])\nsummary = (d + timedelta(days=1)).isoformat()", "summary"),
    "strptime": ("from datetime import datetime\nd = datetime.strptime(input['text'], '%Y-%m-%d')\nsummary = d.strftime('%d.%m.%Y')", "summary"),
    "module datetime": ("import datetime as dt\nnumber = (dt.date(2020, 1, 2) - dt.date(2020, 1, 1)).days", "number"),
    "json in": ("import json\ndata = json.loads(input['text'])\nsummary = data['a']['b'][0].upper()", "summary"),
    "json out": ("import json\nsummary = json.dumps({'a': [1, None]}, indent=2, ensure_ascii=False, sort_keys=True)", "summary"),
    "dict merge": ("table = {**input['items'][0], 'extra': 1} | {'b': 2}", "table"),
    "dict grown": ("d = {'a': 1}\nd['b'] = 'x'\nd['c'] = []\nd['c'].append(1)\nsummary = d['b'].upper()", "summary"),
    "counters": ("stats = {'n': 0, 'longest': ''}\nfor t in input['tags']:\n    stats['n'] += 1\n    if len(t) > len(stats['longest']):\n        stats['longest'] = t\ntable = stats", "table"),
    "new keys on items": ("for item in input['items']:\n    item['rank'] = item['score'] * 2\nfree = sorted(input['items'], key=lambda i: i['rank'])", "free"),
    "update an input": ("input.update({'x': 1})\nfree = input['x']\ninput.pop('text')\ninput.setdefault('q', [])", "free"),
    "get": ("summary = input.get('since', 'never')\nfree = input.get('other')", "summary", "free"),
    "in": ("summary = input['since'] if 'since' in input else ''", "summary"),
    "keys in a loop": ("table = {k: input[k] for k in ('text', 'kind')}\nfor k in input:\n    free = input[k]\nfree = 1", "table", "free"),
    "optional tested": ("x = input['maybe']\nif x is not None:\n    number = x + 1\nelse:\n    number = 0", "number"),
    "optional or": ("number = (input['maybe'] or 0) + 1", "number"),
    "optional early": ("x = input['maybe']\nif not x:\n    raise ValueError('no number')\nnumber = x * 2", "number"),
    "comprehension": ("ratio = sum(i['score'] for i in input['items']) / max(1, len(input['items']))", "ratio"),
    "nested": ("free = [x for row in [[1], [2]] for x in row if x > 1]", "free"),
    "f-string": ("summary = f\"{input['count']:>5} {input['price']:.2f} {input['text']!r} {', '.join(input['tags'])}\"", "summary"),
    "percent": ("summary = '%s %d' % (input['text'], input['count'])", "summary"),
    "format": ("summary = '{} {:>3}'.format(input['text'], input['count']) + format(1.5, '.2f')", "summary"),
    "sort": ("free = sorted(input['items'], key=lambda i: (-i['score'], i['name']))[:3]", "free"),
    "sort in place": ("rows = list(input['items'])\nrows.sort(key=lambda i: i['score'], reverse=True)\nsummary = rows[0]['name']", "summary"),
    "max by": ("best = max(input['items'], key=lambda i: i['score'], default=None)\nsummary = best['name'] if best else ''", "summary"),
    "try": ("try:\n    number = int(input['text'])\nexcept ValueError as error:\n    number = -1\n    print(f'not a number: {error}')", "number"),
    "try else finally": ("try:\n    x = 1 / input['count']\nexcept (ZeroDivisionError, KeyError):\n    ratio = 0\nelse:\n    ratio = x\nfinally:\n    print('done')", "ratio"),
    "helper": ("def shout(text: str, mark: str = '!') -> str:\n    return text.upper() + mark\n\nsummary = shout(input['text'])", "summary"),
    "helper on dicts": ("def name_of(row: dict) -> str:\n    return row['name']\n\ndef all_of(rows: list[dict]) -> list:\n    return [name_of(r) for r in rows]\n\nwords = all_of(input['items'])", "words"),
    "recursion": ("def depth(x):\n    return 1 + max(map(depth, x), default=0) if isinstance(x, list) else 0\n\nnumber = depth(input['any'])", "number"),
    "map and filter": ("words = list(map(lambda t: t.strip(), filter(None, input['tags'])))\nnumber = sum(map(len, words))", "words", "number"),
    "getattr": ("free = getattr(input, 'x', None) if hasattr(input, 'x') else 1", "free"),
    "import errors": ("try:\n    import numpy\nexcept ImportError:\n    numpy = None\nflag = numpy is None", "flag"),
    "dataclass": ("from dataclasses import dataclass, field\n\n@dataclass\nclass P:\n    name: str\n    tags: list = field(default_factory=list)\n    count: int = 0\n\n    def total(self):\n        return self.count + len(self.tags)\n\np = P(input['text'])\np.count += 1\nnumber = p.total() + p.count", "number"),
    "class": ("class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, x):\n        self.items.append(x)\n\ns = Stack()\ns.push(1)\ns.extra = 2\nnumber = len(s.items) + s.extra", "number"),
    "namedtuple": ("from collections import namedtuple\nP = namedtuple('P', 'x count')\np = P(1, 2)\nnumber = p.x + p.count", "number"),
    "defaultdict": ("from collections import defaultdict\ngroups = defaultdict(list)\nfor i in input['items']:\n    groups[i['name'][:1]].append(i)\ntable = dict(groups)", "table"),
    "match": ("match input['kind']:\n    case 'note':\n        summary = 'n'\n    case 'mail' | 'post':\n        summary = 'm'\n    case _:\n        summary = '?'", "summary"),
    "exhaustive elif": ("if input['kind'] == 'note':\n    summary = 'n'\nelif input['kind'] == 'mail':\n    summary = 'm'", "summary"),
    "walrus": ("if (n := len(input['text'])) > 10:\n    print(n)\nnumber = n", "number"),
    "unpack": ("first, *rest = input['tags'] or ['']\n(a, b), c = (1, 2), 3\nwords = [first, *rest]\nnumber = a + b + c", "words", "number"),
    "slices": ("words = input['tags'][::-1][:3]\nsummary = input['text'][:100] + ('…' if len(input['text']) > 100 else '')", "words", "summary"),
    "while with break": ("n = 0\nwhile True:\n    n += 1\n    if n > 3:\n        number = n\n        break", "number"),
    "global in a function": ("def setup():\n    global limit\n    limit = 5\n\nsetup()\nnumber = limit", "number"),
    "closure": ("def adder(n):\n    def add(x):\n        nonlocal n\n        n += x\n        return n\n    return add\n\nnumber = adder(1)(2)", "number"),
    "zip and enumerate": ("table = {str(i): t for i, t in enumerate(input['tags'], start=1)}\nfree = list(zip(input['tags'], range(3)))", "table", "free"),
    "itertools": ("import itertools\nfree = [(k, len(list(g))) for k, g in itertools.groupby(sorted(input['tags']), key=lambda t: t[:1])]", "free"),
    "decimal": ("from decimal import Decimal, ROUND_HALF_UP\nratio = float(Decimal(str(input['price'])).quantize(Decimal('0.01'), rounding=ROUND_HALF_UP))", "ratio"),
    "hash": ("import hashlib, base64\nsummary = hashlib.sha256(input['text'].encode()).hexdigest()[:8] + base64.b64encode(b'a').decode()", "summary"),
    "unicode": ("import unicodedata\nsummary = ''.join(c for c in unicodedata.normalize('NFKD', input['text']) if not unicodedata.combining(c))", "summary"),
    "math": ("import math\nnumber = math.ceil(input['price'])\nratio = math.sqrt(2) if math.isfinite(input['price']) else math.inf", "number", "ratio"),
    "round": ("number = round(input['price'])\nratio = round(input['price'], 2)", "number", "ratio"),
    "enum values": ("words = [x.upper() for x in input['labels']]\nkind = input['kind']", "words", "kind"),
    "append to enums": ("labels = input['labels']\nlabels.append('blue')\nwords = labels + ['x']", "words"),
    "numbers mixed": ("xs = [i['score'] for i in input['items']]\nxs.append(1)\nys = [1, 2]\nys[0] = 1.5\nratio = sum(xs) / len(ys)", "ratio"),
    "recursive schema": ("boss = input['author'].get('boss')\nsummary = boss['name'] if boss else input['author']['name']", "summary"),
    "odd keys": ("summary = input['author'].get('e-mail', '')\nif 'e-mail' in input['author']:\n    summary = input['author']['e-mail'].lower()", "summary"),
    "anything": ("free = uses['child']['deep'][0].whatever + vars['x'] + input['any'].upper()", "free"),
    "assertions": ("n = len(input['text'].split())\nassert n <= 50, f'at most 50 words, this has {n}'\nassert input['count'] > 0",),
    "any and all": ("flag = any(t.startswith('#') for t in input['tags']) and all(len(t) < 9 for t in input['tags'])", "flag"),
    "loop else": ("for t in input['tags']:\n    if t == 'x':\n        summary = t\n        break\nelse:\n    summary = ''", "summary"),
    "with result of tuple": ("words = tuple(input['tags'])", "words"),
    "star args": ("def f(*args, sep=' ', **rest):\n    return sep.join(args)\n\nsummary = f(*input['tags'], sep=', ')", "summary"),
    "sorting a dict": ("c = {}\nfor t in input['tags']:\n    c[t] = c.get(t, 0) + 1\nwords = [k for k, v in sorted(c.items(), key=lambda kv: (-kv[1], kv[0]))]", "words"),
    "next with iter": ("first = next(iter([t for t in input['tags'] if t]), None)\nsummary = first or ''", "summary"),
    "annotations are not enforced": ("x: str = 3\ndef f(n: int = None) -> str:\n    return n\ny = f('a')\nfree = y", "free"),
    "from future": ("from __future__ import annotations\nx: list[int] = []\nfree = x", "free"),
    "strings over lines": ('summary = """one\n  two \\\nthree\n"""\n\n\nnumber = 1 + \\\n    2', "summary", "number"),
    "await": ("async def f():\n    return 1\n\nnumber = await f()", "number"),
    "type: ignore": ("free = nothing_there  # type: ignore", "free"),
    "rows of its own": ("rows = [{'n': 1, 't': 'a'}, {'n': 2, 't': 'b'}]\nnumber = sum(r['n'] for r in rows)\nsummary = ' '.join(r['t'] for r in rows)", "number", "summary"),
    "list of all sorts": ("a = [1, 'a', None]\nnumber = a[0] + 1\nd = {'n': 0, 's': None}\nnumber = d['n'] + 1", "number"),
    "newer than this Python may be": ('summary = f"{input["text"]}"', "summary"),
    "values of all sorts": ("table = {}\nfor k, v in input.items():\n    table[k] = v.upper() if isinstance(v, str) else v\nout = dict(input)\nsummary = out['text'][:10]\nnumber = len([v for v in out.values() if v]) + sum(input['map'].values())\nfree = [v + 1 for v in input.values() if isinstance(v, int)]\nfirst = list(out.values())[0].upper()", "table", "summary", "number", "free"),
    "empty": ("",),
    "comment": ("# nothing to do",),
}  # fmt: skip


@pytest.mark.parametrize("case", CORRECT.values(), ids=CORRECT.keys())
def test_correct_block_has_no_findings(case: tuple[str, ...]) -> None:
    assert checked(*case) == []


VALUES = {
    "input": {
        "text": "5", "count": 3, "price": 1.5, "tags": ["a", "#b"], "labels": ["red"], "kind": "note", "maybe": 4,
        "any": [1], "map": {"a": 1}, "author": {"name": "x", "boss": {"name": "y", "boss": {"name": "z"}}},
        "items": [{"name": "n", "score": 2}],
    },
    "uses": {},
    "vars": {},
}  # fmt: skip

RIGHT = [
    "rows=[]\nfor i in input['items']:\n    rows.append({'n': i['name'], 's': i['score']})\nrows[0]['x']=1\ny=rows[0]['n'].upper()",
    "t=input['text']\nx=t.split()[0] if t else ''\nx=x+'a'",
    "d={}\nfor t in input['tags']:\n    d.setdefault(t,[]).append(len(t))\nx=max(d.items(), key=lambda kv: len(kv[1]))[0].upper()",
    "x=dict(zip(input['tags'], range(9)))\ny=x.get('a',0)+1",
    "x='a'.encode('utf-8') + 'b'.encode('ascii', 'ignore') + 'c'.encode()\ny=b'a'.decode('UTF8')\nz=bytes(3) + bytes('a', 'utf-8')",
    "x=sum(1 for _ in input['tags'])\ny=x/2\nz='%.2f' % y",
    "xs=[float(s) for s in ['1','2']]\nm=sum(xs)/len(xs)\nv=sum((q-m)**2 for q in xs)/len(xs)",
    "import math\nx=math.floor(input['price'])\ny=x%2==0\nz=f'{x:03d}'",
    "s=set()\ns|={1}\ns.add('a')\nu=s & {1}\nx=sorted(str(v) for v in u)",
    "x=input['items'][0].get('note') or 'none'\ny=x.upper()",
    "def f(x, y=None, *, z=1, **k):\n    return (x, y, z, k)\nr=f(1, z=2, q=3)\na=r[0]+1",
    "class A:\n    n = 0\n    def __init__(self, v=None):\n        self.v = v\n        self.w = []\n    def go(self):\n        self.n += 1\n        self.q = self.n\n        return self\na=A()\na.go().go()\nx=a.q+a.n\na.w.append(3)\ny=a.v is None",
    "f = lambda *a: a\nx=f(1,2)[0]\ng = {'a': lambda v: v+1}\ny=g['a'](2)",
    "import re\nx=[(m.start(), m.group(0)) for m in re.finditer('a', 'banana')]\ny=re.split(r',\\s*', 'a, b')[0].upper()\nz=re.findall(r'(a)(n)', 'banana')\nw=[a+b for a,b in z]",
    'import json\nd=json.loads(\'{"a": [1]}\')\nx=d[\'a\'][0]+1\nfor k, v in d.items():\n    y=k+str(v)',
    "from datetime import datetime, timedelta, timezone, date\nx=(datetime(2020,1,1)-datetime(2019,1,1)).total_seconds()/3600\ny=date(2020,1,1).strftime('%A')\nz=datetime.fromisoformat('2020-01-01').date()\nw=(z+timedelta(days=1)).weekday()",
    "x=int('3') if input['text'].isdigit() else None\ny=(x or 0)+1\nif x:\n    z=x+1",
    "try:\n    v=int(input['text'])\nexcept (ValueError, TypeError) as e:\n    v=None\nx='none' if v is None else str(v+1)",
    "x=[*input['tags'], 'b']\ny={**input['author'], 'z': 1}\nz=y['z']+1",
    "x=any(c.isupper() for c in input['text'])\ny=''.join(reversed(input['text']))\nz=input['text'][::-1]",
    "from collections import Counter, defaultdict, deque\nc=Counter('banana')\nx=c['a']+c.most_common(1)[0][1]\nq=deque([1,2])\nq.append(3)\ny=q.popleft()+1\nd=defaultdict(int)\nd['a']+=1\nz=d['a']+1\ndd=defaultdict(lambda: {'n':0})\ndd['k']['n']+=1",
    "from functools import reduce, partial\nx=reduce(lambda a,b: a+b, [1,2,3], 0)\np=partial(int, base=2)\ny=p('101')+1",
    "from itertools import chain, combinations, accumulate\nx=list(chain([1],[2]))\ny=list(combinations('abc',2))\nz=list(accumulate([1,2,3]))",
    "x={'a':1,'b':'c'}\nfor k in list(x):\n    if k=='a':\n        x.pop(k)\ny=list(x.values())",
    "x=input['kind']\nm={'note':'N','mail':'M'}\ny=m[x].lower()\nz=m.get(x,'?')",
    "i=0\nwhile i < len(input['tags']):\n    i+=1\nelse:\n    j=i\nx=i+j",
    "m=[[0]*3 for _ in range(3)]\nm[0][1]=5\nx=sum(sum(r) for r in m)\ny=list(map(list, zip(*m)))\nz=y[0][0]+1",
    "def walk(node, depth=0):\n    if isinstance(node, dict):\n        return {k: walk(v, depth+1) for k, v in node.items()}\n    if isinstance(node, list):\n        return [walk(v) for v in node]\n    return node\nx=walk(input)",
    "x=input.get('since')\nif x is None:\n    x='never'\ny=x.upper()",
    "x=None\nfor t in input['tags']:\n    if x is None or len(t)>len(x):\n        x=t\ny=len(x) if x else 0",
    "best=None\nfor i in input['items']:\n    if best is None or i['score']>best['score']:\n        best=i\nx=best['name'] if best is not None else ''",
    "x=input['count']\nx=str(x)\ny=x.zfill(3)\nx=[x]\nx.append('a')",
    "lines=input['text'].splitlines()\nout=[]\nfor n, l in enumerate(lines, 1):\n    out.append(f'{n}: {l}')\nx='\\n'.join(out)",
    "x=round(input['price']*100)/100\ny=abs(-input['price'])\nz=divmod(7,2)[0]+1\nw=pow(2,3)+1\nv=min(input['price'],1)\nu=max([1,2],default=0)",
    "x=isinstance(input['any'], str) and input['any'].strip()\ny=input['any'][0] if input['any'] else None",
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    a: int\n    b: str = 'x'\np=P(1)\nq=P(a=2,b='y')\nx=p.a+q.a\ny=sorted([p,q], key=lambda v: v.a)[0].b.upper()",
    "import hashlib\nx=hashlib.md5(b'a').hexdigest()",
    "import copy\nx=copy.deepcopy(input)\nx['new']=1\ny=x['new']+1",
    "import base64\nx=base64.b64decode('YQ==').decode()",
    "import random\nx=random.choice([1,2])+1\nrandom.shuffle(input['tags'])",
    "x='a' in input\ny=input['map']['a']+1\nz=sorted(input['map'].items())[0][0].upper()",
    "a=b=[]\na.append(1)\nx=b[0]+1",
    "x=(lambda s: s.upper())(input['text'])\ny=(x and x[0]) or 'z'",
    "x=[i for i in range(3) if (j:=i*2)>1]\ny=j+1",
    "x={t: i for i, t in enumerate(input['tags'])}\ny=x['a']+1",
    "x='{a} {b}'.format(a=1,b='c')\ny='{0[name]}'.format({'name':1})",
    "v=input['maybe']\nassert isinstance(v,int), 'need'\nx=v+1",
    "total=0.0\nfor i in input['items']:\n    total+=i['score']\nx=int(total)+1\ntotal=round(total,2)",
    "xs=input['tags']\nxs=[x for x in xs if x]\nxs.sort(key=len)\nxs.insert(0,'z')\ny=xs.index('z')+1",
    "k=['a',1]\nk[0]=2\nx=k[0]+1\nd={'a':None}\nd['a']='s'\ny=d['a'].upper()",
    "rec={'count':0,'tags':[]}\nrec['count']+=1\nrec['tags'].append('a')\nx=rec['count']+1",
    "def g(n):\n    if n<=0:\n        return []\n    return [n]+g(n-1)\nx=g(3)[0]+1",
    "x=input['labels']\nx=x+['blue']\ny=set(x)|{'w'}",
    "x=input['items']\nx[0]['score']=1\nx[0]['extra']=2\ny=x[0]['extra']+1",
    "x=[{'a':1}, {'a':'b'}]\ny=[r['a'] for r in x]\nz=str(y[0])+'c'",
    "def outer():\n    total=0\n    def inner(v):\n        nonlocal total\n        total+=v\n    for v in [1,2]:\n        inner(v)\n    return total\nx=outer()+1",
    "x=list(filter(lambda r: r['score']>1, input['items']))\ny=x[0]['name'] if x else ''",
    "x=sorted(input['map'], key=lambda k: input['map'][k])\ny=sorted(input['map'], key=lambda k: -input['map'][k])[0]",
    "x=map(str, [1,2])\ny=','.join(x)",
    "x=print\nx('a')\ny=len",
    "x=type(input).__name__\ny=type(1) is int",
    "x=''.join([chr(ord(c)+1) for c in 'abc'])\ny=hash('a')\nz=id(x)",
    "x=iter([1,2])\ny=next(x)+next(x, 0)",
    "x=slice(0,2)\ny=[1,2,3][x]",
    "x=input['author']['boss']['name'] if 'boss' in input['author'] else ''",
    "x = (input.get('since') or '').strip()\ny = x.upper()",
    "total = 0\ndef add(v):\n    global total\n    total += v\nadd(2)\nx = total + 1",
    "x: list = []\nx.append(1)\ny: dict[str, int] = {}\ny['a'] = 'b'",
    "x = [1, 2, 3]\na, *b = x\n(c, d), e = (1, 2), 3\ny = a + c + sum(b)",
    "try:\n    x = input['items'][5]['name']\nexcept IndexError:\n    x = ''\ny = x.upper()",
]  # fmt: skip


@pytest.mark.parametrize("code", RIGHT, ids=[code.replace("\n", " ")[:40] for code in RIGHT])
def test_block_that_runs_is_called_right(code: str) -> None:
    """Whatever the checker of types makes of it: a false alarm is worse than a missed mistake."""
    assert checked(code) == []
    Sandbox().run(code, VALUES, [])


WRONG = [
    ("x = input['txt']", "1:11", 'unknown key "txt"'),
    ("x = input['author']['nam']", "1:21", 'unknown key "nam"'),
    ("x = input['items'][0]['scor']", "1:23", 'unknown key "scor"'),
    ("for i in input['items']:\n    print(i['nme'])", "2:13", 'unknown key "nme"'),
    ("x = [i['Name'] for i in input['items']]", "1:8", 'unknown key "Name"'),
    ("x = input['author']['boss']['boss']['nmae']", "1:37", 'unknown key "nmae"'),
    ("x = input.text", "1:11", "object of type `dict` has no attribute `text`"),
    ("x = input['text'] + 1", "1:5", "operator `+` is not supported between objects of type `str` and `int`"),
    ("x = input['count'] + 'a'", "1:5", "operator `+` is not supported between objects of type `int` and `str`"),
    ("x = input['count'] + input['text']", "1:5", "operator `+` is not supported between objects of type `int` and `str`"),
    ("x = input['tags'] - 1", "1:5", "operator `-` is not supported between objects of type `list[str]` and `int`"),
    ("x = input['price'] < 'a'", "1:5", "operator `<` is not supported between objects of type `float` and `str`"),
    ("x = -input['text']", "1:5", "unary operator `-` is not supported for object of type `str`"),
    ("x = input['text'].uper()", "1:19", "object of type `str` has no attribute `uper`"),
    ("x = input['text'].length", "1:19", "object of type `str` has no attribute `length`"),
    ("x = input['tags'].add('x')", "1:19", "object of type `list[str]` has no attribute `add`"),
    ("x = input['text'].append('x')", "1:19", "object of type `str` has no attribute `append`"),
    ("x = input['tags'].length()", "1:19", "object of type `list[str]` has no attribute `length`"),
    ("x = input['count'].lower()", "1:20", "object of type `int` has no attribute `lower`"),
    ("x = input['tags'].join(', ')", "1:19", "object of type `list[str]` has no attribute `join`"),
    ("x = input['tags']['a']", "1:5", "method `__getitem__` cannot be called with key of type `str` on object of type `list[str]`"),
    ("x = input['text']['a']", "1:5", "method `__getitem__` cannot be called with key of type `str` on object of type `str`"),
    ("x = input['count'][0]", "1:5", "cannot subscript object of type `int` with no `__getitem__` method"),
    ("x = input['count']()", "1:5", "object of type `int` is not callable"),
    ("for c in input['count']: pass", "1:10", "object of type `int` is not iterable"),
    ("x = len(input['count'])", "1:9", "argument to function `len` is incorrect: Expected `Sized`, found `int`"),
    ("x = int(input['tags'])", "1:9", "argument to constructor `int.__new__` is incorrect: Expected `str | Buffer | SupportsInt | SupportsIndex`, found `list[str]`"),
    ("x = ', '.join(input['items'])", "1:5", "no overload of bound method `str.join` matches arguments"),
    ("x = sum(input['tags'])", "1:5", "no overload of function `sum` matches arguments"),
    ("x = abs(input['text'])", "1:9", "argument to function `abs` is incorrect: Expected `SupportsAbs`, found `str`"),
    ("x = input['maybe'] + 1", "1:5", "operator `+` is not supported between objects of type `int | None` and `int`"),
    ("x = len(input['text'], 1)", "1:24", "too many positional arguments to function `len`: expected 1, got 2"),
    ("def f(a, b):\n    return a\nf(1)", "3:1", "no argument provided for required parameter `b` of function `f`"),
    ("def f(a):\n    return a\nf(1, 2)", "3:6", "too many positional arguments to function `f`: expected 1, got 2"),
    ("def f(a):\n    return a\nf(b=1)", "3:3", "argument `b` does not match any known parameter of function `f`"),
    ("x = txt + 1", "1:5", "name `txt` used when not defined"),
    ("print(inpt['text'])", "1:7", "name `inpt` used when not defined"),
    ("def f():\n    return undefined_name\nf()", "2:12", "name `undefined_name` used when not defined"),
    ("print(total)\ntotal = 1", "1:7", "name `total` used when not defined"),
    ("x = json.dumps({})", "1:5", "name `json` used when not defined"),
    ("x = re.sub('a', 'b', 'c')", "1:5", "name `re` used when not defined"),
    ("x = maximum([1])", "1:5", "name `maximum` used when not defined"),
    ("a, b = 1, 2, 3", "1:1", "too many values to unpack: Expected 2"),
    ("a, b = 5", "1:8", "object of type `int` is not iterable"),
    ("raise 'wrong'", "1:7", "cannot raise object of type `str`: Not an instance or subclass of `BaseException`"),
    ("import re\nm = re.search('a', input['text'])\nx = m.group()", "3:7", "attribute `group` is not defined on `None` in union `Match[str] | None`"),
    ("import re\nx = re.search('a', input['text']).group()", "2:35", "attribute `group` is not defined on `None` in union `Match[str] | None`"),
    ("import re\nx = re.serch('a', 'b')", "2:8", "the sandbox has no `re.serch`"),
    ("import datetime\nx = datetime.now()", "2:14", "the sandbox has no `datetime.now`"),
    ("import json\nx = json.load_s('1')", "2:10", "the sandbox has no `json.load_s`"),
    ("x = (1, 2)[5]", "1:5", "index 5 is out of bounds for tuple `tuple[int, int]` with length 2"),
    ("with 3: pass", "1:6", "`int` cannot be used with `with`"),
    ("def f():\n    yield 1", "2:5", "the sandbox does not support yield expressions"),
    ("d = {'a': 1}\nif d:\n    del d['a']", "3:5", "the sandbox does not support the 'del' statement"),
    ("d = [1]\ndel d[0:1]", "2:1", "the sandbox does not support the 'del' statement"),
    ("x = 1\ndel x", "2:1", "the sandbox does not support the 'del' statement"),
    ("class A: pass\nclass B(A): pass", "2:1", "the sandbox does not support class inheritance"),
    ("class TooLong(Exception):\n    pass", "1:1", "the sandbox does not support class inheritance"),
    ("from enum import Enum\nclass Color(Enum):\n    RED = 1", "2:1", "the sandbox does not support class inheritance"),
    ("class A:\n    @property\n    def x(self): return 1", "2:5", "the sandbox does not support method decorators"),
    ("class A:\n    @staticmethod\n    def x(): return 1", "2:5", "the sandbox does not support method decorators"),
    ("class A:\n    class B: pass", "2:5", "the sandbox does not support class bodies containing anything other than methods and simple class variables"),
    ("import re\nx = re.sub('a', lambda m: m.group().upper(), 'abc')", "2:17", "the sandbox's `re.sub` takes a text, not a function"),
    ("import re\ndef up(m): return 'x'\nx = re.compile('a').sub(up, 'abc')", "3:25", "the sandbox's `re.sub` takes a text, not a function"),
    ("x = 'a'.translate({97: 'b'})", "1:9", "the sandbox has no `str.translate`"),
    ("x = str.maketrans('a', 'b')", "1:9", "the sandbox has no `str.maketrans`"),
    ("x = input['text'].encode('latin-1')", "1:5", "the sandbox does not know the encoding `latin-1`"),
    ("x = b'a'.decode('cp1252')", "1:5", "the sandbox does not know the encoding `cp1252`"),
    ("x = 'a'.encode(encoding='ISO-8859-15')", "1:5", "the sandbox does not know the encoding `ISO-8859-15`"),
    ("x = bytes('a', 'latin1')", "1:5", "the sandbox does not know the encoding `latin1`"),
    ("x = bytes([65, 66])", "1:5", "the sandbox's `bytes` takes no list of numbers"),
    ("import statistics\nx = statistics.mean([1, 2])", "1:8", "the sandbox has no module `statistics`"),
    ("import json, textwrap", "1:14", "the sandbox has no module `textwrap`"),
    ("from string import ascii_lowercase", "1:20", "the sandbox has no module `string`"),
    ("import os, sys, subprocess\nx = os.environ['HOME']", "2:8", "the sandbox has no `os.environ`"),
    ("import os\nx = os.listdir('.')", "2:8", "a block sees no files, environment or processes (`os.listdir`)"),
    ("from dataclasses import dataclass, asdict", "1:36", "the sandbox has no `dataclasses.asdict`"),
    ("from datetime import datetime, UTC", "1:32", "the sandbox has no `datetime.UTC`"),
    ("import re\nP = re.compile('a', re.VERBOSE)", "2:24", "the sandbox has no `re.VERBOSE`"),
    ("x = open('a.txt').read()", "1:5", "a block cannot open files"),
    ("from pathlib import Path\nx = Path('a').read_text()", "2:15", "a block has no files (`.read_text`)"),
    ("x = next(t for t in input['tags'] if t)", "1:5", "`next` needs an iterator, and in the sandbox this is a list"),
    ("x = sorted(input['tags'], key=str.lower)", "1:35", "the sandbox has no `str.lower` apart from a value"),
    ("d = {'a': 1}\nx = max(d, key=d.get)", "2:18", "the sandbox can call `d.get(...)` but not hand the method on"),
    ("import json\nx = json.dumps({}, default=str)", "2:20", "the sandbox's `json.dumps` takes no `default`"),
    ("from math import *", "1:1", "Wildcard imports (`from ... import *`) are not supported"),
    ("import requests", "1:8", "the sandbox has no module `requests`"),
    ("import nosuchmodule", "1:8", "the sandbox has no module `nosuchmodule`"),
    ("x = [i async for i in y]", "1:8", "the sandbox does not support async comprehensions"),
    ("a = 1\na @= 2", "2:1", "matrix multiplication augmented assignment (@=) is not yet supported"),
    ("x = 'abc", "1:5", "not Python"),
    ("x = (1 + 2\ny = 3", "1:5", "not Python"),
    ("if True:\nx = 1", "2:1", "not Python"),
    ("return 1", "1:1", "not Python"),
    ("x = 1 +", "1:8", "not Python"),
    ("for i in range(3)\n    print(i)", "1:18", "not Python"),
    ("x = '日本' + input['txt']", "1:18", 'unknown key "txt"'),
    ("if True:\n\tx = input['txt']", "2:12", 'unknown key "txt"'),
    ('x = """\n""" + input[\'txt\']', "2:13", 'unknown key "txt"'),
    ("try:\n    1/0\nexcept* ValueError: pass", "1:1", "the sandbox does not support exception groups (try*/except*)"),
    ("exit()", "1:1", "the sandbox has no `exit`"),
    ("x = callable(len)", "1:5", "the sandbox has no `callable`"),
    ("x = input('name?')", "1:5", "object of type `dict` is not callable"),
    ("x = Tru", "1:5", "name `Tru` used when not defined"),
    ('x = input["text"].split(" ")[0].uper()', "1:33", "object of type `str` has no attribute `uper`"),
    ("x = {'a': 1}.a", "1:14", "object of type `dict[str, int]` has no attribute `a`"),
    ("x = [1, 2].push(3)", "1:12", "object of type `list[int]` has no attribute `push`"),
    ("x = None\nx.foo", "2:3", "object of type `None` has no attribute `foo`"),
    ("x = 1\nx()", "2:1", "object of type `int` is not callable"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "place", "words"), WRONG, ids=[code.replace("\n", " ")[:40] for code, _, _ in WRONG])
def test_wrong_block_is_named_at_its_place(code: str, place: str, words: str) -> None:
    """And an error is never a false alarm: the sandbox cannot run such a block."""
    found = checked(code)
    assert (place, True) in [(f"{f.line}:{f.column}", words in f.message) for f in found], found
    if "not Python" not in words and any(f.severity == "error" for f in found):
        with pytest.raises(BlockFailure):
            Sandbox().run(code, VALUES, [])


@pytest.mark.parametrize(
    ("code", "output", "place", "severity", "words"),
    [
        ("x = 1", "summary", "1:1", "error", "`summary` is an output that the block never assigns"),
        ("", "summary", "1:1", "error", "never assigns"),
        ("a = 1\nsumary = ''", "summary", "2:1", "error", "never assigns"),
        ("def f():\n    summary = 1\nf()", "summary", "3:1", "error", "never assigns"),
        ("x = [summary for summary in []]", "summary", "1:1", "error", "never assigns"),
        ("if input['count']:\n    summary = ''", "summary", "2:5", "warning", "some paths"),
        ("for t in input['tags']:\n    summary = t", "summary", "2:5", "warning", "some paths"),
        ("try:\n    summary = input['text'].upper()\nexcept ValueError:\n    pass", "summary", "2:5", "warning", "some paths"),
        ("match input['kind']:\n    case 'note':\n        summary = ''", "summary", "3:9", "warning", "some paths"),
        ("while input['count']:\n    summary = ''\n    break", "summary", "2:5", "warning", "some paths"),
        ("summary = 1", "summary", "1:1", "error", "`summary` is `int`, and the output wants `str`"),
        ("summary = 'a'\nx = 1\nsummary = input['tags']", "summary", "3:1", "error", "is `list[str]`"),
        ("words = 'a, b'", "words", "1:1", "error", "wants `list[str]`"),
        ("words = {1: 2}", "words", "1:1", "error", "wants `list[str]`"),
        ("words = [1, 2]", "words", "1:1", "error", "is `list[int]`"),
        ("words = set(input['tags'])", "words", "1:1", "error", "is `set[str]`"),
        ("table = [1]", "table", "1:1", "error", "wants `dict`"),
        ("number = '3'", "number", "1:1", "error", "wants `int`"),
        ("number = 7 / 2", "number", "1:1", "warning", "may be `float`"),
        ("number = input['maybe']", "number", "1:1", "warning", "may be `int | None`"),
        ("summary = None", "summary", "1:1", "error", "is `None`"),
        ("flag = 'yes'", "flag", "1:1", "error", "wants `bool`"),
        ("kind = 3", "kind", "1:1", "error", "wants `str`"),
    ],
)  # fmt: skip
def test_output_that_is_missing_or_of_the_wrong_type(
    code: str, output: str, place: str, severity: str, words: str
) -> None:
    (found,) = checked(code, output)
    assert (f"{found.line}:{found.column}", found.severity) == (place, severity)
    assert words in found.message


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("x = input['txt']", "Did you mean `text`?"),
        ("def f():\n    yield 1", "Collect the values in a list and return it."),
        ("d = {}\ndel d['a']", "Use `d.pop(key)`, or build what is left: `{k: v for k, v in d.items() if k != key}`."),
        ("import re\nx = re.sub('a', lambda m: 'b', 'a')", "Loop over `re.finditer(...)` and join the pieces."),
        ("import statistics", "Write it out: `sum(xs) / len(xs)`, `sorted(xs)[len(xs) // 2]`."),
        ("class Bad(Exception): pass", "Leave the base out, and raise a built-in error: `raise ValueError('...')`."),
        ("x = json.dumps(1)", "Write `import json` first."),
        ("x = input['maybe'] + 1", "Test it first: `if x is not None:`."),
        ("x = input.text", "A key is read as `input['text']`."),
    ],
)
def test_hint_says_what_to_write_instead(code: str, hint: str) -> None:
    assert [f.hint for f in checked(code)] == [hint]


@pytest.mark.parametrize("code", ["ran = 1", "ran = 1\nwrong + 1", "global ran\nran = 1"])
def test_block_leaves_nothing_in_the_session_that_checks_it(code: str) -> None:
    answer = checker.ask(code, checker.STUBS[checker.STOP], ["ran", "len"], name="n")
    assert answer is not None
    assert (answer.failed, answer.refusal) == ({"ran"}, None)


def test_block_is_never_run(capfd: pytest.CaptureFixture[str]) -> None:
    """A loop without end and a print behind it return at once, and print nothing."""
    start = time.monotonic()
    assert checked("print('effect')\nn = 0\nwhile True:\n    n += 1\n    print(n)") == []
    assert checked("print('effect')\nx = 2 ** 2 ** 40\ny = 'a' * 10 ** 12\nraise SystemExit(3)") == []
    assert time.monotonic() - start < 30
    assert capfd.readouterr() == ("", "")


def test_all_mistakes_are_found_at_once() -> None:
    code = "x = input['txt']\ny = nothing\ndel x\nimport uuid\nz = 1 + 'a'\nsummary = 3"
    assert [f.line for f in checked(code, "summary", "number")] == [1, 2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("x = '日本😀' + input['txt']", (1, 19)),
        ("if True:\n\tx = input['txt']", (2, 12)),
        ("y = 1\r\nx = input['txt']\r\n", (2, 11)),
        ("y = 1\rx = input['txt']", (2, 11)),
        ("\x0cy = 1\n\x0cx = input['txt']", (2, 12)),
        ("y = '\x0b\x1c\x85\u2028'; x = input['txt']", (1, 23)),
        ("y = 1 + \\\n  2 + input['txt']", (2, 13)),
        ('y = """a\nb""" + input["txt"]', (2, 14)),
        ("y = (1,\n   input['txt'],\n)", (2, 10)),
        ("y = f'{input[\"txt\"]}'", (1, 14)),
    ],
)  # fmt: skip
def test_place_counts_code_points_whatever_the_text(code: str, place: tuple[int, int]) -> None:
    assert [(f.line, f.column) for f in checked(code)] == [place]


HOSTILE = {
    "brackets": "x = " + "[" * 150 + "]" * 150,
    "more brackets": "x = " + "(" * 30000 + ")" * 30000,
    "minus": "x = " + "-" * 60000 + "1",
    "sum": "x = " + "+".join(["1"] * 30000),
    "calls": "x = 'a'" + ".upper()" * 8000,
    "elif": "if 1: x = 1\n" + "elif 1: x = 1\n" * 4000,
    "indentation": "\n".join(" " * i + "if 1:" for i in range(300)) + "\n" + " " * 300 + "x = 1",
    "lambda": "x = " + "lambda: " * 7000 + "1",
    "long": "x = 1\n" * 10000,
    "wide line": "x = '" + "é" * 20000 + "' + zz",
    "many names": "x = [" + ", ".join(f"n{i}" for i in range(9000)) + "]",
    "imports": "".join(f"import m{i}\n" for i in range(5000)),
    "long key": f"x = input['{'k' * 60000}']",
    "too long": "#" * (MAX_CODE + 1),
    "nul": "x = 1\n\x00y = 2",
    "surrogate": "x = '\ud800'",
    "escape": "x = '\\ud800'",
    "no letters": "\x7f\x01\ufeff\u202e",
    "emoji": "😀 = 1",
    "open string": "x = '''",
    "backslash": "x = 1\\",
    "stop name": "def stop_before_the_block(): print('ran')\nstop_before_the_block()",
    "exec": "exec('while True: pass')",
    "decorator": "@(lambda f: f)\nclass A: pass",
}


@pytest.mark.parametrize("name", some(list(HOSTILE), len(HOSTILE) // 3))
def test_strange_code_is_answered_in_time(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    start, code = time.monotonic(), HOSTILE[name]
    for finding in checked(code, "number"):
        lines = code.replace("\r", "\n").split("\n")
        assert 1 <= finding.line <= len(lines)
        assert finding.column >= 1
        assert finding.length >= 1
        assert 0 < len(finding.message) <= 300
    assert time.monotonic() - start < 60
    assert capfd.readouterr() == ("", "")


def test_too_long_a_block_is_not_an_error() -> None:
    (found,) = checked("x = 1\n" * 12000)
    assert (found.severity, found.line) == ("warning", 1)


@pytest.mark.parametrize("name", ["", "block 'a'\n\x00", "日本" * 500, "../../etc"])
def test_any_block_name_will_do(name: str) -> None:
    assert check("x = a['b']", {"a": None}, {}, name=name) == []


def test_names_that_hide_builtins_and_types_keep_their_own_meaning() -> None:
    """A local may be called `str`, `list` or `open`."""
    names = {"str": {"type": "integer"}, "list": TEXT, "open": None, "map": {"type": "array", "items": TEXT}}
    assert check("x = str + 1\ny = list.upper()\nz = open('a')\nw = map[0].upper()", names, {}, name="n") == []
    assert [f.line for f in check("x = str + 'a'\ny = list + 1", names, {}, name="n")] == [1, 2]


def test_input_may_be_given_another_value_and_type() -> None:
    names = {"text": TEXT, "maybe": {"type": ["integer", "null"]}}
    code = "text = text.split()\ntext.append('x')\nmaybe = maybe or 0\nn = maybe + 1\ndef f():\n    return len(text)\n"
    assert check(code, names, {"n": None}, name="n") == []
    assert [f.line for f in check("x = text.uper()\ntext = 1\ny = text.upper()", names, {}, name="n")] == [1, 3]
    (found,) = check("text = 3", names, {"text": TEXT}, name="n")
    assert (found.line, found.severity) == (1, "error")


def test_threads_check_side_by_side() -> None:
    results: list[bool] = []

    def work(number: int) -> None:
        for _ in range(5):
            found = checked(f"a = {number}\n" * number + "x = input['txt']")
            results.append([f.line for f in found] == [number + 1])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [True] * 40


SCRIPT = """
import os, sys
{before}
from runllm.blocks.check import check
found = check("open('a')\\nx = [1].push(1)", {{}}, {{"y": None}}, name="n")
print(sorted({{f.message for f in found}}))
{after}
"""


def script(before: str = "", after: str = "") -> "subprocess.CompletedProcess[str]":
    code = textwrap.dedent(SCRIPT).format(before=before, after=after)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_without_the_sandbox_only_the_syntax_tree_speaks() -> None:
    done = script(before="sys.modules['pydantic_monty'] = None")
    assert "cannot open files" in done.stdout
    assert "`y` is an output" in done.stdout
    assert "no attribute `push`" not in done.stdout
    assert done.stderr == ""


def test_process_ends_by_itself_after_a_check() -> None:
    done = script()
    assert "no attribute `push`" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_where_no_worker_starts_only_the_syntax_tree_speaks() -> None:
    """Nor does a run crash there: it says that the sandbox cannot run."""
    after = (
        "from runllm.blocks import run_block\n"
        "from runllm.errors import EngineUnavailableError\n"
        "try: run_block('pass', {})\n"
        "except EngineUnavailableError as error: print(error.message)\n"
    )
    done = script(before="os.environ['MONTY_BIN'] = '/no/such/program'", after=after)
    assert "cannot open files" in done.stdout
    assert "the sandbox cannot run: failed to spawn" in done.stdout
    assert done.stderr == ""


FORKS = """
import os, signal
from runllm.blocks import BlockFailure, Sandbox
from runllm.blocks.check import check

def run():
    try: return Sandbox().run("x = 1", {}, ["x"]).values
    except BlockFailure as failure: return failure.message

first, second = {order}
first()
child = os.fork()
if child == 0:
    signal.alarm(30)
    print(second(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("lambda: check('x = 1', {}, {}, name='n'), run", "`spawn`"),
        ("run, lambda: check('x = 1 +', {}, {}, name='n')", "is not Python"),
    ],
    ids=["check, fork, run", "run, fork, check"],
)
def test_checks_and_runs_know_of_each_other_after_a_fork(order: str, said: str) -> None:
    """An app that was loaded before its process forked would hang in the child for ever."""
    code = FORKS.replace("{order}", order)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert said in done.stdout
    assert done.stdout.split("\n")[-2] == "0", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_after_a_check_does_not_hang() -> None:
    """The child says what the syntax tree alone shows; the parent goes on."""
    after = (
        "sys.stdout.flush()\n"
        "pid = os.fork()\n"
        "again = check('open(1); [1].push(1)', {}, {}, name='n')\n"
        "print(len(again), flush=True)\n"
        "os._exit(0) if pid == 0 else os.waitpid(pid, 0)\n"
    )
    done = script(after=after)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[1:]) == ["", "1", "2"]
