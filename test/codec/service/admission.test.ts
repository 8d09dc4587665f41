import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Admission, addressGroup } from '../../../codec/service/admission.ts';

const test = suite('admission');
const LIMITS = { total: 6, perAddress: 4, strangers: 3, strangersPerAddress: 2 };

test('strangers and guests of one address are limited, and room comes back', () => {
  const door = new Admission(LIMITS);
  const never = () => assert.unreachable();
  assert.ok(door.enter('a1', '10.0.0.1', never));
  assert.ok(door.enter('a2', '10.0.0.1', never));
  assert.not.ok(door.enter('a3', '10.0.0.1', never), 'two strangers an address');
  assert.ok(door.welcome('a1'));
  assert.ok(door.enter('a3', '10.0.0.1', never));
  door.welcome('a2');
  door.welcome('a3');
  assert.ok(door.enter('a4', '10.0.0.1', never));
  door.welcome('a4');
  assert.not.ok(door.enter('a5', '10.0.0.1', never), 'four connections an address');
  door.leave('a1');
  door.leave('a1');
  assert.ok(door.enter('a5', '10.0.0.1', never));
  assert.is(door.size, 4);
  assert.is(door.strangers, 1);
});

test('the oldest stranger makes room; who has shown that it belongs here stays', () => {
  const door = new Admission(LIMITS);
  const ended: string[] = [];
  const enter = (name: string, address: string) => door.enter(name, address, () => ended.push(name));
  enter('old', '10.0.0.1');
  door.welcome('old');
  for (const n of [2, 3, 4, 5]) assert.ok(enter(`s${n}`, `10.0.0.${n}`));
  assert.equal(ended, ['s2']);
  assert.not.ok(door.welcome('s2'), 'too late');
  for (const n of [3, 4, 5]) door.welcome(`s${n}`);
  for (const n of [6, 7]) {
    assert.ok(enter(`s${n}`, `10.0.0.${n}`));
    door.welcome(`s${n}`);
  }
  assert.is(door.size, 6);
  assert.not.ok(enter('s8', '10.0.0.8'), 'full, and nobody left who could make room');
  assert.equal(ended, ['s2']);
});

test('an IPv6 owner is a /64, a mapped IPv4 address is itself', () => {
  assert.is(addressGroup('192.0.2.1'), '192.0.2.1');
  assert.is(addressGroup('::ffff:192.0.2.1'), '192.0.2.1');
  assert.is(addressGroup('2001:db8::1'), addressGroup('2001:0DB8:0:0:ffff:1:2:3'));
  assert.is.not(addressGroup('2001:db8::1'), addressGroup('2001:db8:0:1::1'));
  assert.is(addressGroup('fe80::1%eth0'), 'fe80:0:0:0::/64');
  assert.is(addressGroup('::1'), '0:0:0:0::/64');
});

test.run();
