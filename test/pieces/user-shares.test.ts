import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UserFiles, UserShares } from '../../daemon/pieces/user-shares.ts';

const PIECE = 65_536;
const test = suite('user-shares');
const userOf = (connection: string) => connection[0]!;

/** Serves the candidates in turn, so many pieces; answers how many each user got. */
function serve(shares: UserShares, connections: readonly string[], pieces: number): Record<string, number> {
  const served: Record<string, number> = {};
  for (let turn = 0; turn < pieces; turn++) {
    const fair = shares.fair(connections, userOf, PIECE);
    const user = userOf(fair[turn % fair.length]!);
    shares.serve(user, PIECE);
    served[user] = (served[user] ?? 0) + 1;
  }
  return served;
}

test('a user with four connections gets one share', () => {
  const connections = ['a1', 'a2', 'a3', 'a4', 'b1'];
  const shares = new UserShares(new UserFiles());
  for (const connection of connections) shares.join(userOf(connection));
  const { a, b } = serve(shares, connections, 1000);
  assert.ok(Math.abs(a! - b!) <= 5, `a ${a}, b ${b}`);
});

test('with one connection each there is nothing to balance', () => {
  const shares = new UserShares(new UserFiles());
  shares.join('a');
  shares.join('b');
  for (let piece = 0; piece < 100; piece++) shares.serve('a', PIECE);
  assert.equal(shares.fair(['a1', 'b1'], userOf, PIECE), ['a1', 'b1']);
});

test('who comes late, or wanted nothing for a while, does not catch up on the past', () => {
  const shares = new UserShares(new UserFiles());
  for (const user of ['a', 'a', 'b', 'b']) shares.join(user);
  serve(shares, ['a1', 'a2'], 500);
  shares.join('c');
  const { a, b, c } = serve(shares, ['a1', 'b1', 'c1'], 300);
  for (const count of [a!, b!, c!]) assert.ok(count > 80 && count < 120, `a ${a}, b ${b}, c ${c}`);
});

test('who takes other files too gets a part of its share of each, and is never left out of one', () => {
  const files = new UserFiles();
  const [shares, others] = [new UserShares(files), [new UserShares(files), new UserShares(files)]];
  for (const connection of ['a1', 'b1', 'b2', 'b3']) shares.join(userOf(connection));
  for (const other of others) other.join('b');
  // Whatever it got of those first.
  for (const other of others) for (let piece = 0; piece < 1000; piece++) other.serve('b', PIECE);
  const { a, b } = serve(shares, ['a1', 'b1', 'b2', 'b3'], 1000);
  assert.ok(Math.abs(a! - 3 * b!) <= 12, `a ${a}, b ${b}`);
  for (const other of others) other.leave('b');
  const later = serve(shares, ['a1', 'b1', 'b2', 'b3'], 1000);
  assert.ok(Math.abs(later.a! - later.b!) <= 5, `a ${later.a}, b ${later.b}`);
});

test('one connection and several files each: the shares are balanced', () => {
  const files = new UserFiles();
  const [shares, other] = [new UserShares(files), new UserShares(files)];
  for (const user of ['a', 'b']) shares.join(user);
  other.join('b');
  const { a, b } = serve(shares, ['a1', 'b1'], 900);
  assert.ok(Math.abs(a! - 2 * b!) <= 12, `a ${a}, b ${b}`);
});

test.run();
