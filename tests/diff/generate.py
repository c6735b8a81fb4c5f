"""generate.py - random lines: good ones, ones that break rules at their limits, and ones that are broken JSON"""
import json
import random

import rules

WALL = 1760000000000000


class Raw(str):
    """Text that goes into the line as it is: a number, or something that is none."""


class Pairs(list):
    """An object's members in order; a name may come twice."""


LETTERS = 'abcdefghijklmnopqrstuvwxyz'
CHARACTERS = ['a', 'Z', '0', '_', ' ', 'é', '漢', '😀', 'e\u0301', '"', '\\', '\n', '\t', '\u0001', '\x7f', '/', '.']
NUMBERS = ['0', '-0', '1', '1.10', '1e2', '-1', '12345678901234567890', '1e400', '-1e999', '0.1e-5', '3.0', '1E5',
           '9' * 310, '1' + '0' * 308, '1e308', '1.5', '100', '1700000000', '1.0', '-0.0', '0e0', '1e-400']
BAD_TOKENS = ['01', '1.', '.5', '+1', 'NaN', 'Infinity', 'nul', 'True', "'a'", '-', '1e', '"\\x"', '"\\ud800"',
              '"\\udc00"', '"\\ud800\\u0041"', '"\\ud83d\\ude00"', '"\\u12g4"', '"\t"', '""', '[1,]', '{"a":1,}', '{,}',
              '[', ']', '}', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]',
              '[' * 28 + ']' * 28, '[' * 31 + ']' * 31, '"\\u0000"', '/**/1', '1//']
NAMES = ['purchase', 'refund', 'login', 'page_view', 'sign_up', 'my_event'] * 5 + [
    'purchase', 'refund', 'page_view', 'search', 'post_score', 'spend_virtual_currency', 'earn_virtual_currency',
         'unlock_achievement', 'add_to_cart', 'view_item', 'select_item', 'error', 'session_start', 'screen_view',
         'ad_impression', 'in_app_purchase', 'first_visit', 'my_event', 'click', 'Purchase', 'Page_View', 'ERROR', 'Login', 'Session_start', 'purChase', 'begin_checkout', '_x', '9a']
PARAMS = ['value', 'currency', 'transaction_id', 'session_id', 'engagement_time_msec', 'debug_mode', 'price', 'quantity',
          'tax', 'shipping', 'discount', 'score', 'level', 'index', 'search_term', 'virtual_currency_name',
          'achievement_id', 'page_title', 'page_referrer', 'page_location', 'ga_session_id', 'firebase_conversion',
          'timestamp_micros', '_a', 'gtag.x', 'google_a', 'firebase_b', 'custom', 'coupon', 'method', 'gtagx', 'a-b', '']
TIMES = [WALL, WALL - 1, WALL + 1, WALL - 259200000000, WALL - 259200000001, WALL + 300000000, WALL + 300000001, 0, -1,
         1760000000, 10**19, 2**63, 123]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def chance(self, p):
        return self.r.random() < p

    def text(self, length):
        if self.chance(0.5):
            return self.r.choice(CHARACTERS) * length if self.chance(0.5) else 'x' * length
        return ''.join(self.r.choice(CHARACTERS) for _ in range(length))

    def near(self, limit):
        return limit + self.r.choice([-1, 0, 1, 1])

    def word(self, limit=40):
        if self.chance(0.1):
            return self.text(self.r.randrange(4))
        if self.chance(0.1):
            return self.r.choice(LETTERS) * self.near(limit)
        return ''.join(self.r.choice(LETTERS) for _ in range(self.r.randrange(1, 9)))

    def time(self):
        when = self.r.choice(TIMES) if self.chance(0.4) else WALL - self.r.randrange(10**10)
        return self.r.choice([when, str(when), Raw(f'{when}.0'), Raw(f'{when}.5'), f'{when}.0', f'{when}.25', Raw(f'{when}.75e0'), Raw('1.76e15'), when, when])

    def junk(self):
        return self.r.choice([None, True, False, '', 'x', Raw(self.r.choice(NUMBERS)), Pairs(), [], [1], Pairs([('a', 1)]),
                              self.text(self.r.randrange(5)), Raw(self.r.choice(NUMBERS)), self.time()])

    def scalar(self):
        return self.r.choice([self.text(self.r.randrange(6)), Raw(self.r.choice(NUMBERS)), True, False,
                              self.text(self.near(100)), self.text(self.near(500))] + ['abc', 1, 2.5] * 4)

    def good_param(self, name):
        known = {'value': [9.5, Raw('1.10')], 'currency': ['EUR', 'usd', 'EURO', 'E1R', ''], 'session_id':
                 [1700000000, '1700000000', 0, '0', '-1', '12x', Raw('1e9'), '99999999999999999999',
                  'GS2.1.s1700000000$o1', 'GS1.1.5.1', 'GS2.1.s0'], 'timestamp_micros': [self.time(), self.time(), 'x', 0],
                 'custom': ['a@b.example', 'abc', 'x@y'],
                 'engagement_time_msec': [1, '100', 0, '0', Raw('0.5'), '1.5', -3, ''], 'debug_mode':
                 [True, 1, False, 0, 'true', Raw('1.0')], 'transaction_id': ['T-1', '', 7]}
        lengths = {'page_title': 300, 'page_referrer': 420, 'page_location': 1000}
        if name in lengths and self.chance(0.5):
            return self.text(self.near(lengths[name]))
        return self.r.choice(known[name]) if name in known else self.scalar()

    def item(self):
        item = Pairs()
        if self.chance(0.8):
            item.append(('item_id', self.r.choice(['a', 'b', '', 1, None, 'SKU'])))
        for name in sorted(rules.ITEM_MEMBERS):
            if self.chance(0.08):
                item.append((name, self.r.choice([1, 'x', 'EUR', self.scalar()])))
        for i in range(self.near(10) if self.chance(0.1) else self.r.randrange(2)):
            item.append((f'c{i}' if self.chance(0.8) else self.word() + str(i), self.scalar()))
        return item if self.chance(0.97) else self.junk()

    def items(self):
        if self.chance(0.02):
            return [Pairs([('item_id', 'a')])] * self.near(200)
        return [self.item() for _ in range(self.r.randrange(4))]

    def params(self):
        params = {}
        if self.chance(0.8):
            params['session_id'] = 1700000000
            params['engagement_time_msec'] = 100
        if self.chance(0.4):
            params['items'] = self.items()
        for _ in range(self.r.randrange(6)):
            name = self.r.choice(PARAMS)
            params[name] = self.good_param(name)
        if self.chance(0.05):
            for i in range(self.near(self.r.choice([25, 100])) - len(params)):
                params[f'p{i}'] = i
        for _ in range(self.r.randrange(3)):
            params[self.word()] = self.junk() if self.chance(0.2) else self.scalar()
        return Pairs(params.items())

    def event(self):
        event = Pairs()
        event.append(('name', self.r.choice(NAMES) if self.chance(0.8) else self.word()))
        if self.chance(0.9):
            event.append(('params', self.params()))
        if self.chance(0.2):
            event.append(('timestamp_micros', self.time()))
        return event

    def properties(self):
        props = {}
        for _ in range(self.near(25) if self.chance(0.1) else self.r.randrange(3)):
            name = self.word(24) if self.chance(0.8) else self.r.choice(['_a', 'ga_x', 'user_id', 'first_open_time', 'gtag.x'])
            prop = Pairs([('value', self.text(self.near(36)) if self.chance(0.3) else self.scalar())])
            if self.chance(0.3):
                prop.append(('timestamp_micros', self.time()))
            props[name] = prop if self.chance(0.98) else self.junk()
        return Pairs(props.items())

    def digest(self):
        return self.r.choice(['ab' * 32, '0' * 64, 'AB' * 32, 'a' * 63, 'a' * 65, 'a@b.example', '', None, 7] + ['c' * 64] * 40)

    def several(self, one, limit):
        return one() if self.chance(0.5) else [one() for _ in range(self.r.choice([0, 1, limit, limit, limit + 1]))]

    def address(self):
        keys = ['sha256_first_name', 'sha256_last_name', 'sha256_street', 'city', 'region', 'postal_code', 'country']
        return Pairs((k, self.digest() if k.startswith('sha') else 'x') for k in keys if self.chance(0.5))

    def user_data(self):
        data = Pairs()
        if self.chance(0.7):
            data.append(('sha256_email_address', self.several(self.digest, 3)))
        if self.chance(0.3):
            data.append(('sha256_phone_number', self.several(self.digest, 3)))
        if self.chance(0.3):
            data.append(('address', self.several(self.address, 2)))
        return data

    def some(self, known):
        return Pairs((k, 'x' if self.chance(0.95) else self.junk()) for k in sorted(known) if self.chance(0.3))

    def request_members(self, app):
        out = Pairs()
        if self.chance(0.97):
            if app:
                out.append(('app_instance_id', self.r.choice(['0af' + 'C' * 29] * 30 + ['a' * 31, 'g' * 32, '', 5])))
            else:
                out.append(('client_id', self.r.choice(
                    ['123.456'] * 40 + ['GA1.1.123.456', 'GA1.2-2.123.456', 'GA1.1.123', 'a-b', '1.2.3', '', 7, 'GA1.1.1.2.3',
                     '.5', '5.', 'GA2.10-3.1.2', None, '0.0', '00.000', 'GA1.1.0.0', '0', 'a@b.example'])))
        makers = {'user_id': lambda: self.r.choice(['u'] * 12 + ['', self.text(self.near(256)), 3, 'a@b.example', 'a@b@c.example', 'a@b.c', 'a @b.c']),
                  'timestamp_micros': self.time,
                  'user_properties': self.properties,
                  'user_data': self.user_data,
                  'consent': lambda: Pairs((k, self.r.choice(['GRANTED', 'DENIED'] * 8 + ['granted']))
                                           for k in ('ad_user_data', 'ad_personalization') if self.chance(0.6)),
                  'non_personalized_ads': lambda: self.r.choice([True, False] * 6 + ['true']),
                  'user_location': lambda: self.some(rules.LOCATION), 'device': lambda: self.some(rules.DEVICE),
                  'ip_override': lambda: '1.2.3.4', 'user_agent': lambda: 'x',
                  'validation_behavior': lambda: self.r.choice(['RELAXED', 'ENFORCE_RECOMMENDATIONS'] * 6 + ['X']),
                  'session_cookie': lambda: self.r.choice(
                      ['GS1.1.1700000000.1.1', 'GS2.1.s1700000000$o1', 'GS2.1.o1$s5$g0', 'GS1.1.0.1', 'GS1.1.x', '', None,
                       'GS3.2-1.s7', 'GS1.1.17', 'GS2.1.s' + '9' * 20, 'GS2.1.sx$s4']),
                  'dedup_key': lambda: self.r.choice(['k'] * 8 + ['', 'é' * self.near(100), 5]),
                  'stream': lambda: self.r.choice(['app' if app else 'web'] * 30 + ['nope', 5]),
                  'app_instance_id' if not app else 'client_id': lambda: '1.2'}
        for name, make in makers.items():
            rare = 0.01 if name in ('app_instance_id', 'client_id') else 0.08
            if self.chance(rare):
                out.append((name, make()))
        return out

    def document(self, app):
        doc = self.request_members(app)
        shape = self.r.random()
        if shape < 0.5:
            doc.extend(self.event() if not any(k == 'timestamp_micros' for k, _ in doc) else self.event()[:2])
        elif shape < 0.94:
            doc.append(('events', [self.event() for _ in range(self.r.choice([0, 1, 1, 2, 3]))]))
        if self.chance(0.003):
            doc.append(('events', [Pairs([('name', 'a')])] * self.near(1000)))
        if self.chance(0.004):
            doc.append(('params' if shape >= 0.5 else 'user_agent', Pairs([('big', 'x' * 129700)])))
        self.r.shuffle(doc)
        return doc

    # -- as other serializers write it --

    def camel(self, name):
        first, *rest = name.split('_')
        return first + ''.join(part.capitalize() for part in rest)

    def respell(self, value, inside=''):
        """Nulls, camelCase, [] for {}, one event for a list of one, booleans as text."""
        if isinstance(value, Pairs):
            for i, (key, member) in enumerate(value):
                if key in ('params', 'items'):
                    member = self.respell(member, 'params') if self.chance(0.9) else []
                    value[i] = (key, member)
                    continue
                if not inside and key in rules.CAMEL and self.chance(0.3):
                    key = self.camel(key)
                value[i] = (key, self.respell(member, inside))
                if self.chance(0.04):
                    value[i] = (key, None)
            if not inside and self.chance(0.03):
                value.insert(self.r.randrange(len(value) + 1), (self.camel(self.r.choice(sorted(rules.CAMEL))), None))
            return [] if not value and self.chance(0.5) else value
        if isinstance(value, list):
            if len(value) == 1 and not inside and self.chance(0.3):
                return self.respell(value[0])
            return [self.respell(v, inside) if self.chance(0.97) else None for v in value]
        if isinstance(value, bool):
            return self.r.choice(['true', 'false', value])
        if value in ('GRANTED', 'DENIED'):
            return self.r.choice([value, value.lower(), value.capitalize()])
        return value

    # -- breaking what was made --

    def containers(self, value, out):
        if isinstance(value, (Pairs, list)):
            out.append(value)
            for element in value:
                self.containers(element[1] if isinstance(value, Pairs) else element, out)
        return out

    def break_something(self, doc):
        target = self.r.choice(self.containers(doc, []))
        if not target:
            target.append(('x', 1) if isinstance(target, Pairs) else 1)
            return
        at = self.r.randrange(len(target))
        if not isinstance(target, Pairs):
            target[at] = self.junk()
            return
        key, value = target[at]
        target[at] = self.r.choice([(key, self.junk()), (self.word(), value), (key + 'x', value), (key, self.scalar()),
                                    (self.r.choice(PARAMS), value), (key, Raw(self.r.choice(BAD_TOKENS)))])
        if self.chance(0.2):
            del target[at]
        elif self.chance(0.2):
            target.insert(self.r.randrange(len(target)), (self.word(), self.junk()))

    # -- to text --

    def space(self):
        return self.r.choice(['', '', '', '', ' ', '\t', '  ', '\r'])

    def string(self, s):
        if self.chance(0.2):
            return json.dumps(s, ensure_ascii=True)
        text = json.dumps(s, ensure_ascii=False)
        if self.chance(0.1):
            text = text.replace('/', '\\/')
        return text

    def render(self, value):
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, Pairs):
            inner = (self.space() + self.string(k) + self.space() + ':' + self.space() + self.render(v) + self.space()
                     for k, v in value)
            return '{' + (','.join(inner) or self.space()) + '}'
        if isinstance(value, list):
            return '[' + ','.join(self.space() + self.render(v) + self.space() for v in value) + ']'
        return self.string(value) if isinstance(value, str) else json.dumps(value)

    def scratch(self, line):
        """Bytes changed at random."""
        line = bytearray(line)
        for _ in range(self.r.randrange(1, 4)):
            at = self.r.randrange(len(line) + 1)
            what = self.r.randrange(4)
            if what == 0 and at < len(line):
                line[at] = self.r.randrange(256)
            elif what == 1:
                line[at:at] = self.r.choice([b'\x0c', b'\x0b', b' ', b'\xc0\x80', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'"',
                                             b'\\', b',', b'{', b'}', b'\xef\xbb\xbf', b'\x00', b'\xe2\x28', b'0', b'\\u', b':'])
            elif what == 2:
                del line[at:at + self.r.randrange(1, 4)]
            else:
                del line[at:]
            if not line:
                line = bytearray(b'{}')
        return bytes(line)

    def case(self):
        ctx = rules.Context(mode=self.r.choice(['standard'] * 6 + ['strict'] * 2 + ['off'] * 2),
                            kind='app' if self.chance(0.25) else 'web', limits=self.r.choice(['standard'] * 4 + ['360']),
                            door=self.chance(0.05), wall=WALL)
        doc = self.document(ctx.kind == 'app')
        if self.chance(0.3):
            self.respell(doc)
        for _ in range(self.r.choice([0, 0, 0, 0, 0, 0, 1, 2, 3])):
            self.break_something(doc)
        line = (self.space() + self.render(doc) + self.space()).encode('utf-8', 'surrogatepass')
        if self.chance(0.1):
            line = self.scratch(line)
        return ctx, line.replace(b'\n', b' ')
