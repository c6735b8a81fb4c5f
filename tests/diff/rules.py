"""rules.py - what GA4 takes, read from the specification once more, plainly, and without a look at the C code

judge(line, ctx) says what the relay should make of a line. It collects everything that is wrong with its place in the
text, and only then decides: slow and easy to check, where the C code is fast.
"""
import math
import re
from decimal import Decimal

DIGITS = frozenset('0123456789')
NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*\Z')


class NotJson(Exception):
    pass


class Node:
    """A value with its place: start and end are offsets into the text."""

    def __init__(self, kind, start):
        self.kind, self.start, self.end = kind, start, start
        self.value = None  # str, text of a number, bool, list of nodes
        self.members = []  # of an object: (name, node); a name that is meant otherwise than written is replaced
        self.written = ''  # the name as written
        self.edited = False  # something in it is not sent as written
        self.filled = False  # it was written with something in it

    def get(self, name):
        for key, node in self.members:
            if key == name:
                return node
        return None


class Parser:
    """RFC 8259 to the letter, over text that is valid UTF-8 already."""
    SPACE = ' \t\r\n'
    NUMBER = re.compile(r'-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?')
    ESCAPES = {'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

    def __init__(self, text):
        self.text, self.at, self.depth = text, 0, 0

    def space(self):
        while self.at < len(self.text) and self.text[self.at] in self.SPACE:
            self.at += 1

    def peek(self):
        self.space()
        if self.at >= len(self.text):
            raise NotJson('ends')
        return self.text[self.at]

    def need(self, char):
        if self.peek() != char:
            raise NotJson('no ' + char)
        self.at += 1

    def document(self):
        if self.peek() != '{':
            raise NotJson('no object')
        node = self.parse()
        self.space()
        if self.at != len(self.text):
            raise NotJson('more')
        return node

    def parse(self):
        char = self.peek()
        start = self.at
        if char == '{':
            node = self.object()
        elif char == '[':
            node = self.array()
        elif char == '"':
            node = Node('string', start)
            node.value = self.string()
        elif char in '-0123456789':
            node = Node('number', start)
            match = self.NUMBER.match(self.text, self.at)
            if not match:
                raise NotJson('number')
            self.at = match.end()
            node.value = match.group()
        else:
            node = self.word()
        node.end = self.at
        return node

    def word(self):
        for word, value in (('true', True), ('false', False), ('null', None)):
            if self.text.startswith(word, self.at):
                node = Node('null' if value is None else 'bool', self.at)
                node.value = value
                self.at += len(word)
                return node
        raise NotJson('word')

    def enter(self):
        self.depth += 1
        if self.depth > 32:
            raise NotJson('depth')
        self.at += 1

    def object(self):
        node = Node('object', self.at)
        self.enter()
        names = set()
        if self.peek() != '}':
            while True:
                if self.peek() != '"':
                    raise NotJson('name')
                name = self.string()
                if name in names:
                    raise NotJson('twice')
                names.add(name)
                self.need(':')
                node.members.append((name, self.parse()))
                node.members[-1][1].written = name
                node.filled = True
                if self.peek() == '}':
                    break
                self.need(',')
        self.at += 1
        self.depth -= 1
        return node

    def array(self):
        node = Node('array', self.at)
        node.value = []
        self.enter()
        if self.peek() != ']':
            while True:
                node.value.append(self.parse())
                node.filled = True
                if self.peek() == ']':
                    break
                self.need(',')
        self.at += 1
        self.depth -= 1
        return node

    def string(self):
        out = []
        self.at += 1
        while True:
            if self.at >= len(self.text):
                raise NotJson('string ends')
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                return ''.join(out)
            if ord(char) < 0x20:
                raise NotJson('control character')
            out.append(self.escape() if char == '\\' else char)

    def escape(self):
        char = self.text[self.at:self.at + 1]
        self.at += 1
        if char == 'u':
            unit = self.unit()
            if 0xd800 <= unit <= 0xdbff and self.text[self.at:self.at + 2] == '\\u':
                self.at += 2
                low = self.unit()
                if not 0xdc00 <= low <= 0xdfff:
                    raise NotJson('surrogate')
                return chr(0x10000 + ((unit - 0xd800) << 10) + low - 0xdc00)
            if 0xd800 <= unit <= 0xdfff:
                raise NotJson('surrogate')
            return chr(unit)
        if char not in self.ESCAPES:
            raise NotJson('escape')
        return self.ESCAPES[char]

    def unit(self):
        digits = self.text[self.at:self.at + 4]
        if not re.fullmatch('[0-9a-fA-F]{4}', digits):
            raise NotJson('escape')
        self.at += 4
        return int(digits, 16)


# ---- the tables of the specification ----

RESERVED_EVENTS = set('''ad_activeview ad_click ad_exposure ad_query ad_reward adunit_exposure app_clear_data
app_exception app_install app_remove app_store_refund app_update app_upgrade dynamic_link_app_open
dynamic_link_app_update dynamic_link_first_open error firebase_campaign firebase_in_app_message_action
firebase_in_app_message_dismiss firebase_in_app_message_impression first_open first_visit notification_dismiss
notification_foreground notification_open notification_receive notification_send os_update session_start
user_engagement'''.split())
RESERVED_ON_WEB = {'ad_impression', 'in_app_purchase', 'screen_view'}
RESERVED_PROPERTIES = {'first_open_time', 'first_visit_time', 'last_deep_link_referrer', 'user_id',
                       'first_open_after_install'}
NUMERIC = {'value', 'price', 'quantity', 'tax', 'shipping', 'discount', 'score', 'level', 'index'}
LONGER = {'page_title': 300, 'page_referrer': 420, 'page_location': 1000}
NEED_ITEMS = set('''add_payment_info add_shipping_info add_to_cart add_to_wishlist begin_checkout purchase
remove_from_cart select_item view_cart view_item view_item_list'''.split())
REQUIRED = {'purchase': ['transaction_id'], 'refund': ['transaction_id'], 'post_score': ['score'],
            'search': ['search_term'], 'spend_virtual_currency': ['value', 'virtual_currency_name'],
            'unlock_achievement': ['achievement_id']}
ITEM_MEMBERS = set('''item_id item_name affiliation coupon discount index item_brand item_category item_category2
item_category3 item_category4 item_category5 item_list_id item_list_name item_variant location_id price quantity
creative_name creative_slot promotion_id promotion_name currency'''.split())
LOCATION = set('city region_id country_id subcontinent_id continent_id'.split())
DEVICE = set('''category language screen_resolution operating_system operating_system_version model brand browser
browser_version'''.split())
ADDRESS_HASHES = {'sha256_first_name', 'sha256_last_name', 'sha256_street'}
ADDRESS_PLAIN = {'city', 'region', 'postal_code', 'country'}
REQUEST = set('''client_id app_instance_id user_id timestamp_micros user_properties user_data consent
non_personalized_ads user_location ip_override device user_agent validation_behavior events'''.split())
CAMEL = {name for name in REQUEST | LOCATION | DEVICE | ADDRESS_HASHES | ADDRESS_PLAIN if '_' in name} | {
    'ad_user_data', 'ad_personalization', 'sha256_email_address', 'sha256_phone_number'}
OWN = {'stream', 'dedup_key', 'session_cookie'}


GA4_EVENTS = (RESERVED_EVENTS | RESERVED_ON_WEB | NEED_ITEMS | set(REQUIRED) | set('''app_store_subscription_cancel
app_store_subscription_convert app_store_subscription_renew campaign_details click close_convert_lead close_unconvert_lead
disqualify_lead earn_virtual_currency file_download form_start form_submit generate_lead join_group level_end level_start
level_up login page_view qualify_lead scroll select_content select_promotion share sign_up tutorial_begin tutorial_complete
video_complete video_progress video_start view_promotion view_search_results working_lead'''.split())) - {'error'}


class Context:
    def __init__(self, mode='standard', kind='web', limits='standard', door=False, wall=1760000000000000,
                 max_age=72 * 3600 * 1000000):
        self.mode, self.kind, self.limits, self.door = mode, kind, limits, door
        self.wall, self.max_age = wall, max_age

    def header(self):
        return f'{self.mode} {self.kind} {self.limits} {int(self.door)} {self.wall} {self.max_age}'


def whole_number(node):
    """An int, or None when it is none: a number, or a string of digits."""
    if node.kind == 'string' and node.value and set(node.value) <= DIGITS:
        return int(node.value)
    if node.kind != 'number':
        return None
    if not finite(node.value):
        return None
    value = Decimal(node.value) if len(node.value) < 40 else Decimal(repr(float(node.value)))
    if re.search('[.eE]', node.value):
        value = Decimal(float(node.value))
    return int(value) if value == value.to_integral_value() else None


def time_number(node):
    """(time, whether a fraction was left off), or None: no time."""
    match = re.fullmatch(r'([0-9]+)\.([0-9]+)', node.value) if node.kind in ('string', 'number') else None
    if match:
        return int(match.group(1)), set(match.group(2)) != {'0'}
    value = whole_number(node)
    if value is not None:
        return value, False
    if node.kind == 'number' and finite(node.value):
        return math.floor(float(node.value)), True
    return None


def is_mail(text):
    data = text.encode()
    local, at, domain = data.partition(b'@')
    if len(data) < 6 or not at or not local or b'@' in domain or len(domain) < 3 or b'.' not in domain[1:-1]:
        return False
    return not any(byte <= 0x20 or byte in b'/:?&=,;<>"' for byte in data)


def meant(name, known):
    """What a member's name stands for in an object with these members."""
    if name in known or '_' in name or name[:1].isupper():
        return name
    snake = re.sub('[A-Z]', lambda m: '_' + m.group().lower(), name)
    return snake if snake in known else name


def finite(text):
    return abs(float(text)) != float('inf')


def client_of(value):
    match = re.fullmatch(r'GA[0-9]+\.[0-9]+(?:-[0-9]+)?\.([0-9]+\.[0-9]+)', value)
    return match.group(1) if match else value


def session_of(node):
    """The session id in a _ga_<container> cookie, or None."""
    if node is None or node.kind != 'string':
        return None
    match = re.match(r'GS([0-9]+)\.[0-9]+(?:-[0-9]+)?\.(.*)\Z', node.value, re.S)
    if not match:
        return None
    if match.group(1) == '1':
        found = re.match(r'([0-9]+)(?:\.|\Z)', match.group(2))
    else:
        fields = [f for f in match.group(2).split('$') if re.fullmatch('s[0-9]+', f)]
        found = re.match('s([0-9]+)', fields[0]) if fields else None
    if not found or int(found.group(1)) == 0 or len(found.group(1)) > 19:
        return None
    return found.group(1)


class Judge:
    def __init__(self, root, ctx, kind):
        self.root, self.ctx, self.kind = root, ctx, kind
        self.found = []  # (place, tier, code, field)
        self.numbers(root, '')
        self.read(root, REQUEST, '')
        self.session = session_of(root.get('session_cookie'))
        self.events = []  # (node, path, own time or None)
        self.payload_time = None

    def drop(self, parent, node):
        parent.edited = True
        parent.members = [m for m in parent.members if m[1] is not node]
        if parent.kind == 'array':
            parent.value = [n for n in parent.value if n is not node]

    def drops(self):
        return self.ctx.mode != 'off'

    def read(self, node, known, path):
        """[] for {}, null for absent, camelCase for the names that GA4 knows."""
        if node.kind == 'array' and not node.value:
            node.kind, node.edited = 'object', True
        if node.kind != 'object':
            return
        members, seen = [], set()
        for written, member in node.members:
            if member.kind == 'null':
                node.edited = True
                continue
            name = meant(written, known)
            if name in seen:
                self.say(member.start, 'D', 'VALUE_INVALID', f'{path}.{written}' if path else written)
            seen.add(name)
            members.append((name, member))
        node.members = members

    def say(self, place, tier, code, field):
        self.found.append((place, tier, code, field))

    # -- the request --

    def numbers(self, node, path):
        if node.kind == 'number' and not finite(node.value):
            # Before any other thing that is wrong with the same value.
            self.found.insert(0, (node.start, 'D', 'VALUE_INVALID', path))
        for name, member in node.members:
            self.numbers(member, f'{path}.{name}' if path else name)
        if node.kind == 'array':
            for i, element in enumerate(node.value):
                self.numbers(element, f'{path}[{i}]')

    def line(self):
        root = self.root
        name, events = root.get('name'), root.get('events')
        if self.ctx.door:
            shape = 'payload'
        elif name and events:
            shape = 'both'
        elif name:
            shape = 'event'
        elif events or root.get('user_properties') or root.get('user_data'):
            shape = 'payload'
        else:
            shape = 'none'
        self.shape = shape
        if shape == 'event':
            self.events.append([root, '', None])
        for key, node in root.members:
            self.request_member(key, node)
        self.missing(name, events)
        if shape == 'event':
            self.event_end(root, '')

    def request_member(self, key, node):
        if key in ('name', 'params', 'events'):
            self.shape_member(key, node)
        elif key in REQUEST or key in OWN:
            getattr(self, 'on_' + key)(node)
        else:
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)

    def shape_member(self, key, node):
        if self.shape == 'both':
            name, events = self.root.get('name'), self.root.get('events')
            if key != 'params' and node.start == max(name.start, events.start):
                self.say(node.start, 'D', 'VALUE_INVALID', key)
        elif key == 'events':
            self.on_events(node)
        elif self.ctx.door and key == 'name':
            self.say(node.start, 'D', 'VALUE_INVALID', 'name')
        elif self.shape == 'payload':
            self.say(node.start, 'E', 'VALUE_INVALID', key)
        elif self.shape == 'event':
            if key == 'name':
                self.event_name(node, 'name')
            else:
                self.event_params(self.root, node, 'params')

    def missing(self, name, events):
        end = self.root.end
        wanted = 'client_id' if self.kind == 'web' else 'app_instance_id'
        if not self.root.get(wanted):
            self.say(end, 'D', 'VALUE_REQUIRED', wanted)
        filled = any(n and n.kind == 'object' and n.members
                     for n in (self.root.get('user_properties'), self.root.get('user_data')))
        if self.shape == 'none':
            self.say(end, 'D', 'VALUE_REQUIRED', 'name')
        elif self.shape == 'payload' and not self.events and not filled:
            self.say(end, 'D', 'VALUE_REQUIRED', 'events')
        if self.root.get('user_data') and not self.root.get('user_id'):
            self.say(end, 'W', 'VALUE_REQUIRED', 'user_id')

    def identity(self, node, name, own, tier_of_form, code_of_form, form):
        field, zeros = node.written, name == 'client_id' and node.kind == 'string'
        if not own:
            self.say(node.start, 'E', 'VALUE_INVALID', field)
        elif node.kind != 'string':
            self.say(node.start, 'D', 'VALUE_INVALID', field)
        elif node.value == '':
            self.say(node.start, 'D', 'VALUE_REQUIRED', field)
        elif zeros and set(client_of(node.value)) <= set('0.'):
            self.say(node.start, 'W', 'VALUE_INVALID', field)
        elif not re.fullmatch(form, client_of(node.value) if name == 'client_id' else node.value):
            self.say(node.start, tier_of_form, code_of_form, field)

    def on_client_id(self, node):
        self.identity(node, 'client_id', self.kind == 'web', 'W', 'VALUE_INVALID', r'[0-9]+\.[0-9]+')

    def on_app_instance_id(self, node):
        self.identity(node, 'app_instance_id', self.kind == 'app', 'E', 'VALUE_INVALID', '[0-9a-fA-F]{32}')

    def on_user_id(self, node):
        if node.kind != 'string':
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)
        elif node.value == '':
            self.say(node.start, 'W', 'VALUE_OUT_OF_BOUNDS', node.written)
            self.drop(self.root, node)
        elif len(node.value) > 256:
            self.say(node.start, 'E', 'VALUE_OUT_OF_BOUNDS', node.written)
        elif is_mail(node.value):
            self.say(node.start, 'W', 'VALUE_INVALID', node.written)

    def time(self, node, path):
        """The time to be sent, or None."""
        found = time_number(node)
        when, fraction = found or (None, False)
        if fraction:
            self.say(node.start, 'W', 'VALUE_INVALID', path)
        if found and when == 0:
            return None
        if when is None:
            self.say(node.start, 'E', 'VALUE_INVALID', path)
        elif when < self.ctx.wall - self.ctx.max_age:
            self.say(node.start, 'E', 'TIMESTAMP_EXPIRED', path)
        elif when > self.ctx.wall + 5 * 60 * 1000000:
            self.say(node.start, 'E', 'VALUE_OUT_OF_BOUNDS', path)
        else:
            return min(when, self.ctx.wall)
        if self.ctx.mode == 'off' and when is not None and 0 < when <= 253402300799000000:
            return when
        return None

    def on_timestamp_micros(self, node):
        when = self.time(node, node.written)
        if self.shape == 'event':
            self.events[0][2] = when or self.events[0][2]
        else:
            self.payload_time = when

    def on_user_properties(self, node):
        self.read(node, (), node.written)
        if node.kind != 'object':
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)
            return
        if len(node.members) > 25:
            self.say(node.start, 'W', 'EXCEEDED_MAX_ENTITIES', node.written)
        for name, prop in node.members:
            path = f'{node.written}.{name}'
            value = prop.get('value') if prop.kind == 'object' else None
            if value and value.kind == 'null' and self.drops():
                self.say(value.start, 'W', 'VALUE_INVALID', path + '.value')
                self.drop(node, prop)
                continue
            self.read(prop, ('value', 'timestamp_micros'), path)
            self.user_property(node, name, prop, path)

    def user_property(self, parent, name, prop, path):
        if name in RESERVED_PROPERTIES or name.startswith(('_', 'firebase_', 'ga_', 'google_')):
            self.say(prop.start, 'W', 'NAME_RESERVED', path)
        elif not NAME.match(name) or len(name) > 24:
            self.say(prop.start, 'W', 'NAME_INVALID', path)
        if prop.kind != 'object':
            self.say(prop.start, 'E', 'VALUE_INVALID', path)
            return
        for key, node in prop.members:
            if key == 'value':
                if node.kind in ('null', 'object', 'array'):
                    self.say(node.start, 'W', 'VALUE_INVALID', path + '.value')
                elif node.kind == 'string' and len(node.value) > 36:
                    self.say(node.start, 'W', 'VALUE_OUT_OF_BOUNDS', path + '.value')
            elif key == 'timestamp_micros':
                found = time_number(node)
                if found is None:
                    self.say(node.start, 'E', 'VALUE_INVALID', f'{path}.{node.written}')
                elif found[1]:
                    self.say(node.start, 'W', 'VALUE_INVALID', f'{path}.{node.written}')
                if found and found[0] == 0 and self.drops():
                    self.drop(prop, node)
            else:
                self.say(node.start, 'E', 'VALUE_INVALID', f'{path}.{node.written}')
        if not prop.get('value'):
            self.say(prop.end, 'W', 'VALUE_INVALID', path + '.value')
            if self.drops():
                self.drop(parent, prop)

    def hashed(self, parent, node, path):
        if node.kind == 'string' and re.fullmatch('[0-9a-fA-F]{64}', node.value):
            node.value = node.value.lower() if self.drops() else node.value
            return
        self.say(node.start, 'N', 'VALUE_INVALID', path)
        self.drop(parent, node)

    def emptied(self, parent, node):
        """What the rules emptied is left out."""
        left = node.value if node.kind == 'array' else node.members
        if node.kind in ('array', 'object') and node.filled and not left:
            self.drop(parent, node)
            return True
        return False

    def address(self, parent, node, path):
        if node.kind == 'null':
            self.say(node.start, 'W', 'VALUE_INVALID', path)
            if self.drops():
                self.drop(parent, node)
            return
        if node.kind != 'object':
            self.say(node.start, 'E', 'VALUE_INVALID', path)
            if not self.drops():
                self.read(node, ADDRESS_HASHES | ADDRESS_PLAIN, path)
            return
        self.read(node, ADDRESS_HASHES | ADDRESS_PLAIN, path)
        for key, member in node.members:
            where = f'{path}.{member.written}'
            if key in ADDRESS_HASHES:
                self.hashed(node, member, where)
            elif key not in ADDRESS_PLAIN or member.kind != 'string':
                self.say(member.start, 'E', 'VALUE_INVALID', where)
        self.emptied(parent, node)

    def on_user_data(self, node):
        one_of = {'sha256_email_address': self.hashed, 'sha256_phone_number': self.hashed, 'address': self.address}
        self.read(node, one_of, node.written)
        if node.kind != 'object':
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)
            return
        for key, member in node.members:
            path = f'{node.written}.{member.written}'
            one = one_of.get(key)
            if not one:
                self.say(member.start, 'E', 'VALUE_INVALID', path)
            elif member.kind != 'array':
                one(node, member, path)
            else:
                self.several(one, node, member, path, 2 if key == 'address' else 3)
        self.emptied(self.root, node)

    def several(self, one, parent, node, path, most):
        for i, element in enumerate(list(node.value)):
            one(node, element, f'{path}[{i}]')
        self.emptied(parent, node)
        if len(node.value) > most:
            self.say(node.end, 'W', 'EXCEEDED_MAX_ENTITIES', path)
            if self.drops():
                node.value = node.value[:most]

    def strings(self, node, known):
        self.read(node, known, node.written)
        if node.kind != 'object':
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)
            return
        for key, member in node.members:
            if key not in known or member.kind != 'string':
                self.say(member.start, 'E', 'VALUE_INVALID', f'{node.written}.{member.written}')

    def on_consent(self, node):
        self.read(node, ('ad_user_data', 'ad_personalization'), node.written)
        if node.kind != 'object':
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)
            return
        for key, member in node.members:
            state = member.value.upper() if member.kind == 'string' and member.value.isascii() else None
            if key not in ('ad_user_data', 'ad_personalization') or state not in ('GRANTED', 'DENIED'):
                self.say(member.start, 'E', 'VALUE_INVALID', f'{node.written}.{member.written}')
            elif member.value != state:
                self.say(member.start, 'W', 'VALUE_INVALID', f'{node.written}.{member.written}')
                member.value = state if self.drops() else member.value

    def on_user_location(self, node):
        self.strings(node, LOCATION)

    def on_device(self, node):
        self.strings(node, DEVICE)

    def on_non_personalized_ads(self, node):
        if node.kind == 'string' and node.value in ('true', 'false'):
            node.kind, node.value = 'bool', node.value == 'true'
        self.say(node.start, 'W' if node.kind == 'bool' else 'E', 'VALUE_INVALID', node.written)

    def override(self, node, beside):
        if node.kind != 'string':
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)
        elif self.root.get(beside):
            self.say(node.start, 'W', 'VALUE_INVALID', node.written)

    def on_ip_override(self, node):
        self.override(node, 'user_location')

    def on_user_agent(self, node):
        self.override(node, 'device')

    def on_validation_behavior(self, node):
        if node.value not in ('RELAXED', 'ENFORCE_RECOMMENDATIONS'):
            self.say(node.start, 'E', 'VALUE_INVALID', node.written)

    def on_stream(self, node):
        if self.ctx.door:
            self.say(node.start, 'D', 'VALUE_INVALID', 'stream')

    def on_dedup_key(self, node):
        if node.kind != 'string':
            self.say(node.start, 'D', 'VALUE_INVALID', 'dedup_key')
        elif not 1 <= len(node.value.encode()) <= 200:
            self.say(node.start, 'D', 'VALUE_OUT_OF_BOUNDS', 'dedup_key')

    def on_session_cookie(self, node):
        if self.session is None:
            self.say(node.start, 'W', 'VALUE_INVALID', 'session_cookie')

    # -- events --

    def on_events(self, node):
        if node.kind == 'object':
            self.event(node, 'events')
            return
        if node.kind != 'array':
            self.say(node.start, 'D', 'VALUE_INVALID', 'events')
            return
        if len(node.value) > 1000:
            self.say(node.start, 'D', 'EXCEEDED_MAX_ENTITIES', 'events')
        for i, event in enumerate(node.value):
            self.event(event, f'events[{i}]')

    def event(self, event, path):
        if event.kind != 'object':
            self.say(event.start, 'D', 'VALUE_INVALID', path)
            return
        entry = [event, path, None]
        self.events.append(entry)
        self.read(event, ('name', 'params', 'timestamp_micros'), path)
        for key, node in event.members:
            where = f'{path}.{node.written}'
            if key == 'name':
                self.event_name(node, where)
            elif key == 'params':
                self.event_params(event, node, where)
            elif key == 'timestamp_micros':
                entry[2] = self.time(node, where) or entry[2]
            else:
                self.say(node.start, 'E', 'VALUE_INVALID', where)
        self.event_end(event, path)

    def event_end(self, event, path):
        prefix = path + '.' if path else ''
        if not event.get('name'):
            self.say(event.end, 'D', 'VALUE_REQUIRED', prefix + 'name')
        if not event.get('params'):
            self.missing_params(event, set(), self.session is not None, event.end, prefix + 'params.')

    def event_name(self, node, path):
        name = node.value
        if node.kind != 'string':
            self.say(node.start, 'D', 'NAME_INVALID', path)
        elif name == '':
            self.say(node.start, 'D', 'VALUE_REQUIRED', path)
        elif not NAME.match(name) or len(name) > 40:
            self.say(node.start, 'E', 'NAME_INVALID', path)
        elif name in RESERVED_EVENTS or (self.kind == 'web' and name in RESERVED_ON_WEB):
            self.say(node.start, 'E', 'NAME_RESERVED', path)
        elif name not in GA4_EVENTS and name.lower() in GA4_EVENTS:
            self.say(node.start, 'W', 'NAME_INVALID', path)

    @staticmethod
    def name_of(event):
        node = event.get('name')
        return node.value if node and node.kind == 'string' else ''

    def event_params(self, event, params, path):
        if params.kind == 'array' and not params.value:
            params.kind, params.edited = 'object', True
            self.say(params.start, 'W', 'VALUE_INVALID', path)
        if params.kind != 'object':
            self.say(params.start, 'E', 'VALUE_INVALID', path)
            return
        if self.drops():
            for name, node in list(params.members):
                if node.kind == 'null':
                    self.say(node.start, 'W', 'VALUE_INVALID', f'{path}.{name}')
                    self.drop(params, node)
        self.session_from_cookie(params)
        names = {name for name, _ in params.members}
        added = self.session is not None and 'session_id' not in names
        if len(names) + added > (100 if self.ctx.limits == '360' else 25):
            self.say(params.start, 'W', 'EXCEEDED_MAX_ENTITIES', path)
        for name, node in list(params.members):
            where = f'{path}.{name}'
            if name == 'timestamp_micros':
                self.time_in_params(event, params, node, where)
                continue
            if name.startswith(('_', 'firebase_', 'ga_', 'google_', 'gtag.')):
                self.say(node.start, 'W', 'NAME_RESERVED', where)
            elif not NAME.match(name) or len(name) > 40:
                self.say(node.start, 'W', 'NAME_INVALID', where)
            if name == 'items':
                self.items(node, where)
                params.edited |= node.edited
            elif name == 'transaction_id' and self.name_of(event) == 'purchase' and node.value == '':
                self.say(node.start, 'W', 'VALUE_INVALID', where)
            else:
                self.value(name, node, where, numeric=NUMERIC)
        self.missing_params(event, names, added, params.end, path + '.')

    def session_from_cookie(self, params):
        own = params.get('session_id')
        found = session_of(own)
        if found:
            own.value, own.edited, params.edited = found, True, True

    def time_in_params(self, event, params, node, path):
        own = event.get('timestamp_micros')
        if own and (time_number(own) or (1,))[0] != 0:
            self.say(node.start, 'W', 'VALUE_INVALID', path)
        elif self.drops():
            entry = next(e for e in self.events if e[0] is event)
            entry[2] = self.time(node, path)
            self.say(node.start, 'W', 'VALUE_INVALID', path)
            self.drop(params, node)

    def missing_params(self, event, names, added, place, prefix):
        event_name = self.name_of(event)
        wanted = [] if added else ['session_id']
        wanted.append('engagement_time_msec')
        if 'value' in names and event_name not in ('earn_virtual_currency', 'spend_virtual_currency'):
            wanted.append('currency')
        if event_name in NEED_ITEMS:
            wanted.append('items')
        wanted += REQUIRED.get(event_name, [])
        for name in wanted:
            if name not in names:
                self.say(place, 'W', 'VALUE_REQUIRED', prefix + name)

    def value(self, name, node, path, numeric):
        if node.kind not in ('string', 'number', 'bool'):
            self.say(node.start, 'W', 'VALUE_INVALID', path)
            return
        limit = LONGER.get(name) if numeric is NUMERIC else None
        limit = limit or (500 if self.ctx.limits == '360' else 100)
        if node.kind == 'string' and len(node.value) > limit:
            self.say(node.start, 'W', 'VALUE_OUT_OF_BOUNDS', path)
        if node.kind == 'string' and is_mail(node.value):
            self.say(node.start, 'W', 'VALUE_INVALID', path)
        if name in numeric and node.kind != 'number':
            self.say(node.start, 'W', 'VALUE_INVALID', path)
        if name == 'currency' and not (node.kind == 'string' and re.fullmatch('[A-Za-z]{3}', node.value)):
            self.say(node.start, 'W', 'VALUE_INVALID', path)
        if numeric is not NUMERIC:
            return
        if name == 'session_id' and (whole_number(node) or 0) <= 0:
            self.say(node.start, 'W', 'VALUE_INVALID', path)
        if name == 'engagement_time_msec':
            positive = float(node.value) > 0 if node.kind == 'number' else (whole_number(node) or 0) > 0
            if not positive:
                self.say(node.start, 'W', 'VALUE_REQUIRED', path)
        if name == 'debug_mode':
            on = node.value is True if node.kind == 'bool' else node.kind == 'number' and float(node.value) == 1
            if not on:
                self.say(node.start, 'W', 'VALUE_INVALID', path)

    def items(self, node, path):
        if node.kind != 'array':
            self.say(node.start, 'W', 'VALUE_INVALID', path)
            return
        if len(node.value) > 200:
            self.say(node.start, 'W', 'EXCEEDED_MAX_ENTITIES', path)
        for i, item in enumerate(list(node.value)):
            if item.kind == 'null' and self.drops():
                self.say(item.start, 'W', 'VALUE_INVALID', f'{path}[{i}]')
                self.drop(node, item)
                continue
            self.item(item, f'{path}[{i}]')
            node.edited |= item.edited

    def item(self, item, path):
        if item.kind != 'object':
            self.say(item.start, 'W', 'VALUE_INVALID', path)
            return
        custom = 0
        for name, node in list(item.members):
            where = f'{path}.{name}'
            if node.kind == 'null' and self.drops():
                self.say(node.start, 'W', 'VALUE_INVALID', where)
                self.drop(item, node)
                continue
            if name not in ITEM_MEMBERS:
                custom += 1
                if not NAME.match(name) or len(name) > 40:
                    self.say(node.start, 'W', 'NAME_INVALID', where)
            self.value(name, node, where, numeric=NUMERIC & ITEM_MEMBERS)
        ids = [item.get('item_id'), item.get('item_name')]
        if not any(n and n.kind in ('string', 'number', 'bool') and n.value != '' for n in ids):
            self.say(item.end, 'W', 'VALUE_REQUIRED', path + '.item_id')
        if custom > 10:
            self.say(item.end, 'W', 'EXCEEDED_MAX_ENTITIES', path)


# ---- what becomes of a good line ----

def quoted(text):
    short = {'"': '\\"', '\\': '\\\\', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r'}
    return '"' + ''.join(short.get(c) or (f'\\u{ord(c):04x}' if ord(c) < 0x20 else c) for c in text) + '"'


def canonical(node, path=()):
    if node.kind == 'object':
        members = sorted(node.members, key=lambda m: m[0].encode())
        return '{' + ','.join(quoted(k) + ':' + canonical(n, path + (k,)) for k, n in members) + '}'
    if node.kind == 'array':
        return '[' + ','.join(canonical(n, path + ('[]',)) for n in node.value) + ']'
    is_time = len(path) == 3 and path[0] == 'user_properties' and path[2] == 'timestamp_micros'
    if is_time and time_number(node) is not None:
        return str(max(-2**63, min(2**63 - 1, time_number(node)[0])))
    if node.kind == 'string':
        return quoted(node.value)
    return node.value if node.kind == 'number' else {True: 'true', False: 'false', None: 'null'}[node.value]


def envelope_of(judge):
    left_out = {'timestamp_micros', 'events', 'name'} | OWN | (set() if judge.shape == 'payload' else {'params'})
    parts = []
    for key, node in sorted(judge.root.members, key=lambda m: m[0].encode()):
        if key in left_out:
            continue
        if key == 'client_id' and judge.kind == 'web':
            parts.append(quoted(key) + ':' + quoted(client_of(node.value)))
        else:
            parts.append(quoted(key) + ':' + canonical(node, (key,)))
    return '{' + ','.join(parts) + '}'


def sent_value(node, text):
    """As written, less what was left out of it."""
    if not node.edited:
        return text[node.start:node.end]
    if node.kind == 'string':
        return quoted(node.value)
    if node.kind == 'array':
        return '[' + ','.join(sent_value(n, text) for n in node.value) + ']'
    return '{' + ','.join(quoted(n.written) + ':' + sent_value(n, text) for _, n in node.members) + '}'


def events_of(judge, text):
    out = []
    inherited = judge.payload_time or judge.ctx.wall
    for event, _, own in judge.events:
        body = '{"name":' + quoted(event.get('name').value)
        params = event.get('params')
        usable = params is None or params.kind == 'object'
        if usable and judge.session is not None and not (params and params.get('session_id')):
            inner = sent_value(params, text)[1:] if params else '}'
            comma = ',' if params and params.members else ''
            body += ',"params":{"session_id":"' + judge.session + '"' + comma + inner
        elif params:
            body += ',"params":' + sent_value(params, text)
        if judge.ctx.mode == 'off' and judge.shape == 'payload':
            for key, node in event.members:
                if key not in ('name', 'params', 'timestamp_micros'):
                    body += ',' + quoted(node.written) + ':' + text[node.start:node.end]
        out.append((body + '}', own or inherited))
    return out or [('', inherited)]


def dated_envelope(judge, when):
    """The envelope's members as they are sent: user properties without a time of their own get one."""
    text = envelope_of(judge)
    properties = judge.root.get('user_properties')
    if not properties or properties.kind != 'object':
        return text
    before = canonical(properties, ('user_properties',))
    dated = []
    for name, prop in sorted(properties.members, key=lambda m: m[0].encode()):
        value = canonical(prop, ('user_properties', name))
        if prop.kind == 'object' and not prop.get('timestamp_micros'):
            value = '{"timestamp_micros":%d' % when + (',' if prop.members else '') + value[1:]
        dated.append(quoted(name) + ':' + value)
    key = '"user_properties":'
    return text.replace(key + before, key + '{' + ','.join(dated) + '}')


def request_of(judge, body, when):
    """The request with this event alone."""
    members = dated_envelope(judge, judge.payload_time if judge.payload_time and judge.shape == 'payload' else when)
    members = members[1:-1] + (',' if len(members) > 2 else '')
    if not body:
        return '{%s"timestamp_micros":%d}' % (members, when)
    return '{%s"events":[%s,"timestamp_micros":%d}]}' % (members, body[:-1], when)


def field_text(field):
    """As much of a path as a reply holds: 255 bytes, control characters shown as '?'."""
    shown = ''.join('?' if ord(c) < 0x20 or ord(c) == 0x7f else c for c in field)
    return shown.encode()[:255].decode(errors='ignore')


def judge(line, ctx):
    """{'ok': False, 'code', 'field'} or {'ok': True, 'warnings': {(code, field)}, 'envelope', 'events', …}."""
    try:
        text = line.decode()
        root = Parser(text).document()
    except (UnicodeDecodeError, NotJson):
        return {'ok': False, 'code': 'JSON_INVALID', 'field': ''}
    kind, stream = ctx.kind, root.get('stream')
    if stream and stream.kind != 'null' and not ctx.door:
        if stream.kind != 'string':
            return {'ok': False, 'code': 'VALUE_INVALID', 'field': 'stream'}
        if stream.value not in ('web', 'app'):
            return {'ok': False, 'code': 'STREAM_UNKNOWN', 'field': 'stream'}
        kind = stream.value
    j = Judge(root, ctx, kind)
    j.line()
    refusing = {'off': 'D', 'standard': 'DE', 'strict': 'DEWN'}[ctx.mode]  # N: as W, and also with validation off
    wrong = sorted((f for f in j.found if f[1] in refusing), key=lambda f: f[0])
    if wrong:
        return {'ok': False, 'code': wrong[0][2], 'field': field_text(wrong[0][3])}
    paths = [path for _, path, _ in j.events] or ['']
    for path, (body, when) in zip(paths, events_of(j, text)):
        if len(request_of(j, body, when).encode()) >= 130000:
            return {'ok': False, 'code': 'VALUE_OUT_OF_BOUNDS', 'field': path}
    warnings = [f for f in j.found if f[1] in {'off': 'N', 'standard': 'WN', 'strict': ''}[ctx.mode]]
    return {'ok': True, 'warnings': [(f[2], field_text(f[3])) for f in sorted(warnings, key=lambda f: f[0])],
            'envelope': envelope_of(j), 'events': events_of(j, text),
            'props': (j.payload_time or 0) if j.shape == 'payload' else 0}
