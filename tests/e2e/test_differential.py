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
import subprocess
import sys

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
