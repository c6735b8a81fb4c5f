"""test_differential.py - the relay's judgement against a second reading of the rules, over many random lines

The generator (tests/diff/generate.py) makes good, wrong and broken lines; tests/diff/rules.py judges them by the
specification's words in plain Python, build/VARIANT/tests/judge by the relay's code. Whatever they disagree about
fails: accepted or refused, the first error's code and field, the warnings, the envelope, the events' bytes and times.

    SEED=12345 CASES=100000 make e2e PYTEST_ARGS='-k differential'
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import warnings

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests' / 'diff'))

import generate  # noqa: E402
import rules  # noqa: E402

CASES = int(os.environ.get('CASES', 20000))
JUDGE = pathlib.Path(os.environ.get('BUILD_DIR', ROOT / 'build' / 'release')) / 'tests' / 'judge'


@pytest.fixture(scope='module')
def seed():
    value = int(os.environ.get('SEED') or random.SystemRandom().randrange(2**32))
    print(f'SEED={value} CASES={CASES}')
    return value


def ask(cases):
    """What the relay's code says of each (context, line)."""
    text = b''.join(ctx.header().encode() + b'\t' + line + b'\n' for ctx, line in cases)
    done = subprocess.run([JUDGE], input=text, stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in done.stdout.decode().split('\n') if line]
    assert len(answers) == len(cases)
    return answers


def told_warnings(answer):
    return [(w['code'], w['field']) for w in answer['told'].get('warnings', [])]


def disagreement(mine, theirs):
    if mine['ok'] != theirs['ok']:
        return 'accepted or refused'
    if not mine['ok']:
        return None if (mine['code'], mine['field']) == (theirs['code'], theirs['field']) else 'first error'
    told = told_warnings(theirs)
    if told != mine['warnings'][:20] or theirs['told'].get('warnings_omitted', 0) != max(0, len(mine['warnings']) - 20):
        return 'warnings'
    if mine['envelope'] != theirs['envelope']:
        return 'envelope'
    if mine['events'] != [(e['body'], e['time']) for e in theirs['events']]:
        return 'events'
    return None if all(e['props'] == mine['props'] for e in theirs['events']) else 'time of the user properties'


def show(seed, number, ctx, line, what, mine, theirs):
    def short(value):
        return str(value)[:1500]
    return (f'SEED={seed} case {number}: they disagree about: {what}\n  {ctx.header()}\n  line    {short(line)}\n'
            f'  rules   {short(mine)}\n  relay   {short(theirs)}')


def test_both_readings_agree(seed):
    generator = generate.Generator(seed)
    cases = [generator.case() for _ in range(CASES)]
    wrong, accepted, codes = [], 0, set()
    for number, ((ctx, line), theirs) in enumerate(zip(cases, ask(cases))):
        mine = rules.judge(line, ctx)
        accepted += theirs['ok']
        codes |= {theirs['code']} if not theirs['ok'] else {code for code, _ in told_warnings(theirs)}
        what = disagreement(mine, theirs)
        if what:
            wrong.append(show(seed, number, ctx, line, what, mine, theirs))
    print(f'{CASES} lines, {accepted} accepted, {len(wrong)} disagreements, codes met: {" ".join(sorted(codes))}')
    assert not wrong, f'{len(wrong)} disagreements; the first ones:\n' + '\n'.join(wrong[:5])
    # The generator must reach both sides of the rules, or agreement means little.
    assert CASES < 1000 or (CASES / 5 < accepted < CASES * 4 / 5 and len(codes) >= 8)


def test_an_exported_line_becomes_the_same_event(seed):
    generator = generate.Generator(seed + 1)
    cases = [generator.case() for _ in range(CASES // 5)]
    firsts = [(ctx, a) for (ctx, _), a in zip(cases, ask(cases)) if a['ok']]
    again = [(rules.Context(ctx.mode, ctx.kind, ctx.limits, False, ctx.wall), a['line'].encode()) for ctx, a in firsts]
    for (ctx, first), second in zip(firsts, ask(again)):
        assert second['ok'], (ctx.header(), first['line'], second)
        same = {key: (first[key], second[key]) for key in ('envelope', 'client', 'sid') if first[key] != second[key]}
        one, two = first['events'][0], second['events'][0]
        if one['body'] == '':  # dated by the payload's time when it had one, else now by that time
            one['props'] = two['props'] = 0
        assert not same and one == two, (ctx.header(), first['line'], first, second)


def test_requests_are_json_that_holds_the_events(seed):
    generator = generate.Generator(seed + 2)
    cases = [generator.case() for _ in range(CASES // 5)]
    for (ctx, line), answer in zip(cases, ask(cases)):
        if not answer['ok']:
            continue
        request = json.loads(answer['request'])
        bodies = [json.loads(e['body']) | {'timestamp_micros': e['time']} for e in answer['events'][:25] if e['body']]
        assert request.get('events', []) == bodies, line
        for name in ('stream', 'dedup_key', 'session_cookie'):
            assert name not in request, line


# ---- a third reading: the parser that Google's endpoint evidently uses ----

PROTOBUF_CASES = 4000


@pytest.fixture(scope='module')
def protobuf(tmp_path_factory):
    """What protobuf's JsonStringToMessage says of each request."""
    directory, flags = tmp_path_factory.mktemp('protobuf'), None
    if all(map(shutil.which, ('protoc', 'g++', 'pkg-config'))):
        flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'protobuf'], capture_output=True, text=True, check=False)
    if not flags or flags.returncode:
        warnings.warn('PROTOBUF IS MISSING: no request was read by it (Debian: apt install libprotobuf-dev protobuf-compiler g++)')
        pytest.skip('protoc, libprotobuf-dev or g++ is missing')
    source = ROOT / 'tests' / 'diff'
    subprocess.run(['protoc', f'-I{source}', f'--cpp_out={directory}', source / 'measurement.proto'], check=True)
    subprocess.run(['g++', '-O0', f'-I{directory}', '-o', directory / 'reads', source / 'protobuf_reads.cc',
                    directory / 'measurement.pb.cc', *flags.stdout.split()], check=True)

    def read(requests):
        text = ''.join(request + '\n' for request in requests)
        done = subprocess.run([directory / 'reads'], input=text.encode(), stdout=subprocess.PIPE, check=True)
        said = done.stdout.decode(errors='replace').splitlines()
        assert len(said) == len(requests)
        return said

    return read


def as_lists(request):
    """user_data's members are one or several, which no message can say: those that are alone become lists."""
    value = json.loads(request)
    data = value.get('user_data')
    if not data:
        return request
    value['user_data'] = {k: v if isinstance(v, list) else [v] for k, v in data.items()}
    return json.dumps(value)


def test_protobuf_reads_what_is_accepted(seed, protobuf):
    """Of what the relay accepts, in standard and strict, its parser refuses nothing."""
    generator = generate.Generator(seed + 3)
    cases = [case for case in (generator.case() for _ in range(PROTOBUF_CASES * 4)) if case[0].mode != 'off'][:PROTOBUF_CASES]
    sent = [(line, as_lists(answer['request'])) for (_, line), answer in zip(cases, ask(cases)) if answer['ok']]
    refused = [(line, request, said) for (line, request), said in zip(sent, protobuf([r for _, r in sent])) if said != 'ok']
    print(f'{len(cases)} lines, {len(sent)} accepted, {len(refused)} refused by protobuf')
    assert not refused, f'{len(refused)} of {len(sent)}; the first ones:\n' + '\n'.join(str(r)[:1500] for r in refused[:3])
    assert len(sent) > PROTOBUF_CASES / 5


def test_protobuf_refuses_what_the_rules_refuse(protobuf):
    """So that the test before this one can fail."""
    said = protobuf(['{"client_id":"1.2","events":[{"name":"x"}]}', '{"client_id":"1.2","session_id":"1"}', '{"client_id":{}}',
                     '{"client_id":"1.2","events":[{"name":"x","params":{"a":1e400}}]}', '{"consent":{"ad_user_data":"YES"}}',
                     '{"events":[{"params":[1]}]}', '{"timestamp_micros":1.5}', '{"user_properties":{"a":7}}'])
    assert said[0] == 'ok' and all(x != 'ok' for x in said[1:]), said
