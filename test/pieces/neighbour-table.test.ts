import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bitfield } from '../../daemon/pieces/bitfield.ts';
import { GETTING_LIFETIME_MS, NeighbourTable } from '../../daemon/pieces/neighbour-table.ts';
import type { LinkRole } from '../../daemon/pieces/types.ts';

const test = suite('neighbour-table');
const PIECES = 6;

interface DumbNeighbour {
  have: Set<number>;
  getting: Set<number>;
  roles: Set<LinkRole>;
  isComplete: boolean;
}

/** Recounts everything from scratch. */
function recount(mine: Set<number>, neighbours: Map<number, DumbNeighbour>) {
  const all = [...neighbours.values()];
  const knows = ({ have, getting }: DumbNeighbour, piece: number) => have.has(piece) || getting.has(piece);
  const receivers = all.filter(({ roles }) => roles.has('upload'));
  const pieces = Array.from({ length: PIECES }, (_, piece) => ({
    rarity: all.filter((other) => !other.isComplete && knows(other, piece)).length,
    offerable: mine.has(piece) && receivers.some((other) => !knows(other, piece)),
  }));
  const sources = all.filter(({ roles, have }) => roles.has('download') && [...have].some((piece) => !mine.has(piece)));
  return { pieces, receiverCount: receivers.length, sourceCount: sources.length };
}

const action = fc.oneof(
  fc.record({ type: fc.constantFrom('up', 'down'), id: fc.nat(3), role: fc.constantFrom('upload', 'download') }),
  fc.record({ type: fc.constantFrom('have', 'getting', 'want'), id: fc.nat(3), piece: fc.nat(PIECES - 1) }),
  fc.record({ type: fc.constant('mine'), piece: fc.nat(PIECES - 1) }),
);

test('its running counts are those of a recount, after any news', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const table = new NeighbourTable(new Bitfield(PIECES));
      const mine = new Set<number>();
      const dumb = new Map<number, DumbNeighbour>();
      for (const step of actions) {
        const id = 'id' in step ? step.id : 0;
        const neighbour = table.neighbours.get(id);
        const other = dumb.get(id);
        const piece = 'piece' in step ? step.piece : 0;
        if (step.type === 'mine' && !mine.has(piece)) {
          table.addMine(piece);
          mine.add(piece);
        } else if ('role' in step) {
          const role = step.role as LinkRole;
          if (step.type === 'up' && !other?.roles.has(role)) {
            const added = table.linkUp(id, role, { userId: 'u', rttMs: 0 });
            // Neighbour 0 came complete.
            added.cameComplete = id === 0;
            if (!other) dumb.set(id, { have: new Set(), getting: new Set(), roles: new Set(), isComplete: id === 0 });
            dumb.get(id)!.roles.add(role);
          } else if (step.type === 'down' && other?.roles.delete(role)) {
            assert.is(table.linkDown(neighbour!, role), other.roles.size === 0);
            if (other.roles.size === 0) dumb.delete(id);
          }
        } else if (neighbour && other) {
          if (step.type === 'have') {
            table.markHave(neighbour, piece);
            other.have.add(piece);
            other.getting.delete(piece);
          } else if (step.type === 'getting') {
            table.markGetting(neighbour, piece, 0);
            if (!other.have.has(piece)) other.getting.add(piece);
          } else if (step.type === 'want') {
            table.markWant(neighbour, piece);
            other.getting.delete(piece);
          }
        }
        const expected = recount(mine, dumb);
        assert.is(table.receiverCount, expected.receiverCount);
        assert.is(table.sourceCount, expected.sourceCount);
        expected.pieces.forEach(({ rarity, offerable }, index) => {
          assert.is(table.rarityOf(index), rarity, `rarity of piece ${index}`);
          assert.is(table.offerable.has(index), offerable, `piece ${index} offerable`);
          assert.is(table.needed.has(index), !mine.has(index), `piece ${index} needed`);
        });
      }
    }),
  );
});

test('the round trip is the shortest that is known, and never a long one', () => {
  const table = new NeighbourTable(Bitfield.full(PIECES));
  const neighbour = table.linkUp(1, 'upload', { userId: 'u', rttMs: null });
  assert.is(neighbour.rttMs, 0, 'not measured yet');
  table.noteRtt(1, 60_000);
  assert.is(neighbour.rttMs, 500);
  table.noteRtt(1, 50);
  table.noteRtt(1, 80);
  assert.is(neighbour.rttMs, 50);
  table.linkUp(1, 'download', { userId: 'u', rttMs: 70 });
  assert.is(neighbour.rttMs, 50, 'a second link, which begins slowly');
  table.noteRtt(1, 30);
  assert.is(neighbour.rttMs, 0, 'next door, and busy');
  table.noteRtt(1, 60);
  assert.is(neighbour.rttMs, 0);
  table.noteRtt(2, 1); // of somebody who left
});

test('getting is forgotten after a while, unless said again', () => {
  const table = new NeighbourTable(Bitfield.full(PIECES));
  const neighbour = table.linkUp(1, 'upload', { userId: 'u', rttMs: 0 });
  table.markGetting(neighbour, 0, 0);
  table.markGetting(neighbour, 1, 0);
  table.markGetting(neighbour, 0, 100);
  table.expireGetting(GETTING_LIFETIME_MS);
  assert.equal([...neighbour.known.pieces()], [0]);
  table.expireGetting(GETTING_LIFETIME_MS + 100);
  assert.is(table.offerable.count, PIECES);
});

test.run();
